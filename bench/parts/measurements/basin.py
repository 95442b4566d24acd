"""Whether the convex hull of networks is a basin of the loss, and how wide a one."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import PositiveInt
from torch import Tensor

from bench.data.streams import Stream
from bench.errors import UserError
from bench.parts import Measured, Measurement, Measuring, measurement
from bench.parts.mixture import Mixture

Floats = NDArray[np.float64]
# The search for δ begins at this part of the diameter, and goes so many doublings up or down.
_BEGIN, _DOUBLINGS = 0.25, 12
# How often a factor of two is then halved on the scale of logarithms: to 4.4%.
_BISECTIONS = 4


@measurement("basin")
class Basin(Measurement):
    """(ε, δ) of the convex hull S of two or more networks (Neyshabur et al. 2020, Definition).

    A closed convex set S ⊂ ℝⁿ is an (ε, δ)-basin of a loss ℓ if, with w, w₁, w₂ uniform in S,
    μ = E ℓ(w), and f = f(w₁, w₂) the point where the ray from w₁ through w₂ leaves S,

    1. E |ℓ(w) − μ| ≤ ε,
    2. E ℓ(f + ν) − μ ≥ 2ε with ν ~ N(0, δ²/n · Iₙ),
    3. E ℓ(f + |ν| (f − w₁) / ‖f − w₁‖) − μ ≥ 2ε with ν ~ N(0, δ²).

    ``basin/epsilon`` is the left side of 1, the smallest ε there is. ``basin/delta`` is the
    smallest δ at which both 2 and 3 hold with it. It is 0 where the loss at the edge of S is
    above μ by 2ε already, as at both ends of a segment through the bottom of a bowl.
    ``basin/delta/relative`` is δ over ``basin/diameter``, the largest distance between two of the
    networks; ``basin/mean`` is μ, and ``basin/edge`` E ℓ(f) − μ, the left sides of 2 and 3 at
    δ = 0. The paper's table of ε and δ is not in our sources, nor is how they were found; a loss
    that never rises by 2ε has no δ, which is an error.

    What is our choice. ℝⁿ are all float parameters, the head's too; running statistics are no
    coordinates: in S they are weighted as the parameters are, and off S they are those of f
    (``statistics: averaged-anew``: taken anew everywhere, see ``linear-path``). ℓ is the
    objective's ``loss``, or the share of ``error`` (1 − top-1), on the first ``examples`` rows of
    the ``split`` in one random order. E in 1 is over ``points`` draws, a Latin hypercube of the
    hull's weights; in 2 and 3 over ``pairs`` draws (w₁, w₂), each taken both ways round, with one
    ν each in 2, and in 3 |ν| from as many equal parts of its distribution. All draws are the same
    at every δ. δ is sought upwards, or downwards, by factors of two from a quarter of the
    diameter, then by bisection to 4.4%: what is given is the upper end, at which both hold.
    """

    roles = ("first", "second", "other*")
    metrics = {
        "basin/epsilon": ("", "lowest"),
        "basin/delta": ("", "lowest"),
        "basin/delta/relative": ("", "lowest"),
        "basin/mean": ("", "lowest"),
        "basin/edge": ("", "highest"),
        "basin/diameter": ("", "lowest"),
    }
    points: PositiveInt = 16
    pairs: PositiveInt = 2
    examples: PositiveInt = 1000
    loss: Literal["loss", "error"] = "loss"
    split: Literal["test", "train"] = "test"
    statistics: Literal["interpolated", "averaged-anew"] = "interpolated"
    batch_size: PositiveInt = 100

    def __call__(self, measuring: Measuring) -> Measured:
        """Return ε and δ; UserError if two networks are one, or no δ is found."""
        mixture = Mixture(
            measuring,
            measuring.roles,
            statistics=self.statistics,
            batch_size=self.batch_size,
            part="basin",
        )
        hull = Hull(mixture.products(), mixture.parameters)

        @cache
        def standard(draw: int) -> Tensor:
            return torch.from_numpy(measuring.stream("noise", draw).normal(hull.dimensions)).float()

        def loss(place: Place) -> float:
            noise = None
            if place.noise is not None:
                draw, scale = place.noise
                noise = scale * standard(draw)
            network = mixture.put(
                place.weights.tolist(), statistics=place.inside.tolist(), noise=noise
            )
            found = measuring.scores(
                network, self.split, shuffle=measuring.stream("examples"), limit=self.examples
            )
            return found["loss"] if self.loss == "loss" else 1.0 - found["top1"]

        found = search(loss, hull, self.points, self.pairs, measuring.stream)
        return Measured(
            {
                "basin/epsilon": found.epsilon,
                "basin/delta": found.delta,
                "basin/delta/relative": found.delta / hull.diameter,
                "basin/mean": found.mean,
                "basin/edge": found.edge,
                "basin/diameter": hull.diameter,
            }
        )


@dataclass(frozen=True)
class Place:
    """Where a loss is asked for.

    Attributes
    ----------
    weights
        ``(k,)`` of the networks; they sum to 1, and some are negative off the hull.
    inside
        The same of the point of the hull that it is reached from.
    noise
        Which draw of N(0, Iₙ) is added, and times what; None for none.
    """

    weights: Floats
    inside: Floats
    noise: tuple[int, float] | None = None


@dataclass(frozen=True)
class Found:
    """What `search` found; see `Basin`."""

    epsilon: float
    delta: float
    mean: float
    edge: float


class Streams(Protocol):
    """Gives random streams by name."""

    def __call__(self, *name: object) -> Stream:
        """Return a stream at its beginning."""


class Hull:
    """The convex hull of k points of ℝⁿ, by their weights.

    Parameters
    ----------
    products
        ``(k, k)``: ⟨θᵢ − θ₁, θⱼ − θ₁⟩.
    dimensions
        n.

    Raises
    ------
    UserError
        If two of the points are one.
    """

    def __init__(self, products: Floats, dimensions: int) -> None:
        self.dimensions = dimensions
        self._products = products
        own = np.diag(products)
        squares = own[:, None] + own[None, :] - 2 * products
        # Of nearly equal points rounding may leave less than nothing.
        apart = np.sqrt(np.maximum(squares, 0.0))[np.triu_indices(len(own), 1)]
        if not len(apart) or apart.min() == 0:
            raise UserError(
                "two of the networks have the same parameters: between them there is no basin",
                field="measure.roles",
                remedy="give the roles different networks, by seed_plus for example",
            )
        self.diameter = float(apart.max())

    def draw(self, count: int, stream: Stream) -> Floats:
        """Return the weights ``(count, k)`` of points that are uniform in the hull.

        Gaps between sorted uniform numbers, which are a Latin hypercube's.
        """
        free = len(self._products) - 1
        levels = [(stream.permutation(count) + stream.uniform(count)) / count for _ in range(free)]
        cuts = np.sort(np.stack(levels, axis=1), axis=1)
        ends = np.zeros((count, 1))
        return np.diff(np.concatenate([ends, cuts, ends + 1], axis=1), axis=1)

    def leave(self, start: Floats, through: Floats) -> tuple[Floats, Floats]:
        """Return where a ray leaves the hull, and a step of length 1 along it, both ``(k,)``."""
        along = through - start
        length = math.sqrt(float(along @ self._products @ along))
        falling = along < 0
        reach = float((start[falling] / -along[falling]).min())
        edge = np.where(falling & (start + reach * along < 1e-12), 0.0, start + reach * along)
        return edge / edge.sum(), along / length


def search(
    loss: Callable[[Place], float], hull: Hull, points: int, pairs: int, streams: Streams
) -> Found:
    """Return ε and δ of a hull by the rule that `Basin` states.

    Raises
    ------
    UserError
        If a loss is not finite, or the conditions hold at no δ that is tried.
    """

    def asked(place: Place) -> float:
        value = loss(place)
        if not math.isfinite(value):
            raise UserError(f"the loss near the networks becomes {value}: no basin is seen there")
        return value

    inside = [asked(Place(w, w)) for w in hull.draw(points, streams("points"))]
    mean = float(np.mean(inside))
    epsilon = float(np.abs(np.array(inside) - mean).mean())
    first, second = hull.draw(pairs, streams("first")), hull.draw(pairs, streams("second"))
    exits = [
        hull.leave(*ends)
        for one, other in zip(first, second, strict=True)
        for ends in ((one, other), (other, one))
    ]
    # One of each part of the half-normal distribution, for both ways of a pair.
    shares = (np.arange(pairs) + streams("outward").uniform(pairs)) / pairs
    lengths = torch.special.ndtri(torch.from_numpy((1.0 + shares) / 2)).repeat_interleave(2)

    def noisy(delta: float) -> float:
        """Return the left side of condition 2."""
        scale = delta / math.sqrt(hull.dimensions)
        places = [Place(f, f, (draw, scale)) for draw, (f, _) in enumerate(exits)]
        return float(np.mean([asked(place) for place in places])) - mean

    def outward(delta: float) -> float:
        """Return the left side of condition 3."""
        steps = zip(exits, lengths.tolist(), strict=True)
        places = [Place(f + delta * length * step, f) for (f, step), length in steps]
        return float(np.mean([asked(place) for place in places])) - mean

    edge = float(np.mean([asked(Place(f, f)) for f, _ in exits])) - mean
    if edge >= 2 * epsilon:
        return Found(epsilon, 0.0, mean, edge)
    delta = smallest(
        lambda delta: noisy(delta) >= 2 * epsilon and outward(delta) >= 2 * epsilon,
        _BEGIN * hull.diameter,
    )
    if delta is None:
        raise UserError(
            f"the loss does not rise by 2ε = {2 * epsilon:.3g} above its mean {mean:.3g} in the "
            f"hull, as far as {_BEGIN * 2**_DOUBLINGS:g} diameters from it: no δ makes it a basin"
        )
    return Found(epsilon, delta, mean, edge)


def smallest(holds: Callable[[float], bool], begin: float) -> float | None:
    """Return the smallest positive number at which something holds, to 4.4% and not less.

    What holds is taken to hold for all that is larger, and not to hold at 0. None if it does not
    within twelve doublings of ``begin``.
    """
    high = begin
    if holds(high):
        for _ in range(_DOUBLINGS):
            if not holds(high / 2):
                break
            high /= 2
        else:
            return high
    else:
        for _ in range(_DOUBLINGS):
            high *= 2
            if holds(high):
                break
        else:
            return None
    low = high / 2
    for _ in range(_BISECTIONS):
        middle = math.sqrt(low * high)
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high
