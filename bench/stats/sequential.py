"""A group-sequential rule: fewer seeds where a difference is plain, at the same level.

At each planned look the paired t test of the seeds so far is made at a level of its own. An
alpha-spending function (Lan and DeMets 1983) says how much of the level may be used up by each
look; how much a nominal level really uses up follows from the joint distribution of the t
statistics. The usual Brownian approximation of that distribution is too light for a handful of
seeds: with looks at 3, 5, 8, 11 and 15 it rejects a true hypothesis in 5.3 to 5.7% of cases
instead of 5%. It is not used here; ``bench.stats.tchain`` has the exact one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Literal

from numpy.typing import ArrayLike
from scipy.special import ndtr, ndtri

from bench.stats.sample import sample, vector
from bench.stats.tchain import TChain
from bench.stats.ttests import one_sided

Spending = Literal["obrien-fleming", "pocock"]


@dataclass(frozen=True)
class Plan:
    """When to look, and how the level is spent; fixed before the first seed.

    Attributes
    ----------
    looks
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

    looks: tuple[int, ...]
    alpha: float = 0.05
    spending: Spending = "obrien-fleming"

    def __post_init__(self) -> None:
        rising = all(a < b for a, b in pairwise(self.looks))
        if not self.looks or self.looks[0] < 2 or not rising:
            raise ValueError(f"looks rise from 2 or more seeds, not {self.looks}")
        if not 0 < self.alpha < 1:
            raise ValueError(f"alpha is in (0, 1), not {self.alpha}")
        if self.spending not in ("obrien-fleming", "pocock"):
            raise ValueError(f"spending is obrien-fleming or pocock, not {self.spending!r}")


@dataclass(frozen=True)
class Decision:
    """What a plan says of the seeds so far.

    Attributes
    ----------
    decided
        Side of the margin on which the expected difference lies; None while undecided, and at
        the end where the last look does not decide either.
    look
        Seeds of the look that decided, or of the last look reached; 0 before the first.
    level
        Nominal two-sided level of that look; 0 before the first.
    p
        Nominal two-sided p-value there, to be compared with ``level`` alone; 1 before the first.
    """

    decided: Literal["greater", "less"] | None
    look: int
    level: float
    p: float


def spent(plan: Plan) -> tuple[float, ...]:
    """Return the level used up by each look, rising to ``alpha`` (Lan and DeMets 1983)."""
    fractions = [n / plan.looks[-1] for n in plan.looks]
    if plan.spending == "pocock":
        return tuple(plan.alpha * math.log1p((math.e - 1) * t) for t in fractions)
    # Both sides spend half of alpha each.
    z = float(ndtri(plan.alpha / 4))
    return tuple(4 * float(ndtr(z / math.sqrt(t))) for t in fractions)


@lru_cache(maxsize=256)
def levels(plan: Plan) -> tuple[float, ...]:
    """Return the nominal two-sided level of the t test at each look.

    With these the probability that any look rejects is ``alpha`` for independent normal
    differences at the margin, whatever their spread, and at most that if seeds stop coming early.
    """
    used = spent(plan)
    chain, out = TChain(plan.looks[0], used[0]), [used[0]]
    for n, (before, after) in zip(plan.looks[1:], pairwise(used), strict=True):
        out.append(chain.look(n, after - before))
    return tuple(out)


def decide(differences: ArrayLike, plan: Plan, margin: float = 0.0) -> Decision:
    """Apply a plan to paired differences in the order in which their seeds were made.

    The first look that decides stands; later seeds, and seeds between looks, do not count.

    Parameters
    ----------
    differences
        ``(n,)``, one a pair. A value that is not finite leaves every look that has it undecided,
        with p NaN. Equal differences do not decide before the last look: accuracies are
        multiples of one image, a few differences may tie by chance, and Student's t takes a tie
        for certainty.
    plan
        The looks and the level.
    margin
        What the expected difference is compared with.

    Raises
    ------
    ValueError
        If ``differences`` is not one-dimensional.
    """
    x = vector(differences)
    last = Decision(None, 0, 0.0, 1.0)
    for n, level in zip(plan.looks, levels(plan), strict=True):
        if n > x.size:
            break
        test = one_sided(x[:n], margin)
        last = Decision(None, n, level, test.p_two_sided)
        tied = n < plan.looks[-1] and sample(x[:n]).sd == 0
        if last.p <= level and not tied:
            return Decision("greater" if test.p_greater < 0.5 else "less", n, level, last.p)
    return last
