"""Settling's rule is fixed before anything is judged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench.cli.settle import Asked, Settlement
from bench.errors import UserError
from bench.records.layout import Layout
from bench.spec.claims import Claim

from ..report.studies import PAPER, Study, study

CLAIM = Claim.model_validate(
    {
        "id": "bss-helps", "text": "BSS helps.", "source": "Table 1", "suite": "table1",
        "compare": [{"axis": "method", "pairs": [["l2+bss", "l2"]]}],
        "expect": "greater", "refuted_by": "It does not.",
    }
)  # fmt: skip


@pytest.fixture
def made() -> Study:
    paper = PAPER.model_copy(update={"claims": (CLAIM,)})
    empty = study({"seed": [0, 1, 2, 3, 4], "sampling_rate": [0.15]})
    return replace(empty, plan=replace(empty.plan, paper=paper))


def settlement(made: Study, store: Path, **asked: object) -> Settlement:
    session = SimpleNamespace(
        plan=made.plan, store=SimpleNamespace(layout=Layout(store)), results=lambda: made.results
    )
    return Settlement(session, Asked(**asked), None, None, None)  # type: ignore[arg-type]


def test_the_rule_is_fixed_before_the_first_verdict_and_then_holds(
    made: Study, tmp_path: Path
) -> None:
    rule = settlement(made, tmp_path, most=11)._rule()
    assert rule.looks == (5, 8, 11)
    made.record([0.5, 0.6, 0.5, 0.6, 0.5], method="l2")
    made.record([0.6, 0.5, 0.6, 0.5, 0.5], method="l2+bss")
    assert settlement(made, tmp_path)._rule() == rule


@pytest.mark.parametrize("dry_run", [False, True])
def test_what_a_fixed_number_of_seeds_has_judged_is_not_settled_too(
    made: Study, tmp_path: Path, dry_run: bool
) -> None:
    made.record([0.5, None, None, None, None], method="l2")
    made.record([0.6, None, None, None, None], method="l2+bss")
    # One seed is no verdict.
    assert settlement(made, tmp_path, dry_run=True)._rule().looks[0] == 5
    made.record([0.5, 0.6, 0.5, None, None], method="l2")
    made.record([0.6, 0.6, 0.4, None, None], method="l2+bss")
    with pytest.raises(UserError, match=r"bss-helps.*second chance.*\n.*begin with"):
        settlement(made, tmp_path, dry_run=dry_run)._rule()
    assert not list(tmp_path.glob("settling/*"))
