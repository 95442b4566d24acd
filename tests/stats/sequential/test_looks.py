"""The group-sequential rule: its levels, its error under the null, and what it saves."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from scipy.special import stdtr

from bench.stats.sequential.looks import Looks, Spending, levels, spent
from bench.stats.sequential.tchain import TChain

LOOKS = (3, 5, 8, 11, 15)
BOTH: list[Spending] = ["obrien-fleming", "pocock"]


def stops(looks: Looks, effect: float, runs: int, seed: int = 0) -> np.ndarray:
    """``(looks + 1,)`` shares of runs by the look that decides, the last those that never do."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((runs, looks.at[-1])) + effect
    sums, squares, live = x.cumsum(axis=1), (x * x).cumsum(axis=1), np.ones(runs, dtype=bool)
    shares = []
    for n, level in zip(looks.at, levels(looks), strict=True):
        mean = sums[:, n - 1] / n
        sd = np.sqrt((squares[:, n - 1] - n * mean**2) / (n - 1))
        p = 2 * stdtr(n - 1, -np.abs(mean) / sd * math.sqrt(n))
        now = live & (p <= level)
        shares.append(now.mean())
        live &= ~now
    return np.array([*shares, live.mean()])


@pytest.mark.parametrize("spending", BOTH)
def test_spends_alpha_as_lan_and_demets_do(spending: Spending) -> None:
    looks = Looks((5, 10, 15, 20), spending=spending)
    t = np.array([0.25, 0.5, 0.75, 1.0])
    expected = {
        "obrien-fleming": 2 * (2 - 2 * stats.norm.cdf(stats.norm.isf(0.0125) / np.sqrt(t))),
        "pocock": 0.05 * np.log(1 + (np.e - 1) * t),
    }[spending]
    assert spent(looks) == pytest.approx(tuple(expected))
    assert spent(looks)[-1] == pytest.approx(0.05)


@pytest.mark.parametrize("spending", BOTH)
@pytest.mark.parametrize("at", [LOOKS, (2, 3), (3, 4, 5), (5, 10, 15), tuple(range(2, 16))])
def test_rejects_a_true_hypothesis_in_five_percent(at: tuple[int, ...], spending: Spending) -> None:
    # 200,000 runs: the standard error is 0.05 points. Brownian levels are 2 to 11
    # thousandths above.
    looks = Looks(at, spending=spending)
    shares = stops(looks, 0.0, 200_000)
    assert 0.0485 < shares[:-1].sum() < 0.0515
    assert shares[:-1] == pytest.approx(np.diff(spent(looks), prepend=0), abs=0.0012)


def test_with_many_seeds_the_levels_are_the_textbooks() -> None:
    # O'Brien-Fleming-like spending of 5% at five equal looks, in normal quantiles; Student's t of
    # 100 draws is nearly there.
    z = stats.norm.isf(np.array(levels(Looks((20, 40, 60, 80, 100)))) / 2)
    assert z == pytest.approx([4.877, 3.357, 2.680, 2.290, 2.031], abs=0.01)


def test_two_looks_agree_with_a_direct_integral() -> None:
    # From 2 to 3 draws without a grid: R of 2 is the cosine of a uniform angle, R of 3 uniform.
    looks = Looks((2, 3), spending="pocock")
    first, second = levels(looks)
    assert first == pytest.approx(0.05 * math.log1p((math.e - 1) * 2 / 3))
    angle = (np.arange(4000) + 0.5) / 4000 * np.pi
    height = ((np.arange(4000) + 0.5) / 4000 * 2 - 1)[:, None]
    # A uniform point on the sphere: its first two coordinates have length √(1 − height²).
    radius = np.sqrt(1 - height**2)
    r2, r3 = np.cos(angle), (math.sqrt(2) * radius * np.cos(angle) + height) / math.sqrt(3)
    t2, t3 = stats.t.isf(first / 2, 1), stats.t.isf(second / 2, 2)
    crossed = (np.abs(r2) > t2 / math.sqrt(1 + t2**2)) | (np.abs(r3) > t3 / math.sqrt(2 + t3**2))
    assert crossed.mean() == pytest.approx(0.05, abs=2e-4)


def test_a_chain_that_stops_nothing_keeps_student_distributions() -> None:
    # Nothing is stopped at 3, so a later share is the nominal level itself.
    for n in (4, 7, 15):
        for share in (0.001, 0.05, 0.5):
            assert TChain(3, 0.0).look(n, share) == pytest.approx(share, rel=0.02)


def test_one_look_is_the_t_test() -> None:
    assert levels(Looks((7,), alpha=0.03)) == pytest.approx((0.03,))


def test_levels_of_a_tiny_share_are_that_share() -> None:
    looks = Looks((2, 3, 25))
    shares = np.diff(spent(looks), prepend=0)
    assert levels(looks)[:2] == pytest.approx(tuple(shares[:2]))
    assert shares[1] < 1e-9


# In standard deviations of the paired differences; 400,000 runs once, another seed here.
@pytest.mark.parametrize(
    ("effect", "power", "seeds"),
    [(0.0, 0.050, 14.92), (0.5, 0.421, 14.23), (1.0, 0.942, 11.70), (2.0, 1.0, 8.33)],
)
def test_what_it_saves_against_fifteen_seeds(effect: float, power: float, seeds: float) -> None:
    shares = stops(Looks(LOOKS), effect, 60_000, seed=2)
    assert shares @ np.array([*LOOKS, LOOKS[-1]]) == pytest.approx(seeds, abs=0.06)
    assert shares[:-1].sum() == pytest.approx(power, abs=0.008)
    # The price in power is small.
    fixed = stops(Looks((15,)), effect, 60_000, seed=2)[0]
    assert shares[:-1].sum() > fixed - 0.025


def test_pocock_stops_earlier_at_large_effects() -> None:
    used = [
        stops(Looks(LOOKS, spending=s), 2.0, 20_000) @ np.array([*LOOKS, LOOKS[-1]]) for s in BOTH
    ]
    assert used[1] < used[0] - 0.5


@pytest.mark.parametrize("looks", [(), (1, 2), (3, 3), (5, 4)])
def test_looks_that_do_not_rise_from_two_are_errors(looks: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="looks"):
        Looks(looks)


def test_senseless_levels_and_spendings_are_errors() -> None:
    with pytest.raises(ValueError, match="alpha"):
        Looks((3,), alpha=5)
    with pytest.raises(ValueError, match="spending"):
        Looks((3,), spending="haybittle")  # type: ignore[arg-type]
