"""What claims take of a curve shows no effect where there is none, nor hides one.

Two methods of one distribution are compared in 400 tables of 15 seeds. By a one-sided t test at
2.5% as many tables may support a difference as chance gives: 10, and three standard errors more are
19. The drop after a warm-up and what is forgotten are simulated beside their code.
"""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from bench.records.record import Curve
from bench.report.values import curve_value
from bench.spec.claims import At

TABLES, SEEDS, MOST = 400, 15, 19
CHECKPOINTS = (0, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144)


def _anytime(draw: np.random.Generator) -> Curve:
    """Return the test accuracy, at each checkpoint, of the state that validates best so far.

    The network learns towards a level of its own; both scores are of finite splits.
    """
    level, speed = draw.normal(0.7, 0.03), draw.lognormal(np.log(8), 0.2)
    steps = np.arange(145)
    truth = level * (1 - np.exp(-steps / speed)) + draw.normal(0, 0.01, 145)
    seen, scored = (truth + draw.normal(0, noise, 145) for noise in (0.03, 0.01))
    best = np.maximum.accumulate(np.where(seen >= np.maximum.accumulate(seen), steps, 0))
    return Curve(CHECKPOINTS, tuple(float(scored[best[step]]) for step in CHECKPOINTS))


def _supported(differences: NDArray[np.float64]) -> int:
    tables = differences.reshape(TABLES, SEEDS)
    found = stats.ttest_1samp(tables, 0, axis=1, alternative="greater").pvalue < 0.025
    return int(found.sum())


@pytest.mark.parametrize(
    "at",
    [
        At(area=(0, 100), scale="log"),
        At(area=(0, 100)),
        At(area=(0, 21), scale="log"),
        At(step=21),
        At(step=144),
    ],
    ids=["log area", "area", "early log area", "a step", "the end"],
)
def test_one_curve_is_not_above_another_of_its_kind(at: At) -> None:
    draw = np.random.default_rng(1)
    values = np.array([curve_value(_anytime(draw), at) for _ in range(2 * TABLES * SEEDS)])
    assert _supported(values[::2] - values[1::2]) <= MOST
    assert _supported(values[::2] - values[1::2] + 0.1) > 0.99 * TABLES
