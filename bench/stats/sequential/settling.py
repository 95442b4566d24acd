"""Settling a statement: seeds look by look, only where they may still decide.

The tests are those of ``bench.stats.verdict`` with sequential p-values in place of fixed ones, so
that margins, equality, Holm's correction and "at least m of K" mean the same. A comparison that
gets no more seeds, for whatever reason, can only have fewer chances to cross: stopping early for
want of promise costs power and never level.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr, ndtri

from bench.stats.intervals import Estimate, mean_interval
from bench.stats.sequential.looks import Looks, levels
from bench.stats.sequential.pvalues import level_of_last_look, sequential_sides
from bench.stats.sides import ALPHA, Sides, Values
from bench.stats.ttests import one_sided
from bench.stats.verdict import Decision, Question, decide

# Below this chance to be decided by the last look, if the mean and spread seen are the true ones,
# a comparison is not worth more seeds. With looks from 5 to 15, at a true effect of one standard
# deviation, this costs 5 points of power; at none it leaves 7 of 15 seeds.
WORTH = 0.1


@dataclass(frozen=True)
class AtLooks:
    """The tests at looks: see ``sides.Rule``."""

    looks: Looks

    def sides(self, x: Values, margin: float) -> Sides:
        """Return sequential p-values."""
        return sequential_sides(x, self.looks, margin)

    def estimate(self, x: Values) -> Estimate:
        """Return the mean at the last look reached, with its repeated confidence interval.

        All looks' intervals hold the expected value together with their confidence
        (Jennison and Turnbull 1989).
        """
        look = reached(self.looks, x.size)
        if look == 0:
            return replace(mean_interval(x), low=-math.inf, high=math.inf, half_width=None)
        level = levels(self.looks)[self.looks.at.index(look)]
        return mean_interval(x[:look], 1 - level)


@dataclass(frozen=True)
class Settled:
    """What looks say of a statement.

    Attributes
    ----------
    look
        Seeds of the look that decided; where none did, of the last one that any comparison has
        reached, 0 before the first.
    following
        For each comparison the number of seeds to go to; None for no more.
    chances
        For each comparison the larger of its chances to hold and to fail by the last look.
    """

    decision: Decision
    looks: Looks
    look: int
    following: tuple[int | None, ...]
    chances: tuple[float, ...]

    @property
    def level(self) -> float:
        """Nominal two-sided level of one comparison's t test at the look; 0 before the first."""
        return levels(self.looks)[self.looks.at.index(self.look)] if self.look else 0.0


def settle(
    samples: Sequence[ArrayLike], question: Question, looks: Looks, *, every: bool = False
) -> Settled:
    """Decide a statement at looks; the first look that decides stands.

    Parameters
    ----------
    samples
        K arrays ``(n_k,)`` in the order of their seeds.
    every
        Follow every comparison that is open, whatever its chance.

    Raises
    ------
    ValueError
        As ``verdict.decide``.
    """
    values = [np.asarray(each, dtype=np.float64) for each in samples]
    rule = AtLooks(looks)
    made = [n for n in looks.at if any(x.size >= n for x in values)] or [0]
    for look in made:
        decision = decide([x[:look] for x in values], question, rule)
        if decision.outcome != "undecided":
            return Settled(decision, looks, look, (None,) * len(values), (1.0,) * len(values))
    return _following(values, question, looks, decision, look, every)


def reached(looks: Looks, n: int) -> int:
    """Return the last look that n seeds reach; 0 before the first."""
    return max((look for look in looks.at if look <= n), default=0)


def _following(
    values: Sequence[Values],
    question: Question,
    looks: Looks,
    decision: Decision,
    look: int,
    every: bool,
) -> Settled:
    total, tests = len(values), decision.tests
    needed = total if question.quorum is None else question.quorum
    chances = [
        (_chance(x, question, looks, True, total), _chance(x, question, looks, False, total))
        for x in values
    ]
    wanted: set[int] = set()
    for side, reached_it, count in (
        (0, [test.holds for test in tests], needed),
        (1, [test.fails for test in tests], total - needed + 1),
    ):
        worth = {i for i, c in enumerate(chances) if not reached_it[i] and c[side] >= WORTH}
        if len(worth) + sum(reached_it) >= count:
            wanted |= worth
    if every:
        wanted = {i for i, test in enumerate(tests) if not (test.holds or test.fails)}
    following = [
        next((n for n in looks.at if n > x.size), None) if i in wanted else None
        for i, x in enumerate(values)
    ]
    return Settled(decision, looks, look, tuple(following), tuple(max(each) for each in chances))


def _chance(x: Values, question: Question, looks: Looks, support: bool, total: int) -> float:
    """Return the chance that a comparison holds, or fails, by the last look as it goes now."""
    alone = support and question.quorum is None
    need = -float(ndtri(level_of_last_look(looks, 2 * ALPHA / (1 if alone else total)) / 2))
    x = -x if question.expect == "less" else x
    if question.expect != "equal":
        margin = question.margin if support else question.threshold
        return _reaches(x if support else -x, margin if support else -margin, looks, need)
    margin = question.margin
    if support:
        # Both one-sided tests have to reject.
        inner = [_reaches(side, -margin, looks, need) for side in (x, -x)]
        return max(0.0, sum(inner) - 1)
    return max(_reaches(side, margin, looks, need) for side in (x, -x))


def _reaches(x: Values, margin: float, looks: Looks, need: float) -> float:
    """Return the chance that the last look finds μ > margin, if the trend so far is the truth.

    In normal quantiles a test goes as a Brownian motion with drift; the looks between are not
    counted, which makes the chance a little too small.
    """
    n, last = reached(looks, x.size), looks.at[-1]
    if n == 0:
        return 1.0
    if n == last or not np.isfinite(x[:n]).all():
        return 0.0
    z = float(np.clip(-ndtri(one_sided(x[:n], margin).p_greater), -8.0, 8.0))
    share = n / last
    return float(ndtr((z / math.sqrt(share) - need) / math.sqrt(1 - share)))
