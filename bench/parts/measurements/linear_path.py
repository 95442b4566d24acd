"""What networks are worth on the straight line through two."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Literal

from pydantic import PositiveInt

from bench.errors import UserError
from bench.parts import Line, Measured, Measurement, Measuring, measurement
from bench.parts.linear_probe import probe
from bench.parts.mixture import NEW, Mixture

_FIRST, _MIDDLE, _SECOND = Fraction(0), Fraction(1, 2), Fraction(1)


@measurement("linear-path")
class LinearPath(Measurement):
    """Scores and loss at θ(λ) = (1 − λ) θ₁ + λ θ₂ (Neyshabur et al. 2020, performance barriers).

    ``points`` values of λ lie evenly from ``low`` to ``high``; 0, ½ and 1 are among them. All
    float parameters and buffers are summed; integer buffers are the first network's. With a
    score A and the loss L on a ``split``:

    - ``barrier/A`` is max over 0 ≤ λ ≤ 1 of (1 − λ) A(0) + λ A(1) − A(λ), ``barrier/loss`` max
      of L(λ) − (1 − λ) L(0) − λ L(1): never negative, since it is 0 at both ends, and with noise
      seldom 0. The paper shows curves and no number; this is the usual one, except that others
      take the mean of both ends in place of the line (Frankle et al. 2020).
    - ``barrier/middle/A`` is the same at λ = ½ alone: no maximum is taken, so that it has either
      sign and no bias.
    - ``path/A`` and ``path/loss`` are means over 0 ≤ λ ≤ 1, by the trapezoidal rule;
      ``path/first``, ``path/middle``, ``path/second`` are at λ = 0, ½, 1, ``path/low`` and
      ``path/high`` at the ends of the grid, ``path/best`` the highest strictly between 0 and 1,
      and ``path/boost`` by how much that beats the better of A(0) and A(1), 0 where it does not:
      a maximum over points too, which noise alone makes positive.

    ``scores`` names the objective's metrics that are followed, by the names that they are to
    have here: ``{auc: auc}`` of a multi-label task.

    ``statistics`` of batch normalisations are ``interpolated`` like all else, which is what the
    released script would do; or ``averaged-anew`` at every point, both ends too, over the task's
    training rows, shuffled, in batches of about ``batch_size``. That is refused where a network
    was trained with frozen ones, which the cell that trained it tells; of a network that no cell
    trained it is refused where a normalisation has counted no batch.

    ``head`` is ``interpolated`` too, for networks of the same classes; or that of the ``first``
    or the ``second`` network everywhere; or a linear ``probe``, made anew at each point on the
    features of the training rows (`bench.parts.linear_probe`).
    """

    roles = ("first", "second")
    metrics = {
        "barrier/{scores}": ("%", "lowest"),
        "barrier/middle/{scores}": ("%", "lowest"),
        "barrier/loss": ("", "lowest"),
        "path/{scores}": ("%", "highest"),
        "path/first/{scores}": ("%", "highest"),
        "path/middle/{scores}": ("%", "highest"),
        "path/second/{scores}": ("%", "highest"),
        "path/best/{scores}": ("%", "highest"),
        "path/boost/{scores}": ("%", "highest"),
        "path/low/{scores}": ("%", "highest"),
        "path/high/{scores}": ("%", "highest"),
        "path/loss": ("", "lowest"),
    }
    curves = {"path/{scores}": "lambda", "path/loss": "lambda"}
    points: PositiveInt = 21
    low: float = 0.0
    high: float = 1.0
    scores: dict[str, str] = {"top1": "top1"}
    split: Literal["test", "train"] = "test"
    statistics: Literal["interpolated", "averaged-anew"] = "interpolated"
    batch_size: PositiveInt = 100
    head: Literal["interpolated", "first", "second", "probe"] = "interpolated"

    def __call__(self, measuring: Measuring) -> Measured:
        """Return barriers and curves; UserError if the grid or the networks will not do."""
        at = grid(self.points, self.low, self.high)
        if self.head == "probe" and self.split == "train":
            raise UserError(
                "a probe made on the training rows would be scored on them",
                field="measure.part.linear-path.split",
                remedy="use split: test",
            )
        mixture = Mixture(
            measuring,
            self.roles,
            head=NEW if self.head == "probe" else self.head,
            statistics=self.statistics,
            batch_size=self.batch_size,
            part="linear-path",
        )
        found = [self._scores(measuring, mixture, float(each)) for each in at]
        places = [float(each) for each in at]
        loss = [scores["loss"] for scores in found]
        inner = range(at.index(_FIRST), at.index(_SECOND) + 1)
        between = [places[i] for i in inner]
        metrics = {
            # A loss is better the lower it is: its barrier is that of its negative.
            "barrier/loss": max(below_line(between, [-loss[i] for i in inner])),
            "path/loss": mean(between, [loss[i] for i in inner]),
        }
        curves = {"path/loss": Line(places, loss)}
        for name, metric in self.scores.items():
            values = [scores[metric] for scores in found]
            curves[f"path/{name}"] = Line(places, values)
            metrics |= _summary(name, at, values)
        return Measured(metrics, curves)

    def _scores(self, measuring: Measuring, mixture: Mixture, at: float) -> dict[str, float]:
        network = mixture.put([1.0 - at, at])
        if self.head == "probe":
            probe(measuring, network)
        found = measuring.scores(network, self.split)
        missing = sorted({*self.scores.values(), "loss"} - found.keys())
        if missing:
            raise UserError(
                f"the objective has no {missing[0]}; it gives {', '.join(sorted(found))}",
                field="measure.part.linear-path.scores",
                remedy="name metrics of the objective; a loss is asked for in any case",
            )
        return found


def grid(points: int, low: float, high: float) -> list[Fraction]:
    """Return so many values, evenly from low to high.

    Raises
    ------
    UserError
        If 0, ½ and 1 are not all among them.
    """
    # As they are written: 0.1 is a tenth.
    first, last = Fraction(str(low)), Fraction(str(high))
    at = [first + (last - first) * i / max(points - 1, 1) for i in range(points)]
    if not {_FIRST, _MIDDLE, _SECOND} <= set(at):
        raise UserError(
            f"0, 0.5 and 1 are not all among {points} points from {low} to {high}",
            field="measure.part.linear-path.points",
            remedy="use an odd number between 0 and 1, such as 21, or 31 between -1 and 2",
        )
    return at


def below_line(at: Sequence[float], values: Sequence[float]) -> list[float]:
    """Return by how much each value is below the straight line from the first to the last.

    Exactly 0 at both ends, and everywhere where all values are equal.
    """
    start, end = values[0], values[-1]
    found = []
    for place, value in zip(at, values, strict=True):
        share = (place - at[0]) / (at[-1] - at[0])
        step = end - start
        line = start + share * step if share < 0.5 else end - (1.0 - share) * step
        found.append(line - value)
    return found


def mean(at: Sequence[float], values: Sequence[float]) -> float:
    """Return the mean of a curve over its whole range, by the trapezoidal rule."""
    areas = (
        (right - left) * (one + other) / 2
        for (left, right), (one, other) in zip(pairwise(at), pairwise(values), strict=True)
    )
    return sum(areas) / (at[-1] - at[0])


def _summary(name: str, at: Sequence[Fraction], values: Sequence[float]) -> dict[str, float]:
    by_place = dict(zip(at, values, strict=True))
    inner = {place: v for place, v in by_place.items() if _FIRST <= place <= _SECOND}
    places, scores = [float(place) for place in inner], list(inner.values())
    below = dict(zip(inner, below_line(places, scores), strict=True))
    best = max(scores[1:-1])
    return {
        f"barrier/{name}": max(below.values()),
        f"barrier/middle/{name}": below[_MIDDLE],
        f"path/{name}": mean(places, scores),
        f"path/first/{name}": by_place[_FIRST],
        f"path/middle/{name}": by_place[_MIDDLE],
        f"path/second/{name}": by_place[_SECOND],
        f"path/best/{name}": best,
        f"path/boost/{name}": max(0.0, best - max(scores[0], scores[-1])),
        f"path/low/{name}": values[0],
        f"path/high/{name}": values[-1],
    }
