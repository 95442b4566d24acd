"""Fractals: a class is an iterated function system; its images vary in all but that.

Sampling of the systems by their singular values: Anderson and Farrell 2022, section 3.2. Images
of one system vary as in FractalDB (Kataoka et al. 2020): one coefficient, pose, patch, colour.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.data.procedural.canvas import (
    NOISE_DRAWS,
    SIDE,
    Floats,
    clip,
    cosine,
    hsv,
    noise,
    paint,
    sine,
    to_bytes,
)
from bench.data.streams import Stream, uniform_rows
from bench.spec.seeds import stream_seed

CLASSES = 100
WALKERS, STEPS, DROPPED = 96, 84, 14
LEAST_FILL = 0.12
_PARAMETERS = 40


class System(NamedTuple):
    """Affine maps ``(m, 2, 3)`` and the cumulative probability ``(m,)`` of choosing each."""

    maps: Floats
    cumulative: Floats


def _singular_values(stream: Stream, count: int) -> Floats:
    """Draw ``(count, 2)`` pairs 1 >= s1 >= s2 >= 0 with Σ(s1 + 2 s2) as Anderson and Farrell."""
    rest = float(stream.uniform(1, (5 + count) / 2, (6 + count) / 2)[0])
    pairs = np.empty((count, 2))
    for i in range(count - 1):
        later = 3.0 * (count - i - 1)
        u = stream.uniform(2)
        low, high = max(0.0, (rest - later) / 3), min(1.0, rest)
        first = low + (high - low) * float(u[0])
        low, high = max(0.0, (rest - later - first) / 2), min(first, (rest - first) / 2)
        second = low + (high - low) * float(u[1])
        pairs[i] = first, second
        rest -= first + 2 * second
    low, high = rest / 3, min(1.0, rest)
    first = low + (high - low) * float(stream.uniform(1)[0])
    pairs[-1] = first, (rest - first) / 2
    return pairs


def _candidate(stream: Stream) -> System:
    count = 2 + int(stream.uniform(1, 0, 3)[0])
    s = _singular_values(stream, count)
    turn, other = stream.uniform(count), stream.uniform(count)
    sign = np.where(stream.uniform(2 * count).reshape(count, 2) < 0.5, -1.0, 1.0)
    shift = stream.uniform(2 * count, -1, 1).reshape(count, 2)
    c, d, e, f = cosine(turn), sine(turn), cosine(other), sine(other)
    p, q = s[:, 0], s[:, 1]
    maps = np.empty((count, 2, 3))
    maps[:, 0, 0] = (c * p * e - d * q * f) * sign[:, 0]
    maps[:, 0, 1] = (-c * p * f - d * q * e) * sign[:, 1]
    maps[:, 1, 0] = (d * p * e + c * q * f) * sign[:, 0]
    maps[:, 1, 1] = (-d * p * f + c * q * e) * sign[:, 1]
    maps[:, :, 2] = shift
    # A flat map has determinant 0 and would never be taken.
    weight = np.maximum(p * q, 0.02)
    cumulative = np.cumsum(weight)
    return System(maps, cumulative / cumulative[-1])


def _walk(maps: Floats, choices: NDArray[np.int64], dropped: int) -> tuple[Floats, Floats]:
    """Run walkers; ``maps`` (n, m, 2, 3), ``choices`` (n, steps, w). Returns x, y (n, points)."""
    count, steps, walkers = choices.shape
    flat = maps.reshape(count, -1)
    x = np.zeros((count, walkers))
    y = np.zeros((count, walkers))
    xs = np.empty((count, steps - dropped, walkers))
    ys = np.empty_like(xs)
    for step in range(steps):
        at = choices[:, step] * 6
        a, b, c, d, e, f = (np.take_along_axis(flat, at + k, 1) for k in range(6))
        x, y = a * x + b * y + c, d * x + e * y + f
        if step >= dropped:
            xs[:, step - dropped], ys[:, step - dropped] = x, y
    return xs.reshape(count, -1), ys.reshape(count, -1)


def _counts(x: Floats, y: Floats, zoom: Floats, place: Floats) -> NDArray[np.int64]:
    """Count points in the pixels of a canvas; ``zoom`` (n,) is the share of the side filled."""
    low_x, low_y = x.min(axis=1), y.min(axis=1)
    wide, high = x.max(axis=1) - low_x, y.max(axis=1) - low_y
    extent = np.maximum(np.maximum(wide, high), 1e-9)
    scale = zoom * (SIDE - 1e-6) / extent
    free_x, free_y = SIDE - 1e-6 - wide * scale, SIDE - 1e-6 - high * scale
    column = np.floor((x - low_x[:, None]) * scale[:, None] + (free_x * place[:, 0])[:, None])
    row = np.floor((y - low_y[:, None]) * scale[:, None] + (free_y * place[:, 1])[:, None])
    column, row = (np.minimum(np.maximum(v, 0), SIDE - 1).astype(np.int64) for v in (column, row))
    index = (np.arange(len(x))[:, None] * SIDE + row) * SIDE + column
    counts = np.bincount(index.ravel(), minlength=len(x) * SIDE * SIDE)
    return counts.reshape(len(x), SIDE, SIDE)


def _choose(draws: Floats, cumulative: Floats) -> NDArray[np.int64]:
    return np.minimum(np.searchsorted(cumulative, draws, side="right"), len(cumulative) - 1)


@lru_cache(maxsize=CLASSES)
def system(label: int) -> System:
    """Return the function system of a class: the first of its stream that fills the canvas."""
    stream = Stream(stream_seed(0, "procedural", "fractals", "class", label))
    while True:
        candidate = _candidate(stream)
        choices = _choose(stream.uniform(STEPS * 128).reshape(1, STEPS, 128), candidate.cumulative)
        x, y = _walk(candidate.maps[None], choices, DROPPED)
        counts = _counts(x, y, np.ones(1), np.full((1, 2), 0.5))
        if np.count_nonzero(counts) >= LEAST_FILL * SIDE * SIDE:
            return candidate


def _varied(maps: Floats, which: Floats, factor: Floats) -> Floats:
    """Return ``(n, m, 2, 3)`` maps, one coefficient of each scaled; none may expand."""
    varied = np.broadcast_to(maps, (len(which), *maps.shape)).copy()
    flat = varied.reshape(len(which), -1)
    at = np.floor(which * flat.shape[1]).astype(np.int64)
    flat[np.arange(len(at)), at] *= factor
    a, b, c, d = varied[..., 0, 0], varied[..., 0, 1], varied[..., 1, 0], varied[..., 1, 1]
    squares = a * a + b * b + c * c + d * d
    determinant = a * d - b * c
    root = np.sqrt(np.maximum(squares * squares - 4.0 * determinant * determinant, 0.0))
    largest = np.sqrt((squares + root) * 0.5)
    varied[..., :2] *= (1.0 / np.maximum(largest / 0.99, 1.0))[..., None, None]
    return varied


def _dilated(density: Floats, patch: Floats) -> Floats:
    """Return the largest density under a 3×3 patch; ``patch`` (n, 9) in [0, 1), centre always."""
    padded = np.pad(density, ((0, 0), (1, 1), (1, 1)))
    out = density
    for k in range(9):
        moved = padded[:, k // 3 : k // 3 + SIDE, k % 3 : k % 3 + SIDE]
        out = np.maximum(out, moved * (patch[:, k] < 0.4)[:, None, None])
    return out


def _density(fractal: System, p: Floats, walk: Floats) -> Floats:
    """Draw the attractor of each image, (n, SIDE, SIDE) in [0, 1]."""
    maps = _varied(fractal.maps, p[:, 0], 0.6 + 0.8 * p[:, 1])
    choices = _choose(walk.reshape(len(p), STEPS, WALKERS), fractal.cumulative)
    x, y = _walk(maps, choices, DROPPED)
    # The mean of three uniforms is close to a normal; here its deviation is 0.35 radians.
    turn = (p[:, 2] + p[:, 3] + p[:, 4] - 1.5) * 0.1114
    c, s = cosine(turn)[:, None], sine(turn)[:, None]
    mirror = np.where(p[:, 5] < 0.5, -1.0, 1.0)[:, None]
    x, y = (c * x - s * y) * mirror, s * x + c * y
    counts = _counts(x, y, 0.55 + 0.45 * p[:, 6], p[:, 7:9])
    peak = counts.reshape(len(p), -1).max(axis=1).astype(np.float64)
    # The fourth root flattens the counts as a logarithm would, and is exact.
    return _dilated(np.sqrt(np.sqrt(counts / peak[:, None, None])), p[:, 9:18])


def _coloured(density: Floats, p: Floats, grain: Floats) -> NDArray[np.uint8]:
    """Colour densities over backgrounds; ``p`` (n, 20) uniform."""
    column = [p[:, k][:, None, None] for k in range(p.shape[1])]
    texture = clip(0.5 + (0.4 + 0.8 * column[0]) * noise(grain))
    hue = column[1] + (column[2] - 0.5) * 0.3 * texture
    canvas = hsv(hue, 0.1 + 0.5 * column[3] + 0 * texture, 0.1 + (0.3 + 0.5 * column[4]) * texture)
    hue = column[5] + (column[6] - 0.5) * density
    dark = column[7] < 0.3
    value = np.where(dark, 0.45 * (1 - density), 0.55 + 0.45 * density)
    ink = hsv(hue, 0.2 + 0.7 * column[8] + 0 * density, value)
    return to_bytes(paint(canvas, ink, clip(density * 2.5)))


def images(label: int, split: str, count: int) -> NDArray[np.uint8]:
    """Return the first ``count`` images of a class in a split, ``(count, 64, 64, 3)`` uint8."""
    out = np.empty((count, SIDE, SIDE, 3), dtype=np.uint8)
    for start in range(0, count, 50):
        rows = range(start, min(start + 50, count))
        keys: list[tuple[object, ...]] = [("fractals", split, label, row) for row in rows]
        draws = uniform_rows(keys, _PARAMETERS + STEPS * WALKERS + NOISE_DRAWS)
        p, walk, grain = np.split(draws, [_PARAMETERS, _PARAMETERS + STEPS * WALKERS], axis=1)
        out[rows.start : rows.stop] = _coloured(
            _density(system(label), p[:, :20], walk), p[:, 20:], grain
        )
    return out
