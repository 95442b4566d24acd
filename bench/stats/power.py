"""How many seeds a comparison would take."""

from __future__ import annotations

import math


def paired_power(effect: float, n: int, alpha: float = 0.05) -> float:
    """Return the probability that the two-sided paired t test at n pairs rejects.

    Parameters
    ----------
    effect
        Expected difference in standard deviations of the differences.
    n
        Pairs, at least 2.
    alpha
        Two-sided level, in (0, 1).
    """
    from statsmodels.stats.power import ttest_power

    # Each side by itself: the far side is below 3e-7 for a noncentrality over 5, where its
    # noncentral t cannot be relied on (NaN in some versions), nor can the near one's over 1e5.
    noncentrality = min(abs(effect) * math.sqrt(n), 1e5)
    effect = noncentrality / math.sqrt(n)
    near = ttest_power(effect, n, alpha / 2, alternative="larger")
    far = ttest_power(effect, n, alpha / 2, alternative="smaller") if noncentrality < 5 else 0.0
    return float(near + far)


def seeds_to_decide(
    mean: float,
    sd: float,
    margin: float = 0.0,
    power: float = 0.8,
    alpha: float = 0.05,
    limit: int = 1000,
) -> int | None:
    """Return the fewest seeds at which the paired t test would decide with the given power.

    The answer is for the case that ``mean`` and ``sd`` are the true ones. Taken from a few seeds
    they are estimates, and so is the answer.

    Parameters
    ----------
    mean, sd
        Mean and standard deviation (``ddof=1``) of the paired differences.
    margin
        What the mean is tested against, two-sided.
    power, alpha
        Wished probability of a decision, and the test's level; both in (0, 1).
    limit
        Most seeds that are considered.

    Returns
    -------
    int or None
        At least 2; None if no number up to ``limit`` is enough, as where the mean is at the
        margin, or where ``mean`` or ``sd`` is not finite. With sd = 0 it is 2 off the margin.

    Raises
    ------
    ValueError
        If ``sd`` is negative or ``power`` or ``alpha`` is not in (0, 1).
    """
    if sd < 0:
        raise ValueError(f"sd is not negative, not {sd}")
    if not (0 < power < 1 and 0 < alpha < 1):
        raise ValueError(f"power and alpha are in (0, 1), not {power} and {alpha}")
    distance = abs(mean - margin)
    if not math.isfinite(distance) or not math.isfinite(sd) or distance == 0 or limit < 2:
        return None
    if sd == 0:
        return 2
    effect = distance / sd
    if paired_power(effect, limit, alpha) < power:
        return None
    low, high = 1, limit  # enough at high, not at low: power grows with n
    while high - low > 1:
        middle = (low + high) // 2
        if paired_power(effect, middle, alpha) >= power:
            high = middle
        else:
            low = middle
    return high
