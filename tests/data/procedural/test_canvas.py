"""Exact arithmetic, compared with the library functions it stands in for."""

from __future__ import annotations

import colorsys

import numpy as np

from bench.data.procedural.canvas import (
    NOISE_DRAWS,
    NOISE_GRIDS,
    SIDE,
    cosine,
    hsv,
    noise,
    paint,
    sine,
    to_bytes,
)
from bench.data.streams import Stream


def test_sines_are_sines():
    turns = np.linspace(-3, 3, 100_001)
    assert np.abs(sine(turns) - np.sin(2 * np.pi * turns)).max() < 1e-10
    assert np.abs(cosine(turns) - np.cos(2 * np.pi * turns)).max() < 1e-10


def test_colours_are_the_standard_librarys():
    h, s, v = Stream(1).uniform(300).reshape(3, 100)
    expected = [colorsys.hsv_to_rgb(*triple) for triple in zip(h, s, v, strict=True)]
    np.testing.assert_allclose(hsv(h + 2.0, s, v), expected, atol=1e-12)


def test_noise_has_amplitudes_of_one_over_f():
    draws = Stream(2).uniform(200 * NOISE_DRAWS).reshape(200, NOISE_DRAWS)
    assert np.abs(noise(np.full((1, NOISE_DRAWS), 0.5))).max() == 0
    # One octave at a time: half the knots' spread (1/√12) for grid 4 as for grid 2, and so on.
    spreads, start = [], 0
    for grid in NOISE_GRIDS:
        alone = np.full_like(draws, 0.5)
        alone[:, start : start + (grid + 1) ** 2] = draws[:, start : start + (grid + 1) ** 2]
        start += (grid + 1) ** 2
        spreads.append(noise(alone).std())
    ratios = np.array(spreads[1:]) / np.array(spreads[:-1])
    np.testing.assert_allclose(ratios, 0.5, atol=0.05)


def test_noise_is_smooth_between_its_knots():
    draws = np.full((1, NOISE_DRAWS), 0.5)
    draws[0, : 3**2] = np.array([0, 0, 0, 1, 1, 1, 0, 0, 0])
    field = noise(draws)[0]
    assert np.array_equal(field, np.repeat(field[:, :1], SIDE, axis=1))
    # The smooth step at the middle of a cell is one half.
    t = 0.5 / 32
    expected = (t * t * (3 - 2 * t)) - 0.5
    assert abs(field[0, 0] - expected) < 1e-12
    assert abs(field[15, 0] + field[16, 0]) < 1e-12


def test_paint_mixes_by_cover():
    canvas, colour = np.zeros((1, SIDE, SIDE, 3)), np.ones((1, 1, 1, 3))
    cover = np.full((1, SIDE, SIDE), 0.25)
    assert (paint(canvas, colour, cover) == 0.25).all()


def test_bytes_are_rounded_and_limited():
    values = np.array([-1.0, 0.0, 0.5 / 255, 0.49 / 255, 1.0, 2.0])
    assert to_bytes(values).tolist() == [0, 0, 1, 0, 255, 255]
