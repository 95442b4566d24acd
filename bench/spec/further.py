"""Further seeds: those that follow on a suite's own."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count, islice

from bench.spec.recipe import Scalar


def with_further(seeds: Sequence[Scalar], at_least: int) -> tuple[Scalar, ...]:
    """Return seeds, then the smallest others, so that there are at least so many.

    >>> with_further((0, 1, 7), 5)
    (0, 1, 7, 2, 3)
    """
    others = (seed for seed in count() if seed not in seeds)
    return (*seeds, *islice(others, max(at_least - len(seeds), 0)))
