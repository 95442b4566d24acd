from __future__ import annotations

import math

import pytest

from bench.report.numbers import mean_text, number, plural
from bench.stats.intervals import mean_interval


@pytest.mark.parametrize(
    ("value", "decimals", "signed", "text"),
    [
        (81.054, 2, False, "81.05"),
        (-0.32, 2, False, "−0.32"),
        (0.32, 2, True, "+0.32"),
        (-0.004, 2, True, "0.00"),
        (0.004, 2, True, "0.00"),
        (1234.5, 0, False, "1234"),
        (math.nan, 2, True, "NaN"),
        (-math.inf, 2, False, "−∞"),
    ],
)
def test_numbers_are_written_once_and_for_all(
    value: float, decimals: int, signed: bool, text: str
) -> None:
    assert number(value, decimals, signed=signed) == text


@pytest.mark.parametrize(
    ("values", "text"),
    [([], "–"), ([1.5], "1.50"), ([2.0, 2.0], "2.00 (no spread)"), ([1.0, math.nan], "NaN")],
)
def test_an_entry_says_no_more_than_its_values_do(values: list[float], text: str) -> None:
    assert mean_text(mean_interval(values), 2) == text


def test_bold_is_the_mean_alone() -> None:
    assert mean_text(mean_interval([1.0, 3.0]), 1, bold=True) == "**2.0** ± 12.7"


def test_counts_have_their_noun() -> None:
    assert plural(1, "entry", "entries") == "1 entry"
    assert plural(12000, "cell") == "12,000 cells"
