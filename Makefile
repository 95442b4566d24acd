# Every target installs what it needs into .venv (uv keeps one copy of each package on disk).
PYTHON ?= python3
PROFILE ?= offline
WORKERS ?=
REMOTE ?= origin
CELLS ?= recorded
STORE ?= results
SLOTS ?=
TIME_LIMIT ?=
RETRIES ?=
VENV := .venv
BIN := $(VENV)/bin
BENCH := $(BIN)/bench
RUN_FLAGS := --store "$(STORE)" $(if $(WORKERS),--workers $(WORKERS))
RUN_FLAGS += $(if $(SLOTS),--slots-per-gpu $(SLOTS)) $(if $(TIME_LIMIT),--time-limit $(TIME_LIMIT))
RUN_FLAGS += $(if $(RETRIES),--retries $(RETRIES))

.DEFAULT_GOAL := help
.PHONY: help install reproduce-bss reproduce-fast reproduce-modelpatch modelpatch-settings
.PHONY: reproduce-profit profit-settings reproduce-transferred reproduce-sources pretrain
.PHONY: wheel smoke site published-site publish test test-cluster lint check clean

BSS := table2 baselines
BSS += $(if $(filter smoke offline,$(PROFILE)),strength tuned pooled)
# The profile tllib is another source's numbers of these two.
BSS += $(if $(filter tllib,$(PROFILE)),,table3 table4 anchoring angles spectra suppression truncation sensitivity)
FAST := initialisation initialisation-other-domain frozen-classifier classifier-warmup learning-rates optimizers convergence
# Questions of our own, asked offline only.
FAST += $(if $(filter paper,$(PROFILE)),,statistics warmup-steps)
MODELPATCH := table1 table2 table5 learning-rates multitask resolutions cascade components
# The toy's choices are all ours: it has no paper profile.
MODELPATCH += $(if $(filter paper,$(PROFILE)),,toy)
TRANSFERRED := learning block-shuffle shuffled-images mistakes similarity distance barriers extrapolation cross-domain checkpoints rewinding criticality
TRANSFERRED += basin
# The paper's networks all lack normalisation; offline this suite's alone do.
TRANSFERRED += $(if $(filter paper,$(PROFILE)),,without-normalisation)
PROFIT := old old-new n-ref ratio scratch toy toy-walk long-tail motion vtab adapters cost
# A failed cell keeps no other from running; the target fails in the end.
run-all = status=0; $(BENCH) run $(1) --profile $(PROFILE) --engine local $(RUN_FLAGS) || status=1; \
	$(BENCH) report $(1) --profile $(PROFILE) --store "$(STORE)" || status=1

help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-20s %s\n", $$1, $$2}'
	@echo "  Of those that run cells: STORE=, WORKERS=, SLOTS= (cells a GPU), TIME_LIMIT= (seconds a cell), RETRIES="

$(BIN)/uv:
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed; set PYTHON=") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip uv

$(VENV)/installed: pyproject.toml | $(BIN)/uv
	VIRTUAL_ENV="$(CURDIR)/$(VENV)" $(BIN)/uv pip install --quiet --editable '.[dev]'
	@touch $@

$(BIN)/tox: | $(BIN)/uv
	VIRTUAL_ENV="$(CURDIR)/$(VENV)" $(BIN)/uv pip install --quiet 'tox>=4.23' 'tox-uv>=1.16'

install: $(VENV)/installed ## Install Retable and its tools into .venv

reproduce-bss: install ## Run BSS's experiments and write their leaderboards (PROFILE=smoke|offline|paper|tllib)
	$(call run-all,$(BSS:%=bss/%)); $(BENCH) claims bss --profile $(PROFILE) --store "$(STORE)"; exit $$status

reproduce-fast: install ## Run FAST's experiments and write their leaderboards (PROFILE=…)
	$(call run-all,$(FAST:%=fast/%)); $(BENCH) claims fast --profile $(PROFILE) --store "$(STORE)"; exit $$status

reproduce-modelpatch: install ## Run Model Patch's experiments and write their leaderboards (PROFILE=…)
	$(call run-all,$(MODELPATCH:%=modelpatch/%)); $(BENCH) claims modelpatch --profile $(PROFILE) --store "$(STORE)"; exit $$status

modelpatch-settings: install ## Show how Model Patch's offline learning rates were chosen
	$(call run-all,modelpatch/settings); exit $$status

reproduce-profit: install ## Run PROFIT's experiments and write their leaderboards (PROFILE=…)
	$(call run-all,$(PROFIT:%=profit/%)); $(BENCH) claims profit --profile $(PROFILE) --store "$(STORE)"; exit $$status

profit-settings: install ## Show how PROFIT's offline learning rates were chosen
	$(call run-all,profit/settings); exit $$status

reproduce-transferred: install ## Run the experiments of What is being transferred? (PROFILE=…)
	$(call run-all,$(TRANSFERRED:%=transferred/%)); $(BENCH) claims transferred --profile $(PROFILE) --store "$(STORE)"; exit $$status

reproduce-sources: install ## Show that the shipped sources help
	$(call run-all,sources/transfer); exit $$status

pretrain: install ## Train the shipped backbones again (replaces bench/models/shipped)
	$(BENCH) run sources/pretrain --profile offline --engine local --keep $(RUN_FLAGS)
	$(BENCH) export sources/pretrain --profile offline --store "$(STORE)" --to bench/models/shipped

wheel: $(BIN)/uv ## Build a wheel that has the suites and the published records, into dist/
	$(BIN)/uv build --quiet --out-dir dist

smoke: install ## Take every suite from YAML to page in a few steps, into smoke/; say which broke
	$(BENCH) smoke $(if $(WORKERS),--workers $(WORKERS))

site: install ## Build a static site from all records into site/ (PROFILE=…, STORE=…)
	$(BENCH) site --profile $(PROFILE) --store "$(STORE)"

published-site: install ## Build the site of the published leaderboards into .published/site (CELLS=none: no cell pages)
	rm -rf .published/results
	$(BENCH) import leaderboards/*/*.zip --store .published/results
	$(BENCH) site --store .published/results --to .published/site --cells $(CELLS) --as-recorded

publish: published-site ## Put that site on the branch gh-pages and push it (REMOTE=: do not push)
	.ci/publish .published/site gh-pages $(REMOTE)

test: $(BIN)/tox ## Install what the tests need, and run them through tox
	$(BIN)/tox run -e tests

test-cluster: install ## Run what needs a real Slurm or Ray, started here, where they can be had
	VIRTUAL_ENV="$(CURDIR)/$(VENV)" $(BIN)/uv pip install --quiet --editable '.[dev,slurm,ray]'
	$(BIN)/pytest -m cluster tests/cluster

lint: $(BIN)/tox ## ruff, mypy and import contracts
	$(BIN)/tox run -e lint,types

check: lint test ## Lint, types, import contracts and tests

clean: ## Remove environments and caches (records stay)
	rm -rf $(VENV) .tox .published dist build smoke .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.egg-info
