"""Drawing with arithmetic that is exact on every machine.

Only ``+ - * /``, ``sqrt``, comparisons and integer operations act on pixels: IEEE 754 fixes their
results. Library sines and exponentials, matrix products, Fourier transforms and ``np.sum``
differ in the last bits between processors, which rounding to uint8 would now and then show.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SIDE = 64
Floats = NDArray[np.float64]

# sin(2πt) = Σ c_k t^(2k+1): the Taylor coefficients (-1)^k (2π)^(2k+1) / (2k+1)!, for |t| <= 1/4.
_SINE = (
    6.283185307179586,
    -41.34170224039976,
    81.60524927607506,
    -76.70585975306140,
    42.05869394489766,
    -15.09464257682299,
    3.819952584848282,
    -0.7181223017785001,
)


def sine(turns: Floats) -> Floats:
    """Return sin(2π·turns), to about 1e-11."""
    t = turns - np.floor(turns + 0.5)
    t = np.where(t > 0.25, 0.5 - t, np.where(t < -0.25, -0.5 - t, t))
    square = t * t
    value = np.full_like(t, _SINE[-1])
    for coefficient in reversed(_SINE[:-1]):
        value = value * square + coefficient
    return value * t


def cosine(turns: Floats) -> Floats:
    """Return cos(2π·turns), to about 1e-11."""
    return sine(turns + 0.25)


def clip(values: Floats) -> Floats:
    """Limit values to [0, 1]."""
    return np.minimum(np.maximum(values, 0.0), 1.0)


def hsv(hue: Floats, saturation: Floats, value: Floats) -> Floats:
    """Return RGB in [0, 1], the channels in a new last axis; the hue is in turns."""
    channels = []
    for shift in (5.0, 3.0, 1.0):
        k = shift + 6.0 * (hue - np.floor(hue))
        k = np.where(k >= 6.0, k - 6.0, k)
        channels.append(value - value * saturation * clip(np.minimum(k, 4.0 - k)))
    return np.stack(channels, axis=-1)


NOISE_GRIDS = (2, 4, 8, 16, 32)
NOISE_DRAWS = sum((g + 1) ** 2 for g in NOISE_GRIDS)


def _stretch(knots: Floats, axis: int) -> Floats:
    """Interpolate ``g + 1`` knots along an axis to ``SIDE`` pixels, with a smooth step."""
    cells = knots.shape[axis] - 1
    place = (np.arange(SIDE) + 0.5) * (cells / SIDE)
    left = np.floor(place).astype(np.int64)
    t = place - left
    t = t * t * (3.0 - 2.0 * t)
    t = t.reshape([-1 if a == axis else 1 for a in range(knots.ndim)])
    low, high = np.take(knots, left, axis), np.take(knots, left + 1, axis)
    between: Floats = low + (high - low) * t
    return between


def noise(draws: Floats) -> Floats:
    """Return ``(n, SIDE, SIDE)`` value noise with amplitudes 1/f, centred at 0, within ±1.

    ``draws`` are ``(n, NOISE_DRAWS)`` uniform numbers in [0, 1).
    """
    total = np.zeros((len(draws), SIDE, SIDE))
    start = 0
    for grid in NOISE_GRIDS:
        stop = start + (grid + 1) ** 2
        knots = draws[:, start:stop].reshape(-1, grid + 1, grid + 1)
        total += _stretch(_stretch(knots - 0.5, 1), 2) * (2.0 / grid)
        start = stop
    return total


def paint(canvas: Floats, colour: Floats, cover: Floats) -> Floats:
    """Lay a colour over a canvas ``(n, SIDE, SIDE, 3)`` where ``cover`` (n, SIDE, SIDE) says."""
    return canvas + (colour - canvas) * cover[..., None]


def to_bytes(canvas: Floats) -> NDArray[np.uint8]:
    """Round [0, 1] to 0 … 255."""
    return np.floor(clip(canvas) * 255.0 + 0.5).astype(np.uint8)
