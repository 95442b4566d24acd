"""What is left of one accuracy at a value of another, by isotonic regression: scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.isotonic import IsotonicRegression

from bench.records.record import Curve
from bench.report.crossing import Undefined, fitted_value


def curves(base, tail) -> tuple[Curve, Curve]:
    steps = tuple(range(1, len(base) + 1))
    return Curve(steps, tuple(map(float, tail))), Curve(steps, tuple(map(float, base)))


@pytest.mark.parametrize("falling", [True, False])
@pytest.mark.parametrize("seed", range(5))
def test_the_fit_is_isotonic_regression(falling, seed):
    draw = np.random.default_rng(seed)
    # Some values come several times, as accuracies of a small test split do.
    base = draw.integers(20, 60, 25) / 100
    tail = np.clip(0.8 - base + 0.2 * draw.normal(size=25), 0, 1)
    known = IsotonicRegression(increasing=not falling).fit(base, tail)
    for value in np.linspace(base.min(), base.max(), 9):
        found = fitted_value(*curves(base, tail), float(value), falling=falling)
        assert found == pytest.approx(known.predict([value])[0], abs=1e-12)


def test_a_trade_off_without_noise_is_read_between_its_points():
    tail, base = curves([0.60, 0.45, 0.30], [0.0, 0.3, 0.6])
    assert fitted_value(tail, base, 0.35, falling=True) == pytest.approx(0.5)
    # Later points count too: the curve need not be the first to come by.
    tail, base = curves([0.60, 0.30, 0.40], [0.0, 0.6, 0.4])
    assert fitted_value(tail, base, 0.35, falling=True) == pytest.approx(0.5)


@pytest.mark.parametrize("value", [0.29, 0.61])
def test_nothing_is_extrapolated(value):
    found = fitted_value(*curves([0.60, 0.30], [0.0, 0.6]), value, falling=True)
    assert found == Undefined("has no points on both sides of it")


def test_curves_without_a_step_in_common_have_no_fit():
    tail, base = Curve((1, 2), (0.0, 0.1)), Curve((3, 4), (0.5, 0.4))
    assert fitted_value(tail, base, 0.45, falling=True) == Undefined("has no point in common")
