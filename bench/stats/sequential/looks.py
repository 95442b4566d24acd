"""A group-sequential rule: fewer seeds where a difference is plain, at the same level.

At each planned look the paired t test of the seeds so far is made at a level of its own. An
alpha-spending function (Lan and DeMets 1983) says how much of the level may be used up by each
look; how much a nominal level really uses up follows from the joint distribution of the t
statistics. The usual Brownian approximation of that distribution is too light for a handful of
seeds: with looks at 3, 5, 8, 11 and 15 it rejects a true hypothesis in 5.3 to 5.7% of cases
instead of 5%. It is not used here; ``bench.stats.sequential.tchain`` has the
exact one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Literal

from scipy.special import ndtr, ndtri

from bench.stats.sequential.tchain import TChain

Spending = Literal["obrien-fleming", "pocock"]


@dataclass(frozen=True)
class Looks:
    """When to look, and how the level is spent; fixed before the first seed.

    Attributes
    ----------
    at
        Numbers of seeds at which to test, rising, the first at least 2. A look's information
        fraction is its number over the last one.
    alpha
        Two-sided level of the whole rule.
    spending
        ``obrien-fleming`` keeps nearly all of the level for the last look; ``pocock`` spends it
        evenly, stops earlier and loses more power at the end.

    Raises
    ------
    ValueError
        If the looks are not rising integers from 2, ``alpha`` is not in (0, 1) or ``spending``
        is unknown.
    """

    at: tuple[int, ...]
    alpha: float = 0.05
    spending: Spending = "obrien-fleming"

    def __post_init__(self) -> None:
        rising = all(a < b for a, b in pairwise(self.at))
        if not self.at or self.at[0] < 2 or not rising:
            raise ValueError(f"looks rise from 2 or more seeds, not {self.at}")
        if not 0 < self.alpha < 1:
            raise ValueError(f"alpha is in (0, 1), not {self.alpha}")
        if self.spending not in ("obrien-fleming", "pocock"):
            raise ValueError(f"spending is obrien-fleming or pocock, not {self.spending!r}")


def spent(looks: Looks) -> tuple[float, ...]:
    """Return the level used up by each look, rising to ``alpha`` (Lan and DeMets 1983)."""
    fractions = [n / looks.at[-1] for n in looks.at]
    if looks.spending == "pocock":
        return tuple(looks.alpha * math.log1p((math.e - 1) * t) for t in fractions)
    # Both sides spend half of alpha each.
    z = float(ndtri(looks.alpha / 4))
    return tuple(4 * float(ndtr(z / math.sqrt(t))) for t in fractions)


@lru_cache(maxsize=256)
def levels(looks: Looks) -> tuple[float, ...]:
    """Return the nominal two-sided level of the t test at each look.

    With these the probability that any look rejects is ``alpha`` for independent normal
    differences at the margin, whatever their spread, and at most that if seeds stop coming early.
    """
    used = spent(looks)
    chain, out = TChain(looks.at[0], used[0]), [used[0]]
    for n, (before, after) in zip(looks.at[1:], pairwise(used), strict=True):
        out.append(chain.look(n, after - before))
    return tuple(out)
