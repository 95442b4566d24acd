"""Adjustment of the p-values of one family: comparisons of a claim, claims of a paper."""

from __future__ import annotations

import math
from collections.abc import Sequence


def holm(p: Sequence[float]) -> tuple[float, ...]:
    """Adjust p-values by Holm's step-down rule, in the order given.

    Calling a comparison decided where its adjusted p is at most α keeps the probability of even
    one wrong decision in the family at α, whatever the dependence (Holm 1979).

    Parameters
    ----------
    p
        The family's raw p-values. A NaN, a comparison that was not made, stays NaN and does not
        count; an empty family gives an empty tuple.

    Raises
    ------
    ValueError
        If a p-value is outside [0, 1].
    """
    known = [i for i, value in enumerate(p) if not math.isnan(value)]
    if any(not 0 <= p[i] <= 1 for i in known):
        raise ValueError(f"p-values are in [0, 1], not {[p[i] for i in known]}")
    adjusted = [math.nan] * len(p)
    # By hand: statsmodels' multipletests collects garbage at each call, 0.15 s for four numbers.
    largest = 0.0
    for rank, i in enumerate(sorted(known, key=lambda i: p[i])):
        largest = max(largest, min(1.0, (len(known) - rank) * p[i]))
        adjusted[i] = float(largest)
    return tuple(adjusted)


def false_discovery(p: Sequence[float]) -> tuple[float, ...]:
    """Adjust p-values by Benjamini and Yekutieli's step-up rule, in the order given.

    Of the verdicts whose adjusted p is at most q, a share of at most q is wrong on average,
    whatever the dependence (Benjamini and Yekutieli 2001), sides counted for two-sided p
    (Benjamini and Yekutieli 2005).

    Parameters
    ----------
    p
        The family's raw p-values. A NaN, what was not tested, stays NaN and does not count.

    Raises
    ------
    ValueError
        If a p-value is outside [0, 1].
    """
    # Imported here: scipy.stats takes half a second.
    from scipy.stats import false_discovery_control

    known = [i for i, value in enumerate(p) if not math.isnan(value)]
    adjusted = [math.nan] * len(p)
    if known:
        found = false_discovery_control([p[i] for i in known], method="by")
        for i, value in zip(known, found, strict=True):
            adjusted[i] = float(value)
    return tuple(adjusted)
