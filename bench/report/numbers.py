"""How numbers are written: means, half-widths, differences, portions."""

from __future__ import annotations

import math

from bench.stats.intervals import Estimate

NOTHING = "–"
NO_SPREAD = "(no spread)"
"""Beside a mean of equal values: that their spread is zero is not known."""


def number(value: float, decimals: int, *, signed: bool = False) -> str:
    """Return a number with a typographic minus, never a negative zero.

    >>> number(-0.321, 2), number(0.5, 1, signed=True), number(-0.001, 2, signed=True)
    ('−0.32', '+0.5', '0.00')
    """
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("∞" if value > 0 else "−∞")
    text = f"{value:+.{decimals}f}" if signed else f"{value:.{decimals}f}"
    if float(text) == 0:
        text = text.lstrip("+-")
    return text.replace("-", "−")


def compact(value: float) -> str:
    """Return a number in few characters: powers of ten where zeros would have to be counted.

    >>> compact(0.25), compact(100.0), compact(1e-3), compact(2.5e-8)
    ('0.25', '100', '1e-3', '2.5e-8')
    """
    if value == 0 or 1e-3 < abs(value) < 1e5 or not math.isfinite(value):
        return f"{value:g}"
    mantissa, _, exponent = f"{value:.5e}".partition("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"


def mean_text(
    estimate: Estimate, decimals: int, *, bold: bool = False, signed: bool = False
) -> str:
    """Return ``mean ± half-width``, the mean alone for one value, a dash for none.

    Beside the mean of several equal values stands that they have no spread.
    """
    if estimate.n == 0:
        return NOTHING
    mean = number(estimate.mean, decimals, signed=signed)
    mean = f"**{mean}**" if bold else mean
    if estimate.no_spread:
        return f"{mean} {NO_SPREAD}"
    if estimate.half_width is None:
        return mean
    return f"{mean} ± {number(estimate.half_width, decimals)}"


def portion(n: int, expected: int) -> str:
    """Return how many of how many."""
    return f"{n}/{expected}"


def plural(n: int, noun: str, nouns: str | None = None) -> str:
    """Return a count with its noun.

    >>> plural(1, "cell"), plural(2000, "cell"), plural(2, "entry", "entries")
    ('1 cell', '2,000 cells', '2 entries')
    """
    return f"{n:,} {noun if n == 1 else nouns or noun + 's'}"
