"""Waymo's motion metrics of single agents (Ettinger et al. 2021, section 4.2), in float64.

Where the paper leaves room they are those of Waymo's released evaluation
(``motion_metrics.cc`` and ``motion_metrics_utils.cc`` of waymo-open-dataset, 2023): paths are
compared at two points a second, an agent counts at a time if it has a valid state there (for
ADE: at or before it), and each metric takes the mode that is best for itself.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.data.trajectories import HEADING, RATE, VALID, VX, VY, X, Y

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

# Between two points that are compared: half a second.
STRIDE = RATE // 2
# Limits of a miss by the time in seconds: across and along the true heading (m).
_LIMITS = {3: (1.0, 2.0), 5: (1.8, 3.6), 8: (3.0, 6.0)}
# Up to the first speed (m/s) limits are halved, from the second on they are whole.
_SLOW, _FAST = 1.4, 11.0
# A stationary agent, a straight way, a turn back.
_STILL_SPEED, _STILL_WAY, _STRAIGHT_ACROSS, _STRAIGHT_TURN = 2.0, 3.0, 2.5, np.pi / 6


class Forecasts(NamedTuple):
    """What is said of agents, and what they did.

    Attributes
    ----------
    paths
        ``(n, k, t, 2)`` metres, the first point one step after the present.
    probabilities
        ``(n, k)`` of the modes.
    states
        ``(n, t + 1, 6)``, the present first: targets of `bench.data.trajectories.rows`.
    """

    paths: Floats
    probabilities: Floats
    states: Floats

    def at(self, seconds: int) -> tuple[Floats, Floats, Flags]:
        """Return paths ``(n, k, 2)``, states ``(n, 6)`` and whether they are valid at a time."""
        step = seconds * RATE
        states = self.states[:, step]
        return self.paths[:, :, step - 1], states, states[:, VALID] == 1

    @property
    def errors(self) -> Floats:
        """Distances from the truth ``(n, k, t)``, whether it is valid or not."""
        away: Floats = self.paths - self.states[:, None, 1:, : Y + 1]
        return np.hypot(away[..., X], away[..., Y])


def min_ade(forecasts: Forecasts, seconds: int) -> float:
    """Return the mean over agents of the least mean distance of a mode up to a time, in metres."""
    points = slice(STRIDE - 1, seconds * RATE, STRIDE)
    valid = forecasts.states[:, 1:, VALID][:, points] == 1
    counted = valid.any(axis=1)
    errors = (forecasts.errors[:, :, points] * valid[:, None]).sum(axis=2)[counted]
    means = errors / valid.sum(axis=1)[counted, None]
    return float(means.min(axis=1).mean())


def min_fde(forecasts: Forecasts, seconds: int) -> float:
    """Return the mean over agents of the least distance of a mode at a time, in metres."""
    _, _, counted = forecasts.at(seconds)
    return float(forecasts.errors[counted, :, seconds * RATE - 1].min(axis=1).mean())


def miss_rate(forecasts: Forecasts, seconds: int) -> float:
    """Return the share of agents of whom no mode is within the limits at a time."""
    _, _, counted = forecasts.at(seconds)
    return float(1.0 - _hits(forecasts, seconds)[counted].any(axis=1).mean())


def mean_average_precision(forecasts: Forecasts, seconds: int) -> float:
    """Return the mean over kinds of ways of the average precision at a time.

    Of an agent's modes that hit, the most probable is right, every other mode is wrong; modes of
    all agents of a kind are put in order by their probabilities.
    """
    _, _, counted = forecasts.at(seconds)
    kinds, hits = ways(forecasts.states), _hits(forecasts, seconds)
    # Equal probabilities keep the modes' order.
    order = np.argsort(-forecasts.probabilities, axis=1, kind="stable")
    hits = np.take_along_axis(hits, order, axis=1)
    right = hits & (np.cumsum(hits, axis=1) == 1)
    said = np.take_along_axis(forecasts.probabilities, order, axis=1)
    found = [counted & (kinds == kind) for kind in np.unique(kinds[counted])]
    return float(np.mean([average_precision(said[own], right[own]) for own in found]))


def average_precision(said: Floats, right: Flags) -> float:
    """Return the area under the interpolated precision (Everingham et al. 2010, section 4.2).

    Parameters
    ----------
    said, right
        ``(n, k)``: of n agents each mode's probability, and whether it is a true positive.
    """
    # Of equal probabilities the wrong come first.
    order = np.lexsort((right.ravel(), -said.ravel()))
    true = np.cumsum(right.ravel()[order])
    precision = true / np.arange(1, len(true) + 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    gained = np.diff(true, prepend=0)
    return float((best * gained).sum() / len(said))


def ways(states: Floats) -> NDArray[np.int64]:
    """Return each agent's kind of way ``(n,)`` from the present to its last valid state.

    0 stationary, 1 straight, 2 straight to the left, 3 straight to the right, 4 a turn back to
    the left, 5 a left turn, 6 a right turn or a turn back to the right.
    """
    last = states.shape[1] - 1 - np.argmax(states[:, ::-1, VALID] == 1, axis=1)
    end, start = states[np.arange(len(states)), last], states[:, 0]
    along, across = (end[:, axis] - start[:, axis] for axis in (X, Y))
    turn = end[:, HEADING] - start[:, HEADING]
    turn = np.abs(turn - 2 * np.pi * np.floor(turn / (2 * np.pi) + 0.5))
    speed = np.maximum(*(np.hypot(state[:, VX], state[:, VY]) for state in (start, end)))
    still = (speed < _STILL_SPEED) & (np.hypot(along, across) < _STILL_WAY)
    ahead, left = turn < _STRAIGHT_TURN, across >= 0
    return np.select(
        [still, ahead & (np.abs(across) < _STRAIGHT_ACROSS), ahead & left, ahead, ~left, along < 0],
        [0, 1, 2, 3, 6, 4],
        default=5,
    )


def _hits(forecasts: Forecasts, seconds: int) -> Flags:
    """Return which modes are within the limits at a time, ``(n, k)``, both limits included."""
    paths, states, _ = forecasts.at(seconds)
    away = paths - states[:, None, : Y + 1]
    c, s = np.cos(states[:, None, HEADING]), np.sin(states[:, None, HEADING])
    along = np.abs(c * away[..., X] + s * away[..., Y])
    across = np.abs(c * away[..., Y] - s * away[..., X])
    now = forecasts.states[:, 0]
    speed = np.hypot(now[:, VX], now[:, VY])
    share = np.clip((speed - _SLOW) / (_FAST - _SLOW), 0.0, 1.0)
    scale = 0.5 + 0.5 * share[:, None]
    side, length = _LIMITS[seconds]
    hits: Flags = (across <= side * scale) & (along <= length * scale)
    return hits
