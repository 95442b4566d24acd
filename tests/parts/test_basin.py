"""(ε, δ) of basins of quadratic losses, against closed forms."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from bench.data.streams import Stream
from bench.errors import UserError
from bench.parts.checks.measuring import RandomMeasuring
from bench.parts.measurements.basin import Basin, Hull, Place, search, smallest
from bench.spec.seeds import stream_seed
from tests.parts.test_linear_path import INPUTS, flat, measuring, network, pair, without_head

N = 500


def streams(*name: object) -> Stream:
    return Stream(stream_seed(0, "measurement", *name))


class Bowl:
    """½ Σ hᵢ (xᵢ − cᵢ)² over a segment of length d along x₁: h₁ = 1, and one h for the others."""

    def __init__(self, d: float, centre: float, across: float) -> None:
        self.d, self.c = d, centre
        self.h = np.full(N, across)
        self.h[0] = 1.0
        self.points = np.zeros((2, N))
        self.points[1, 0] = d
        self.hull = Hull(self.points @ self.points.T, N)

    def __call__(self, place: Place) -> float:
        at = place.weights @ self.points
        if place.noise is not None:
            draw, scale = place.noise
            at = at + scale * streams("noise", draw).normal(N)
        at[0] -= self.c
        return float(self.h @ at**2 / 2)

    @property
    def expected(self) -> tuple[float, float, float, float, float]:
        """ε, μ, E ℓ(f) − μ, and the smallest δ of conditions 2 and 3; the centre is below 0."""
        d, c = self.d, -self.c
        mean = ((d + c) ** 3 - c**3) / (6 * d)
        # Where the loss is its mean; what is below it on the left is above it on the right.
        level = math.sqrt(2 * mean) - c
        below = mean * level - ((level + c) ** 3 - c**3) / 6
        epsilon = 2 * below / d
        edge = ((d + c) ** 2 + c**2) / 4 - mean
        rise = 2 * epsilon - edge
        noisy = math.sqrt(2 * rise / self.h.mean())
        # E t²/2 + d E t / 2 with t half-normal.
        linear = d * math.sqrt(2 / math.pi) / 2
        outward = math.sqrt(linear**2 + 2 * rise) - linear
        return epsilon, mean, edge, noisy, outward


@pytest.mark.parametrize(("across", "binding"), [(0.2, "noisy"), (40.0, "outward")])
def test_a_bowl_beside_the_hull(across, binding):
    bowl = Bowl(2.0, -3.0, across)
    epsilon, mean, edge, noisy, outward = bowl.expected
    assert (noisy > outward) == (binding == "noisy")
    found = search(bowl, bowl.hull, 200, 40, streams)
    assert found.epsilon == pytest.approx(epsilon, rel=0.01)
    assert found.mean == pytest.approx(mean, rel=0.01)
    assert found.edge == pytest.approx(edge, abs=0.01 * mean)
    assert found.delta == pytest.approx(1.02 * max(noisy, outward), rel=0.06)


def test_few_draws_are_near_it():
    bowl = Bowl(2.0, -3.0, 0.2)
    epsilon, _, _, noisy, _ = bowl.expected
    found = search(bowl, bowl.hull, Basin().points, Basin().pairs, streams)
    assert found.epsilon == pytest.approx(epsilon, rel=0.05)
    assert found.delta == pytest.approx(noisy, rel=0.2)


def test_a_segment_through_the_bottom_of_a_bowl_needs_no_noise():
    bowl = Bowl(2.0, 1.0, 1.0)
    found = search(bowl, bowl.hull, 200, 5, streams)
    # ℓ = (x − 1)²/2: μ = 1/6, at the ends 1/2; |ℓ − μ| crosses at 1/√3, so that ε = 2/(9√3).
    assert found.mean == pytest.approx(1 / 6, rel=0.01)
    assert found.edge == pytest.approx(1 / 3, rel=0.01)
    assert found.epsilon == pytest.approx(2 / (9 * math.sqrt(3)), rel=0.01)
    assert found.delta == 0.0


def test_a_loss_that_does_not_rise_has_no_delta():
    hull = Bowl(1.0, 0.0, 1.0).hull
    with pytest.raises(UserError, match="no δ makes it a basin"):
        search(lambda place: min(float(place.weights[0]), 1.0), hull, 20, 2, streams)
    with pytest.raises(UserError, match="becomes inf"):
        search(lambda place: math.inf if place.noise else place.weights[0], hull, 9, 2, streams)


# -- the hull ------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [2, 3, 4])
def test_points_are_uniform_in_the_hull(k):
    hull = Hull(np.eye(k) + 1.0, 9)
    weights = hull.draw(4000, Stream(k))
    assert (weights >= 0).all()
    np.testing.assert_allclose(weights.sum(axis=1), 1.0)
    # Dirichlet(1, …, 1): E w = 1/k, E w² = 2/(k (k + 1)), E w v = 1/(k (k + 1)).
    moments = weights.T @ weights / 4000
    expected = (np.eye(k) + 1) / (k * (k + 1))
    np.testing.assert_allclose(weights.mean(axis=0), 1 / k, atol=0.01)
    np.testing.assert_allclose(moments, expected, atol=0.01)


def test_a_ray_leaves_where_the_hull_ends():
    points = np.random.default_rng(0).normal(size=(3, 7))
    apart = points - points[0]
    hull = Hull(apart @ apart.T, 7)
    one, other = hull.draw(50, Stream(1)), hull.draw(50, Stream(2))
    for start, through in zip(one, other, strict=True):
        edge, step = hull.leave(start, through)
        assert edge.min() == 0.0
        assert edge.sum() == pytest.approx(1.0)
        outward = (edge - start) @ points
        assert np.linalg.norm(step @ points) == pytest.approx(1.0)
        np.testing.assert_allclose(outward / np.linalg.norm(outward), step @ points, atol=1e-9)
        ahead = (through - start) @ points
        assert outward @ ahead > 0
        assert (edge + 1e-6 * step).min() < 0
    sides = [np.linalg.norm(points[i] - points[j]) for i, j in ((0, 1), (0, 2), (1, 2))]
    assert hull.diameter == pytest.approx(max(sides))


def test_a_segment_is_left_at_its_ends():
    hull = Bowl(3.0, 0.0, 1.0).hull
    edge, step = hull.leave(np.array([0.7, 0.3]), np.array([0.6, 0.4]))
    assert edge.tolist() == [0.0, 1.0]
    np.testing.assert_allclose(step, [-1 / 3, 1 / 3])


@pytest.mark.parametrize("threshold", [1e-3, 0.2, 0.99, 1.0, 1.01, 700.0])
def test_the_smallest_is_found_from_above(threshold):
    found = smallest(lambda x: x >= threshold, 1.0)
    assert threshold <= found <= threshold * 2 ** (1 / 16)


def test_what_never_holds_has_no_smallest():
    assert smallest(lambda x: False, 1.0) is None
    assert smallest(lambda x: True, 1.0) == 2.0**-12


# -- networks ------------------------------------------------------------------------------------


class Round(RandomMeasuring):
    """A loss that is half the squared distance from a point of parameter space."""

    centre: Any = None

    def scores(self, network, split, *, shuffle=None, limit=None):
        self.asked = (split, limit, int(shuffle.raw(1)[0]))
        apart = flat(network) - self.centre
        return {"loss": float(apart @ apart / 2), "top1": 0.5}


def test_networks_in_a_round_bowl():
    subject = Round(pair(norm=True), INPUTS, data=True)
    one, other = (flat(subject.network(role)) for role in ("first", "second"))
    d = float(np.linalg.norm(other - one))
    # 1.5 diameters before the first network, on the line through both.
    subject.centre = one - 1.5 * (other - one)
    found = Basin(pairs=8, points=40, examples=17)(subject).metrics
    epsilon, mean, edge, noisy, outward = Bowl(d, -1.5 * d, 1.0).expected
    assert noisy > outward
    assert found["basin/diameter"] == pytest.approx(d)
    assert found["basin/epsilon"] == pytest.approx(epsilon, rel=0.02)
    assert found["basin/mean"] == pytest.approx(mean, rel=0.01)
    assert found["basin/edge"] == pytest.approx(edge, abs=0.01 * mean)
    assert found["basin/delta"] == pytest.approx(noisy, rel=0.15)
    assert found["basin/delta/relative"] == found["basin/delta"] / found["basin/diameter"]
    assert subject.asked == ("test", 17, int(subject.stream("examples").raw(1)[0]))


def test_other_networks_are_in_the_hull():
    subject = Round({**pair(), "other1": network(3)}, INPUTS, data=True)
    points = np.stack([flat(subject.network(role)) for role in subject.roles])
    subject.centre = points.mean(axis=0)
    found = Basin(points=200, pairs=1)(subject).metrics
    # E |x − m|² over a triangle is a twelfth of the sum of its corners'.
    squares = ((points - subject.centre) ** 2).sum()
    assert found["basin/mean"] == pytest.approx(squares / 12 / 2, rel=0.03)
    sides = [np.linalg.norm(points[i] - points[j]) for i, j in ((0, 1), (0, 2), (1, 2))]
    assert found["basin/diameter"] == pytest.approx(max(sides))


def test_one_network_twice_and_untrained_heads_are_refused():
    with pytest.raises(UserError, match="two of the networks have the same parameters"):
        Basin()(measuring(dict.fromkeys(("first", "second"), network(1))))
    with pytest.raises(UserError, match="role second is zero"):
        Basin()(measuring({"first": network(1), "second": without_head(network(2))}))


def test_beyond_the_hull_statistics_are_those_of_its_edge():
    networks = pair(norm=True)
    networks["first"].backbone.norm.running_var.fill_(0.1)
    networks["second"].backbone.norm.running_var.fill_(10.0)
    variances = []

    class Watching(Round):
        def scores(self, network, split, **more):
            variances.append(float(network.backbone.norm.running_var[0]))
            return super().scores(network, split, **more)

    subject = Watching(networks, INPUTS, data=True)
    one, other = (flat(subject.network(role)) for role in ("first", "second"))
    subject.centre = one - (other - one)
    Basin(points=10, pairs=2)(subject)
    assert 0.1 < min(variances[:10]) < max(variances[:10]) < 10
    assert set(np.round(variances[10:], 4)) == {0.1, 10.0}
