"""A search from its suite to its page: trials, one of which diverges, choices, tuned cells."""

from __future__ import annotations

import pytest

from bench.spec.cell import CHOICE
from bench.spec.plan import load_plan

from .conftest import SUITE

pytestmark = pytest.mark.e2e

ONE = SUITE.replace("[0.03, 0.05]", "0.05").replace("seed: 3", "seed: 2")
SEARCH = """
search:
  space:
    recipe.optimizer.sgd.lr: [1.0e+30, 0.03]
    recipe.optimizer.sgd.backbone_lr: {of: recipe.optimizer.sgd.lr, times: 0.1}
  seeds: 1
  recipe: {validation: 0.4}
"""


def test_what_is_chosen_trains_as_if_it_had_been_written_by_hand(bench):
    suite = bench.suite(ONE + SEARCH.lstrip())
    told = bench("plan", suite)
    # Of each method two trials, a choice, and two seeds.
    assert "level 0: 4, level 1: 2, level 2: 4" in told
    bench("run", suite, "--workers", "2")
    by_kind: dict[str, list[dict]] = {}
    for record in bench.records():
        assert record["outcome"]["status"] == "done"
        by_kind.setdefault(record["cell"]["kind"], []).append(record)
    assert {kind: len(found) for kind, found in by_kind.items()} == {
        "trial": 4, "choice": 2, "train": 4,
    }  # fmt: skip
    for trial in by_kind["trial"]:
        assert not [name for name in trial["outcome"]["metrics"] if "test/" in name]
        assert trial["cell"]["seed"] >= 1_000_000
        rate = trial["cell"]["settings"]["recipe"]["optimizer"]["sgd"]["lr"]
        assert trial["outcome"]["metrics"]["trial/diverged"] == float(rate > 1)
        assert ("validation/top1" in trial["outcome"]["metrics"]) == (rate < 1)
    for choice in by_kind["choice"]:
        assert choice["outcome"]["metrics"]["choice/candidate"] == 1.0
        assert choice["outcome"]["curves"]["choice/diverged"]["value"] == [1.0, 0.0]
        assert choice["outcome"]["curves"]["choice/score"]["value"][0] == "nan"

    by_hand = bench.suite(ONE, "by-hand/table")
    bench("run", by_hand, "--workers", "2")
    theirs = {(p.place["method"], p.seed): p.cell.id for p in load_plan(by_hand).shown}
    records = {r["cell"]["id"]: r for r in bench.records()}
    for planned in load_plan(suite).shown:
        own, other = (
            records[planned.cell.id],
            records[theirs[planned.place["method"], planned.seed]],
        )
        assert own["cell"]["settings"] == other["cell"]["settings"]
        assert own["outcome"]["metrics"] == other["outcome"]["metrics"]
        assert own["outcome"]["curves"] == other["outcome"]["curves"]
        assert own["outcome"]["provenance"]["parents"][CHOICE]["candidate"] == 1

    # Nothing is left to do, whatever order the cells came in.
    bench("run", suite)
    assert set(bench.done().values()) == {1}
    assert "Every cell is done." in bench("status", suite)
    bench("report", suite, "--to", bench.folder / "pages")
    page = (bench.folder / "pages" / "small" / "table.offline.md").read_text()
    search = page.partition("## Search")[2]
    assert "| 2 = 2 × 1 seed |" in " ".join(search.split())
    assert "smallest optimizer sgd lr" in search
    assert "**tuned alike**" in search

    # Elsewhere, without a checkpoint, all of it counts; and what left no whole file is found.
    packed = bench.folder / "bundle.zip"
    bench("bundle", suite, "--to", packed)
    elsewhere = bench.folder / "elsewhere"
    bench("import", packed, "--store", elsewhere)
    assert "Every cell is done." in bench("status", suite, "--store", elsewhere)
    choice = by_kind["choice"][0]
    folder = elsewhere / "cells" / choice["cell"]["id"][:2] / choice["cell"]["id"]
    (folder / choice["outcome"]["artifacts"][CHOICE]["file"]).write_text("{}")
    told = bench("verify", suite, "--store", elsewhere, code=None)
    assert "the choice is not the one that was written" in " ".join(told.split())
