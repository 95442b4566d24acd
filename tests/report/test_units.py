"""A unit is a user's word: it stays a word on a page."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from bench.report.own_numbers import _what_is_shown
from bench.report.sections import Board
from bench.report.values import metric_unit

HOSTILE = "[px](javascript:x) <b> $1|*"
ESCAPED = "\\[px\\](javascript:x) \\<b\\> \\$1\\|\\*"


@pytest.mark.parametrize(
    ("unit", "shown"), [("px", "px"), ("nats/row", "nats/row"), (HOSTILE, ESCAPED)]
)
def test_a_unit_is_escaped_wherever_it_stands_in_a_sentence(unit, shown):
    metric = SimpleNamespace(metric="test/mine", label=None, unit=unit)
    suite = SimpleNamespace(table=SimpleNamespace(metrics=()), metrics=(metric,))
    board = SimpleNamespace(plan=SimpleNamespace(suite=suite), columns="rate")
    assert _what_is_shown(board) == f"`test/mine` in {shown} by rate: "
    assert Board.difference_unit.fget(board) == shown


@pytest.mark.parametrize(
    ("metric", "unit"),
    [
        ("near/test/top1", "%"), ("test/top1_error", "%"), ("test/loss", ""), ("head/norm", ""),
        ("cascade/saving", "%"), ("cascade/saving_error", "%"), ("distance/relative", ""),
        ("step-cost/saving", ""),
    ],
)  # fmt: skip
def test_numbers_without_a_plan_have_their_parts_unit(metric, unit):
    assert metric_unit(metric) == unit
