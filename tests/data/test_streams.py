"""Streams are the same everywhere: pinned against the published counter-based generator."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from bench.data.streams import Stream, uniform_rows


def philox4x64(counter: list[int], key: list[int]) -> list[int]:
    """Philox-4x64-10 (Salmon et al. 2011, figure 2), in Python integers."""
    mask = 2**64 - 1
    c, k = list(counter), list(key)
    for _ in range(10):
        first, second = 0xD2E7470EE14C6C93 * c[0], 0xCA5A826395121157 * c[2]
        c = [
            (second >> 64) ^ c[1] ^ k[0],
            second & mask,
            (first >> 64) ^ c[3] ^ k[1],
            first & mask,
        ]
        k = [(k[0] + 0x9E3779B97F4A7C15) & mask, (k[1] + 0xBB67AE8584CAA73B) & mask]
    return c


def test_raw_words_are_philox():
    # NumPy's generator steps its counter before the first block.
    expected = philox4x64([1, 9, 0, 0], [12345, 0]) + philox4x64([2, 9, 0, 0], [12345, 0])
    assert Stream(12345, jump=9).raw(8).tolist() == expected


def test_uniforms_are_the_top_53_bits():
    words = Stream(7).raw(5)
    assert Stream(7).uniform(5).tolist() == [int(w) // 2048 / 2**53 for w in words.tolist()]


def test_uniforms_fill_their_range():
    draws = Stream(1).uniform(100_000, -1, 3)
    assert draws.min() >= -1
    assert draws.max() < 3
    # Mean 1, deviation 4/√12 over √n: five standard errors.
    assert abs(draws.mean() - 1) < 5 * 4 / np.sqrt(12 * 100_000)


def ratio_of_uniforms(seed: int, count: int) -> list[float]:
    """Kinderman and Monahan 1977, pair by pair."""
    uniforms = iter(Stream(seed).uniform(20 * count).tolist())
    found: list[float] = []
    while len(found) < count:
        u, v = 1 - next(uniforms), next(uniforms)
        x = math.sqrt(8 / math.e) * (v - 0.5) / u
        if x * x <= -4 * math.log(u):
            found.append(x)
    return found


def test_normals_are_the_ratio_of_two_uniforms():
    np.testing.assert_allclose(Stream(5).normal(100), ratio_of_uniforms(5, 100), rtol=1e-14)
    assert Stream(5).normal(7).tolist() == Stream(5).normal(100)[:7].tolist()
    assert Stream(5).normal(0).tolist() == []


@pytest.mark.parametrize("seed", range(3))
def test_normals_are_normal_up_to_their_tails(seed):
    draws = Stream(seed).normal(200_000)
    assert stats.kstest(draws, "norm").pvalue > 0.001
    # Beyond three deviations: 270 of 100,000 on both sides, five standard errors of a count.
    assert abs(np.sum(np.abs(draws) > 3) - 540) < 5 * np.sqrt(540)


def test_permutations_hold_every_number_once():
    assert sorted(Stream(3).permutation(1000).tolist()) == list(range(1000))
    assert Stream(3).permutation(1000).tolist() != Stream(3, jump=1).permutation(1000).tolist()


def test_rows_depend_on_their_own_key_only():
    both = uniform_rows([("a", 1), ("a", 2)], 6)
    assert np.array_equal(uniform_rows([("a", 2)], 6)[0], both[1])
    assert not np.array_equal(both[0], both[1])
