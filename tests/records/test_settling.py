"""The rule of settling is fixed once in a store."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError

from bench.errors import StoreError
from bench.records.layout import Layout
from bench.records.settling import SettlingRule, fix_settling_rule, settling_rule
from bench.spec.cell import Resources
from bench.spec.paper import Paper
from bench.spec.plan import Plan
from bench.spec.suite import Suite, Table

RULE = SettlingRule(looks=(5, 8, 11))


@pytest.fixture
def plan() -> Plan:
    suite = Suite(
        name="t", title="", source="", notes=(), table=Table(), labels={}, axes=(), metrics=()
    )
    paper = Paper(id="a-b", title="")
    return Plan(paper, suite, "offline", (), Resources(), Path("suites/a/t.yaml"), {}, {})


def test_the_first_rule_stays(tmp_path: Path, plan: Plan) -> None:
    layout = Layout(tmp_path / "store")
    assert settling_rule(layout, plan) is None
    assert fix_settling_rule(layout, plan, RULE) == RULE
    assert fix_settling_rule(layout, plan, SettlingRule(looks=(5, 30))) == RULE
    assert settling_rule(layout, plan) == RULE
    # A paper's id is no path; nothing is left beside the file.
    assert [f.name for f in (tmp_path / "store" / "settling").iterdir()] == ["a-b.t.offline.json"]


def test_each_profile_has_its_own(tmp_path: Path, plan: Plan) -> None:
    layout = Layout(tmp_path)
    fix_settling_rule(layout, plan, RULE)
    assert settling_rule(layout, replace(plan, profile="paper")) is None


def test_a_broken_rule_is_an_error(tmp_path: Path, plan: Plan) -> None:
    layout = Layout(tmp_path)
    fix_settling_rule(layout, plan, RULE)
    layout.settling("a-b", "t", "offline").write_text("{}")
    with pytest.raises(StoreError, match=r"is not a settling rule.*Field required"):
        settling_rule(layout, plan)


@pytest.mark.parametrize(
    "given",
    [
        {"looks": ()},
        {"looks": (1, 5)},
        {"looks": (-5,)},
        {"looks": (5, 5)},
        {"looks": (3, 4), "alpha": 0.99},
        {"looks": (3, 4), "alpha": 0.0},
    ],
)
def test_a_rule_from_elsewhere_that_is_none_is_not_taken(given: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        SettlingRule.model_validate(given)
