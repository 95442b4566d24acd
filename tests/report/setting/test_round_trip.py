"""Whoever sets what the page says gets our cells: every value, none missing, none invented."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import pytest

from bench.report.page import build_page
from bench.report.results import Results
from bench.spec.cell import Train
from bench.spec.layers import profile_names
from bench.spec.plan import Plan, load_plan
from bench.spec.tuning import Trial
from bench.spec.work import Choose

from .reading import Printed, actual, ancestors

SUITES = Path(__file__).parents[3] / "suites"
FILES = [
    file
    for paper in ("bss", "fast", "sources")
    for file in sorted((SUITES / paper).glob("*.yaml"))
    if file.name not in ("paper.yaml", "reported.yaml")
]


def check(plan: Plan) -> int:
    """Compare each cell with what is printed; return how many places were looked at."""
    printed = Printed.of(plan, build_page(Results(plan, {}, {})).markdown)
    cells = plan.unique()
    names = {p.cell.id: p.name for p in plan.behind}
    seeds: dict[tuple[Any, ...], set[int]] = {}
    for planned in plan.shown:
        seeds.setdefault(tuple(planned.place.items()), set()).add(planned.cell.seed)
    seen: set[str] = set()
    searched: set[str] = set()
    done: set[tuple[Any, ...]] = set()
    for planned in plan.shown:
        place = tuple(planned.place.items())
        told = printed.of_table(planned.place)
        assert set(told.pop("seed")) == seeds[place]
        assert told == actual(planned.cell, names), planned.place
        tried: set[str] = set()
        for role, cell in ancestors(planned, cells):
            if isinstance(cell.work, Choose | Trial) or role.partition(" of ")[2] in tried:
                # What was tried, where and by which seeds is the section Search's to say.
                tried.add(role)
                searched.add(cell.id)
                continue
            own = printed.behind(
                names[cell.id],
                {**planned.place, "role": role},
                trained=isinstance(cell.work, Train) and isinstance(planned.cell.work, Train),
            )
            seed = own.pop("seed")
            if isinstance(seed, str):
                added = seed.removeprefix("that of the cell").strip(" +")
                seed = planned.cell.seed + int(added or 0)
            assert seed == cell.seed
            assert own == actual(cell, names), (names[cell.id], planned.place)
            seen.add(cell.id)
        done.add(place)
    assert seen | searched == set(names)
    assert bool(searched) == bool(plan.tunings)
    return len(done)


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_every_cell_of_a_suite_can_be_told_from_its_page(file: Path) -> None:
    assert check(load_plan(file, "offline"))


@pytest.mark.parametrize("profile", ["smoke", "paper"])
def test_and_in_other_profiles(profile: str) -> None:
    plans = [load_plan(file, profile) for file in FILES if profile in profile_names(file)]
    assert len(plans) > 3
    for plan in plans:
        check(plan)


HARD = """
title: Hard to tell
axes:
  backbone: [test_resnet, wide]
  weights: "stage:second"
  dataset: [glyphs, digits]
  sampling_rate: [0.15, 0.3]
  penalties.l2.weight: [0.01, 0.1]
  method: [plain, both, frozen]
  seed: [3, 4]
networks:
  wide: {mlp: {widths: [8, 4]}}
labels:
  method: {plain: "Plain, as it is; (much)", both: "Both | of them", frozen: "Both | of them"}
recipe:
  steps: 20
  validation: 0.1
  measurements: {channel-attention: {batches: 2}}
  optimizer: {sgd: {lr: 0.1, momentum: 0.9}}
methods:
  plain: {penalties: {l2: {}}}
  both:
    penalties: {l2: {}, bss: {}}
    warmup: {patience: 3}
    recipe: {optimizer: {adam: {lr: 1e-8}}}
  frozen: {trainable: head, recipe: {head_bias: false}}
when:
  - {dataset: glyphs, sampling_rate: 0.15, recipe: {steps: 40}}
  - {dataset: digits, sampling_rate: 0.3, recipe: {steps: 40}}
  - {dataset: digits, methods: {both: {warmup: {patience: 5}, penalties: {bss: {k: 2}}}}}
  - {backbone: wide, method: both, recipe: {optimizer: {adam: {lr: 2e-8}}}}
  - {dataset: glyphs, backbone: wide, recipe: {schedule: {cosine: {warmup: 2}}}}
stages:
  first:
    {weights: random, dataset: fractals, method: both, seed: 0,
     recipe: {steps: 5, optimizer: {sgd: {lr: 0.3}}}}
  second: {weights: "stage:first", dataset: glyphs-source, method: plain,
    recipe: {schedule: {step: {every: 3}}}}
profiles:
  offline: {}
"""

TASKS = """
title: Two tasks
axes:
  backbone: test_resnet
  weights: random
  method: [plain, private]
  seed: 2
tasks:
  one: {dataset: glyphs, sampling_rate: 0.5, transforms: {block-shuffle: {}}}
  two: {dataset: digits, long_tail: {imbalance: 10}, weight: 2.0}
methods:
  plain: {}
  private: {patches: {private-normalisation: {}}}
recipe: {steps: 10}
table: {rows: [method], columns: backbone, metric: one/test/top1}
profiles:
  offline: {}
"""

MEASURED = """
title: How far two seeds are apart
axes:
  backbone: test_resnet
  dataset: [glyphs, digits]
  seed: 3
recipe: {steps: 10}
methods:
  plain: {}
stages:
  trained: {weights: random, method: plain, recipe: {steps: 7}}
measure:
  part: distance
  roles:
    first: {stage: trained}
    second: {stage: trained, seed_plus: 10, dataset: glyphs}
table: {rows: [dataset], columns: backbone, metric: distance}
profiles:
  offline: {}
"""


@pytest.mark.parametrize("text", [HARD, TASKS, MEASURED], ids=["hard", "tasks", "measured"])
def test_a_suite_that_is_hard_to_tell(text: str, tmp_path: Path) -> None:
    (tmp_path / "paper.yaml").write_text("id: test\ntitle: A test\n")
    file = tmp_path / "table.yaml"
    file.write_text(textwrap.dedent(text).lstrip())
    plan = load_plan(file, "offline")
    assert check(plan) == len({tuple(p.place.items()) for p in plan.shown})
