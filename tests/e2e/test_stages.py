"""Cells that start from other cells: killed, edited, failed, shared."""

from __future__ import annotations

import os
import re
import signal
import time

import pytest

from bench.spec.find import find_suite
from bench.spec.plan import load_plan

from .conftest import SUITE
from .test_run import PLUGIN, wait_until

pytestmark = pytest.mark.e2e

STAGE = """
stages:
  source: {weights: random, dataset: digits, sampling_rate: 0.1, method: source, seed: 0,
           recipe: {steps: 150}}
"""
STAGED = (
    SUITE.replace("weights: random", 'weights: "stage:source"')
    .replace("seed: 3", "seed: 2")
    .replace("methods:\n", "methods:\n  source: {}\n")
    + STAGE.lstrip()
)
CHILDREN = 2 * 2 * 2


def _parts(bench) -> tuple[list[dict], list[dict]]:
    records = bench.records()
    return [r for r in records if not r["cell"]["parents"]], [
        r for r in records if r["cell"]["parents"]
    ]


def test_killed_during_the_parent_it_resumes_and_no_child_is_early(bench):
    suite = bench.suite(STAGED)
    process = bench.start("run", suite, "--workers", "2")
    wait_until(lambda: list(bench.store.glob("cells/*/*/*.log")))
    time.sleep(0.3)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    bench.wait_for_silence()
    assert not bench.done(), "killed too late to show anything"
    bench("run", suite, "--workers", "2")
    assert set(bench.done().values()) == {1}
    stages, children = _parts(bench)
    (stage,) = [r for r in stages if r["outcome"]["status"] == "done"]
    assert len(children) == CHILDREN
    assert all(child["started"] >= stage["ended"] for child in children)


def test_another_recipe_of_the_parent_is_another_parent_with_children_of_its_own(bench):
    suite = bench.suite(STAGED.replace("steps: 150", "steps: 3"))
    bench("run", suite, "--workers", "2")
    before = bench.done()
    bench.suite(STAGED.replace("steps: 150", "steps: 4"))
    status = bench("status", suite, code=1)
    assert re.search(rf"all cells +{CHILDREN + 1} +{CHILDREN + 1}\b", status), status
    bench("run", suite, "--workers", "2")
    after = bench.done()
    # The old records stay as they were, and nothing of them is reused.
    assert len(after) == 2 * len(before) == 2 * (CHILDREN + 1)
    assert all(after[cell] == 1 for cell in before)


def test_other_code_of_the_parent_makes_its_children_stale_too(bench):
    plugin = bench.folder / "mine.py"
    plugin.write_text(PLUGIN)
    text = STAGED.replace("axes:", "plugins: [../mine.py]\naxes:", 1)
    suite = bench.suite(
        text.replace("steps: 150", "steps: 3").replace(
            "source: {}", "source: {penalties: {mine: {}}}"
        )
    )
    bench("run", suite, "--workers", "2")
    plugin.write_text(PLUGIN.replace("0.5 *", "0.25 *"))
    # A process reads a part once: the edited one is seen by the next.
    status = bench.apart("status", suite, code=1)
    assert re.search(rf"all cells +{CHILDREN + 1} +{CHILDREN + 1}\b", status), status
    assert "code: penalty:mine" in status
    assert "parent" in status
    assert f"{CHILDREN + 1} done now" in bench.apart("run", suite, "--workers", "2")


def test_a_parent_that_fails_fails_its_children_at_once_with_that_reason(bench):
    broken = "recipe: {steps: 150, optimizer: {sgd: {lr: 1e30}}}"
    suite = bench.suite(STAGED.replace("recipe: {steps: 150}", broken))
    output = bench("run", suite, "--workers", "2", code=1)
    assert "not-a-number" in output
    stages, children = _parts(bench)
    assert [r["outcome"]["failure"]["kind"] for r in stages] == ["not-a-number"]
    assert {r["outcome"]["failure"]["kind"] for r in children} == {"parent"}
    assert len({r["cell"]["id"] for r in children}) == CHILDREN
    assert stages[0]["cell"]["id"][:8] in children[0]["outcome"]["failure"]["message"]
    # Mended, everything is done.
    bench.suite(STAGED.replace("steps: 150", "steps: 3"))
    bench("run", suite, "--workers", "2")
    assert len(bench.done()) == CHILDREN + 1


def test_two_suites_that_say_the_same_of_a_stage_share_it(bench):
    text = STAGED.replace("steps: 150", "steps: 3")
    table = bench.suite(text)
    other = bench.suite(text.replace("method: [l2, l2+bss]", "method: l2+bss"), "small/other")
    # Its children are some of the first suite's; run together each cell is run once.
    output = bench("run", other, table, "--workers", "2")
    assert f"{CHILDREN + 1} cells of 2 suites" in output
    assert "small/other 5/5 done\nsmall/table 9/9 done\ncells: 9 done now, 0 before" in output
    assert set(bench.done().values()) == {1}
    assert "0 done now, 5 before" in bench("run", other, "--workers", "2")
    # With another rate they are new, the stage is not.
    bench.suite(text.replace("[0.03, 0.05]", "0.02"), "small/other")
    assert "4 done now, 1 before" in bench("run", other, "--workers", "2")


def test_all_experiments_of_fast_start_from_one_source_a_backbone():
    names = (
        "initialisation", "initialisation-other-domain", "frozen-classifier", "classifier-warmup",
        "learning-rates", "optimizers", "convergence", "statistics", "warmup-steps",
    )  # fmt: skip
    for profile in ("offline", "smoke"):
        sources = {}
        for name in names:
            plan = load_plan(find_suite(f"fast/{name}"), profile)
            for cell in plan.unique().values():
                if not cell.parents:
                    sources.setdefault(cell.backbone, set()).add(cell.id)
        assert {backbone: len(ids) for backbone, ids in sources.items()} == dict.fromkeys(
            sources, 1
        )
        assert "test_resnet" in sources
