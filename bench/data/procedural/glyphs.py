"""Glyphs: fine-grained shapes; classes of one family differ slightly, images by nuisances.

A glyph is a body with outline R(θ) = 0.8 (1 + Σ a_k cos(kθ + φ_k)), stripes and spots. Its
family fixes all of these; its four variants shift amplitudes, stripes, aspect and spots a little.
``glyphs`` and ``glyphs-source`` are the same generator with disjoint families.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

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

VARIANTS = 4
NUISANCE = 0.45
HARMONICS = (2, 3, 4, 5, 6)
_PARAMETERS = 48
_GRAIN = SIDE * SIDE


@dataclass(frozen=True)
class Glyph:
    """What makes a class. Angles are in turns, lengths in body radii.

    Attributes
    ----------
    cosines, sines
        ``(5,)`` a_k cos φ_k and a_k sin φ_k of the outline's harmonics 2 to 6.
    frequency, angle, duty
        Stripes: periods a radius, direction, share of the dark part.
    aspect
        Width over height.
    spots
        ``(n, 3)`` x, y and radius.
    """

    cosines: Floats
    sines: Floats
    frequency: float
    angle: float
    duty: float
    aspect: float
    spots: Floats


@lru_cache(maxsize=256)
def glyph(dataset: str, label: int) -> Glyph:
    """Return the glyph of a class: variant ``label % 4`` of family ``label // 4``."""
    family, variant = divmod(label, VARIANTS)
    u = Stream(stream_seed(0, "procedural", dataset, "family", family)).uniform(16)
    v = Stream(stream_seed(0, "procedural", dataset, "variant", family, variant))
    amplitude = (0.04 + 0.24 * u[0:5]) * (2.0 / np.array(HARMONICS, dtype=np.float64))
    amplitude = amplitude * (1.0 + 0.35 * v.uniform(5, -1, 1))
    shift = v.uniform(4, -1, 1).tolist()
    spots = v.uniform(3 * (1 + variant // 2)).reshape(-1, 3)
    turn, reach = spots[:, 0], 0.15 + 0.45 * spots[:, 1]
    return Glyph(
        cosines=amplitude * cosine(u[5:10]),
        sines=amplitude * sine(u[5:10]),
        frequency=(1.2 + 2.0 * float(u[10])) * (1.0 + 0.3 * shift[0]),
        # ±0.5 radians is ±0.0796 turns.
        angle=float(u[11]) + 0.0796 * shift[1],
        duty=0.35 + 0.3 * float(u[12]),
        aspect=(0.8 + 0.45 * float(u[13])) * (1.0 + 0.12 * shift[2]),
        spots=np.stack([reach * cosine(turn), reach * sine(turn), 0.1 + 0.07 * spots[:, 2]], 1),
    )


def _placed(p: Floats, aspect: float) -> tuple[Floats, Floats]:
    """Return each pixel's place (n, SIDE, SIDE) in the body's own frame; ``p`` (n, 5) in ±1."""
    line = (np.arange(SIDE) + 0.5) * (2.0 / SIDE) - 1.0
    turn = 0.35 * NUISANCE * p[:, 0]
    scale = 0.78 * (1.0 + 0.5 * NUISANCE * p[:, 1])
    at = 0.45 * NUISANCE * p[:, 2:4]
    x = line[None, None, :] - at[:, 0, None, None]
    y = line[None, :, None] - at[:, 1, None, None]
    c, s = (cosine(turn) / scale)[:, None, None], (sine(turn) / scale)[:, None, None]
    x, y = c * x + s * y, c * y - s * x
    x = x - (0.5 * NUISANCE * p[:, 4])[:, None, None] * y
    root = float(np.sqrt(aspect))
    return x / root, y * root


def body(shape: Glyph, x: Floats, y: Floats) -> Floats:
    """Return the share of each pixel covered by the body."""
    radius = np.sqrt(x * x + y * y)
    safe = np.maximum(radius, 1e-6)
    unit_c, unit_s = x / safe, y / safe
    c, s = unit_c, unit_s
    outline = np.ones_like(radius)
    for k in range(2, HARMONICS[-1] + 1):
        # cos kθ and sin kθ by the addition theorem: no arctangent is needed.
        c, s = c * unit_c - s * unit_s, s * unit_c + c * unit_s
        a, b = float(shape.cosines[k - 2]), float(shape.sines[k - 2])
        outline += c * a - s * b
    return clip((0.8 * outline - radius) * 14.0 + 0.5)


def marks(shape: Glyph, x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Return the cover of stripes and of spots."""
    angle = np.array(shape.angle)
    along = x * float(cosine(angle)) + y * float(sine(angle))
    wave = cosine(along * shape.frequency)
    stripes = clip((wave - float(cosine(np.array(shape.duty * 0.5)))) * 4.0 + 0.5)
    spots = np.zeros_like(x)
    for at_x, at_y, size in shape.spots.tolist():
        away = np.sqrt((x - at_x) * (x - at_x) + (y - at_y) * (y - at_y))
        spots = np.maximum(spots, clip((size - away) * 14.0 + 0.5))
    return stripes, spots


def _colour(p: Floats, hue: float, saturation: float, value: float) -> Floats:
    """Return ``(n, 1, 1, 3)``: the base colour, moved by the nuisance; ``p`` (n, 3) in ±1."""
    q = NUISANCE * p
    rgb = hsv(hue + 0.4 * q[:, 0], clip(saturation + 0.8 * q[:, 1]), clip(value + 0.5 * q[:, 2]))
    return rgb[:, None, None, :]


def _background(p: Floats, grain: Floats) -> Floats:
    """Return textures between two colours; ``p`` (n, 7) in ±1."""
    texture = clip(0.5 + NUISANCE * (2.2 + 1.2 * p[:, 6])[:, None, None] * noise(grain))
    dark = np.broadcast_to(_colour(p[:, 0:3], 0.3, 0.35, 0.3), (*texture.shape, 3))
    return paint(dark, _colour(p[:, 3:6], 0.12, 0.3, 0.72), texture)


def _occluded(canvas: Floats, p: Floats) -> Floats:
    """Lay a bar of random place, turn, width and colour over each image; ``p`` (n, 7) in ±1."""
    line = (np.arange(SIDE) + 0.5) * (2.0 / SIDE) - 1.0
    turn = 0.5 * p[:, 0]
    c, s = cosine(turn)[:, None, None], sine(turn)[:, None, None]
    across = c * line[None, None, :] + s * line[None, :, None] - (0.75 * p[:, 1])[:, None, None]
    along = c * line[None, :, None] - s * line[None, None, :] - (0.8 * p[:, 2])[:, None, None]
    half = (0.3 * NUISANCE * (1.0 + 0.5 * p[:, 3]))[:, None, None]
    cover = clip((half - np.abs(across)) * 20.0) * clip((0.55 - np.abs(along)) * 20.0)
    return paint(canvas, _colour(p[:, 4:7], 0.55, 0.4, 0.5), cover)


def _lit(canvas: Floats, p: Floats, grain: Floats) -> Floats:
    """Apply a linear gradient of light, and noise; ``p`` (n, 3) in ±1, ``grain`` in [0, 1)."""
    line = (np.arange(SIDE) + 0.5) * (2.0 / SIDE) - 1.0
    x, y = line[None, None, :], line[None, :, None]
    q = NUISANCE * p[:, :, None, None]
    light = 1.0 + 0.5 * (q[:, 0] * x + q[:, 1] * y) + 0.3 * q[:, 2]
    return canvas * light[..., None] + (0.25 * NUISANCE) * (grain - 0.5)[..., None]


def _draw(shape: Glyph, p: Floats, texture: Floats, grain: Floats) -> NDArray[np.uint8]:
    x, y = _placed(p[:, 0:5], shape.aspect)
    cover = body(shape, x, y)
    stripes, spots = marks(shape, x, y)
    canvas = _background(p[:, 5:12], texture)
    canvas = paint(canvas, _colour(p[:, 12:15], 0.0, 0.5, 0.75), cover)
    canvas = paint(canvas, _colour(p[:, 15:18], 0.62, 0.5, 0.35), cover * stripes)
    canvas = paint(canvas, _colour(p[:, 18:21], 0.15, 0.5, 0.9), cover * spots)
    canvas = _occluded(canvas, p[:, 21:28])
    return to_bytes(_lit(canvas, p[:, 28:31], grain.reshape(-1, SIDE, SIDE)))


def images(dataset: str, label: int, split: str, count: int) -> NDArray[np.uint8]:
    """Return the first ``count`` images of a class in a split, ``(count, 64, 64, 3)`` uint8."""
    shape = glyph(dataset, label)
    out = np.empty((count, SIDE, SIDE, 3), dtype=np.uint8)
    for start in range(0, count, 50):
        rows = range(start, min(start + 50, count))
        keys: list[tuple[object, ...]] = [(dataset, split, label, row) for row in rows]
        draws = uniform_rows(keys, _PARAMETERS + NOISE_DRAWS + _GRAIN)
        p, texture, grain = np.split(draws, [_PARAMETERS, _PARAMETERS + NOISE_DRAWS], axis=1)
        out[rows.start : rows.stop] = _draw(shape, 2.0 * p - 1.0, texture, grain)
    return out
