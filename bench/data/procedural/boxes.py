"""Boxes: one glyph at any place, turn and size among bars; the target is the box that it fills.

The glyphs are 25 families of four variants, none of which `glyphs` or `glyphs-source` has. Bars,
texture and grain tell nothing of where the glyph is; bars lie behind it, so that all of it shows.
"""

from __future__ import annotations

from collections.abc import Iterator

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
from bench.data.procedural.glyphs import Glyph, body, glyph, marks
from bench.data.streams import uniform_rows

BARS = 3
# Diameter of an undistorted body, as a fraction of the image's side.
SIZES = (0.3, 0.7)
# Numbers drawn for the place, the whole glyph, a bar, and the ground.
_PLACE, _GLYPH, _BAR, _GROUND = 5, 14, 8, 7
_SCENE = _GLYPH + BARS * _BAR + _GROUND
_GRAIN = SIDE * SIDE
# The mean outline of a glyph, in body radii.
_OUTLINE = 0.8
_LINE = (np.arange(SIDE) + 0.5) / SIDE


def images(label: int, split: str, count: int) -> NDArray[np.uint8]:
    """Return the first ``count`` images of a glyph in a split, ``(count, 64, 64, 3)`` uint8."""
    shape = glyph("boxes", label)
    out = np.empty((count, SIDE, SIDE, 3), dtype=np.uint8)
    for rows in _blocks(count):
        draws = _draws(label, split, rows, _SCENE + NOISE_DRAWS + _GRAIN)
        p, texture, grain = np.split(draws, [_SCENE, _SCENE + NOISE_DRAWS], axis=1)
        x, y = _placed(p)
        canvas = _drawn(_cluttered(p[:, _GLYPH:], texture), shape, x, y, p[:, _PLACE:_GLYPH])
        canvas = canvas + 0.12 * (grain.reshape(-1, SIDE, SIDE, 1) - 0.5)
        out[rows.start : rows.stop] = to_bytes(canvas)
    return out


def targets(label: int, split: str, count: int) -> NDArray[np.float32]:
    """Return the boxes in `images`, ``(count, 4)`` float32.

    They are x and y of the centre, width and height, as fractions of the image's side from its
    left upper corner.
    """
    shape = glyph("boxes", label)
    parts = [_placed(_draws(label, split, rows, _PLACE)) for rows in _blocks(count)]
    return np.concatenate([boxes(body(shape, x, y)) for x, y in parts])


def _blocks(count: int) -> Iterator[range]:
    """Yield rows that are drawn at once, for which there is memory."""
    return (range(start, min(start + 50, count)) for start in range(0, count, 50))


def _draws(label: int, split: str, rows: range, numbers: int) -> Floats:
    """Return the first numbers of each row's own stream; the first of all place the glyph."""
    return uniform_rows([("boxes", split, label, row) for row in rows], numbers)


def boxes(cover: Floats) -> NDArray[np.float32]:
    """Return the boxes ``(n, 4)`` of the pixels that are covered at all; ``cover`` (n, s, s).

    They are exact: multiples of half a pixel, which float32 holds.
    """
    touched = cover > 0
    columns, rows = (np.asarray(touched.any(axis=axis)) for axis in (1, 2))
    side = cover.shape[1]
    left, top = columns.argmax(axis=1), rows.argmax(axis=1)
    right, bottom = (side - line[:, ::-1].argmax(axis=1) for line in (columns, rows))
    edges = [(left + right) / 2, (top + bottom) / 2, right - left, bottom - top]
    fractions: NDArray[np.float32] = (np.stack(edges, axis=1) / side).astype(np.float32)
    return fractions


def _placed(p: Floats) -> tuple[Floats, Floats]:
    """Return each pixel's place (n, SIDE, SIDE) in the body's own frame; ``p`` (n, 5 or more)."""
    size = SIZES[0] + (SIZES[1] - SIZES[0]) * p[:, 0]
    at = 0.5 + (1.0 - size)[:, None] * (p[:, 1:3] - 0.5)
    x, y = _turned(at, p[:, 3])
    radius = (size / (2 * _OUTLINE))[:, None, None]
    root = np.sqrt(0.6 + p[:, 4])[:, None, None]
    return x / (radius * root), y * root / radius


def _turned(at: Floats, turn: Floats) -> tuple[Floats, Floats]:
    """Return each pixel's place about points ``(n, 2)``, on axes turned by ``turn`` (n,) turns."""
    x = _LINE[None, None, :] - at[:, 0, None, None]
    y = _LINE[None, :, None] - at[:, 1, None, None]
    c, s = cosine(turn)[:, None, None], sine(turn)[:, None, None]
    return c * x + s * y, c * y - s * x


def _colour(p: Floats) -> Floats:
    """Return any colour but the darkest, ``(n, 1, 1, 3)``; ``p`` (n, 3) in [0, 1)."""
    return hsv(p[:, 0], 0.15 + 0.75 * p[:, 1], 0.25 + 0.7 * p[:, 2])[:, None, None, :]


def _cluttered(p: Floats, texture: Floats) -> Floats:
    """Return backgrounds between two colours, with bars on them; ``p`` in [0, 1)."""
    ground, bars = p[:, BARS * _BAR :], p[:, : BARS * _BAR].reshape(-1, BARS, _BAR)
    strength = (0.8 + 1.2 * ground[:, 6])[:, None, None]
    dark = np.broadcast_to(_colour(ground[:, 0:3]), (len(p), SIDE, SIDE, 3))
    canvas = paint(dark, _colour(ground[:, 3:6]), clip(0.5 + strength * noise(texture)))
    for k in range(BARS):
        bar = bars[:, k]
        along, across = _turned(bar[:, 0:2], bar[:, 2])
        long, wide = 0.1 + 0.3 * bar[:, 3], 0.01 + 0.05 * bar[:, 4]
        cover = _inside(along, long) * _inside(across, wide)
        canvas = paint(canvas, _colour(bar[:, 5:8]), cover)
    return canvas


def _inside(distance: Floats, half: Floats) -> Floats:
    """Return how far pixels are within a width, up to one pixel; ``half`` (n,) of the width."""
    return clip((half[:, None, None] - np.abs(distance)) * SIDE)


def _drawn(canvas: Floats, shape: Glyph, x: Floats, y: Floats, p: Floats) -> Floats:
    """Return the canvas with the glyph on it, in three colours; ``p`` (n, 9) in [0, 1)."""
    cover, (stripes, spots) = body(shape, x, y), marks(shape, x, y)
    canvas = paint(canvas, _colour(p[:, 0:3]), cover)
    canvas = paint(canvas, _colour(p[:, 3:6]), cover * stripes)
    return paint(canvas, _colour(p[:, 6:9]), cover * spots)
