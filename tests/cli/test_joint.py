"""Several suites in one command: shared cells once, and nothing begun where one is broken."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from bench.cli.joint import open_joint
from bench.errors import SpecError
from tests.cli.laid import SUITE as LAID

BOTH = ("laid/table", "laid/other")
OTHER = LAID.replace("title: Laid", "title: Other").replace("[glyphs, digits]", "digits")
MINE = """
from bench.parts import Penalty, penalty

@penalty("mine")
class Mine(Penalty):
    weight: float = 1.0

    def __call__(self, step):
        return {factor} * step.logits.square().mean()
"""
# As the objective of images, but its accuracy may be any number.
POINTS = """
from bench.parts import objective
from bench.parts.objectives.classification import Classification

@objective("points")
class Points(Classification):
    score = "top1"
    term = "points"
    metrics = {"top1": ("", "highest"), "top5": ("%", "highest"), "loss": ("", "lowest")}
"""


@pytest.fixture
def two(laid: Path) -> Path:
    """As ``laid``, with the suite ``laid/other``: half of the cells, and nothing else."""
    (laid / "suites" / "laid" / "other.yaml").write_text(OTHER)
    return laid


def files(joint) -> list[str]:
    return [session.plan.file.stem for session in joint.sessions]


def test_a_papers_name_stands_for_its_suites_that_have_the_profile(two):
    paper = two / "suites" / "laid"
    (paper / "third.yaml").write_text(LAID.replace("profiles: {offline", "profiles: {smoke"))
    opened = open_joint(["laid"], "offline", Path("store"))
    assert files(opened) == ["other", "table"]
    assert files(open_joint([str(paper)], "offline", Path("store"))) == ["other", "table"]
    assert files(open_joint(["laid"], "smoke", Path("store"))) == ["third"]
    # Each once, in the order in which they are named.
    assert files(open_joint([*BOTH, "laid", "table"], "offline", Path("store"))) == [
        "table",
        "other",
    ]
    with pytest.raises(SpecError, match=r"no suite of this paper has a profile 'smoky'\n.*'smoke'"):
        open_joint(["laid"], "smoky", Path("store"))


def test_a_name_of_a_paper_and_a_suite_is_refused(two):
    shutil.copytree(two / "suites" / "laid", two / "suites" / "table")
    with pytest.raises(SpecError, match="'table' stands for laid/table, table/table and for the"):
        open_joint(["table"], "offline", Path("store"))
    assert files(open_joint(["suites/table"], "offline", Path("store"))) == ["other", "table"]


def test_cells_of_several_suites_are_one(two):
    joint = open_joint(BOTH, "offline", Path("store"))
    table, other = joint.sessions
    assert set(other.states) < set(table.states) == set(joint.states)
    assert joint.suites == {"laid/table": set(table.states), "laid/other": set(other.states)}
    assert joint.expected.units.keys() == joint.states.keys()
    assert open_joint(BOTH[:1], "offline", Path("store")).suites == {}


def test_every_broken_suite_is_named_and_nothing_is_begun(two, bench):
    for name, text in (("bad", "titel: x\n"), ("worse", "title: [1\n")):
        (two / "suites" / "laid" / f"{name}.yaml").write_text(text)
    for command in ("run", "plan", "status", "report"):
        result = bench(command, *BOTH, "laid/bad", "laid/worse", "--store", "fresh")
        told = str(result.exception)
        assert "2 of 4 suites cannot be used, and nothing is begun" in told
        assert "bad.yaml:1: titel: unknown key" in told
        assert "worse.yaml" in told
        assert not result.output
    assert not Path("fresh").exists()
    assert not Path("leaderboards").exists()


def test_one_name_for_two_parts_is_said_before_anything_runs(two, bench):
    for name, factor in (("table", 1), ("other", 2)):
        (two / "suites" / f"{name}.py").write_text(MINE.format(factor=factor))
        text = LAID.replace("axes:", f"plugins: [../{name}.py]\naxes:", 1).replace("l2:", "mine:")
        (two / "suites" / "laid" / f"{name}.yaml").write_text(text)
    told = str(bench("run", *BOTH, "--store", "fresh").exception)
    assert "penalty:mine of laid/other is another than that of laid/table" in told
    assert not Path("fresh").exists()


def test_a_unit_that_differs_is_said_before_anything_runs(two, bench):
    (two / "suites" / "points.py").write_text(POINTS)
    other = OTHER.replace("axes:", "plugins: [../points.py]\ntask: {objective: points}\naxes:", 1)
    (two / "suites" / "laid" / "other.yaml").write_text(other)
    told = str(bench("run", *BOTH, "--store", "fresh").exception)
    assert "the unit of test/top1 in laid/other is another than in laid/table" in told


def test_settling_takes_one_suite(two, bench):
    result = bench("run", *BOTH, "--until-decided")
    assert result.exit_code == 2
    assert "takes one suite" in result.output


def test_a_plan_of_several_says_what_they_share(two, bench):
    output = bench("plan", *BOTH).output
    table, other = (bench("plan", name).output for name in BOTH)
    assert output.startswith(f"{table}\n{other}\n2 suites: 13 cells; 7 more are in several")
    rows = [json.loads(line) for line in bench("plan", *BOTH, "--json").output.splitlines()]
    alone = [json.loads(line) for line in bench("plan", BOTH[1], "--json").output.splitlines()]
    assert [row for row in rows if row.pop("suite") == "laid/other"] == alone


def test_a_status_of_several_is_done_when_all_are(two, bench):
    result = bench("status", *BOTH)
    assert result.exit_code == 0
    assert result.output.startswith("laid/table, profile offline: Laid\n")
    assert "\nlaid/other, profile offline: Other\n" in result.output
    assert result.output.count("Every cell is done") == 1
    (two / "suites" / "laid" / "other.yaml").write_text(OTHER.replace("seed: 3", "seed: 4"))
    result = bench("status", *BOTH)
    assert result.exit_code == 1
    rest = "bench run laid/table laid/other --profile offline --store store"
    assert f"Run the rest: {rest}" in result.output


def test_a_run_of_what_is_done_tells_of_each_suite(two, bench):
    result = bench("run", *BOTH)
    assert result.exit_code == 0, result.output
    assert "13 cells of 2 suites (13 done)" in result.output
    assert "laid/table 13/13 done\nlaid/other 7/7 done\ncells: 0 done now, 13 bef" in result.output
    assert "bench report laid/table laid/other --profile" in result.output
    alone = bench("run", BOTH[1]).output
    assert "7 cells (7 done);" in alone
    assert "/7" not in alone


def test_a_report_of_several_writes_all_pages_and_says_which_is_not_done(two, bench):
    (two / "suites" / "laid" / "other.yaml").write_text(OTHER.replace("seed: 0", "seed: 1"))
    result = bench("report", *BOTH)
    assert result.exit_code == 1, result.output
    assert "laid/other: no cell is done: the tables are empty" in result.output
    assert "laid/table:" not in result.output
    pages = {file.name for file in Path("leaderboards/laid").glob("*.md")}
    assert pages == {"table.offline.md", "other.offline.md"}
