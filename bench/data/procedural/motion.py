"""Motion: tracks of cars and of pedestrians on no map, ten states a second for nine seconds.

Cars are kinematic bicycles: speed and curvature change by limited rates, towards goals of a
manoeuvre that may begin before the present or after it. Pedestrians turn and stop at once, at
times that nothing announces. Arithmetic is exact on every machine, as in `canvas`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.data.prepared import Split
from bench.data.procedural.canvas import cosine, sine
from bench.data.streams import uniform_rows
from bench.data.trajectories import PAST, RATE, STATES, rows

Floats = NDArray[np.float64]

_STEP = 1 / RATE
_RADIANS = 2 * np.pi
_CAR, _SEGMENTS, _TRACKING = 8, 6, 4
# Of 100 cars so many go on, slow down to a stop, change lanes, follow a bend, turn, turn back.
_SHARES = np.cumsum([30, 12, 12, 16, 26, 4]) / 100
_GOES, _, _CHANGES, _, _TURNS, _TURNS_BACK = range(6)
# Limits of a car, in 1/m, 1/m a second, m/s² across, and m/s² along.
_CURVATURE, _STEERING, _ACROSS, _BRAKES, _GAINS = 0.2, 0.2, 3.0, 4.0, 2.5


def tracks(name: str, split: str, count: int) -> Floats:
    """Return the first tracks of a split, ``(count, 91, 6)``: see `bench.data.trajectories.rows`.

    Each begins at its frame's origin along x.
    """
    drive, numbers = _KINDS[name]
    u = uniform_rows([(name, split, row) for row in range(count)], numbers + _TRACKING)
    x, y, turns, speed = drive(u[:, :numbers])
    velocities = [speed * cosine(turns), speed * sine(turns)]
    valid = _tracked(u[:, numbers:]).astype(np.float64)
    return np.stack([x, y, _RADIANS * turns, *velocities, valid], axis=2)


def split_of(name: str, split: str, count: int) -> Split:
    """Return the first rows of a split, each in its agent's frame."""
    return rows(tracks(name, split, count))


def _tracked(u: Floats) -> NDArray[np.bool_]:
    """Return when a tracker sees each agent ``(n, 91)``; ``u`` (n, 4).

    One in ten is found within the second before the present, one in seven is lost after it.
    """
    found = np.where(u[:, 0] < 0.1, 1 + np.floor(u[:, 1] * PAST), 0)
    lost = np.where(u[:, 2] < 0.15, PAST + 2 + np.floor(u[:, 3] * (STATES - PAST - 2)), STATES)
    at = np.arange(STATES)
    return (at >= found[:, None]) & (at < lost[:, None])


class _Manoeuvres(NamedTuple):
    """What each car is about to do; arrays ``(n,)``.

    It begins at a time in seconds from the present. Speeds (m/s) are those at first, while it
    lasts, and after; ``goal`` is the heading to reach, in turns, and a change of lanes ends by
    straightening at another time.
    """

    kind: NDArray[np.int64]
    begins: Floats
    first: Floats
    slow: Floats
    after: Floats
    goal: Floats
    straightens: Floats


def _manoeuvres(u: Floats) -> _Manoeuvres:
    """Return what is drawn for each car; ``u`` (n, 8)."""
    kind = np.searchsorted(_SHARES, u[:, 0], side="right")
    side = np.where((u[:, 1] < 0.5) | (kind == _TURNS_BACK), 1.0, -1.0)
    begins = 6.0 * u[:, 2] - 1.0
    speed = 3.0 + 12.0 * u[:, 3]
    none, part = np.zeros(len(u)), u[:, 6]
    other = np.maximum(speed + 6.0 * (u[:, 4] - 0.5), 0.0)
    turning = 4.0 + 3.0 * u[:, 4]
    slow = np.choose(kind, [other, none, speed, speed, turning, 3.0 + u[:, 4]])
    turn = 0.25 + 0.04 * (part - 0.5)
    goal = [none, none, 0.015 + 0.02 * part, 0.04 + 0.12 * part, turn, none + 0.5]
    # A fifth of those that go on stand at first, and start when their manoeuvre begins.
    stands = (kind == _GOES) & (u[:, 5] < 0.2)
    return _Manoeuvres(
        kind=kind,
        begins=begins,
        first=np.where(stands, 0.0, speed),
        slow=slow,
        after=np.where(kind >= _TURNS, 6.0 + 6.0 * u[:, 5], slow),
        goal=side * np.choose(kind, goal),
        straightens=begins + 1.5 + u[:, 7],
    )


def _car(u: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Return x, y, heading (turns) and speed of cars, each ``(n, 91)``; ``u`` (n, 8)."""
    plan = _manoeuvres(u)
    x, y, heading, curvature = (np.zeros(len(u)) for _ in range(4))
    speed = plan.first
    states = [(x, y, heading, speed)]
    for step in range(1, STATES):
        curvature, faster = _driven(plan, (step - PAST) * _STEP, heading, curvature, speed)
        way = 0.5 * (speed + faster) * _STEP
        turned = way * curvature / _RADIANS
        x = x + way * cosine(heading + 0.5 * turned)
        y = y + way * sine(heading + 0.5 * turned)
        heading, speed = heading + turned, faster
        states.append((x, y, heading, speed))
    x, y, heading, speed = (np.stack(column, axis=1) for column in zip(*states, strict=True))
    return x, y, heading, speed


def _driven(
    plan: _Manoeuvres, time: float, heading: Floats, curvature: Floats, speed: Floats
) -> tuple[Floats, Floats]:
    """Return curvature (1/m) and speed a step on, both within what a car can do."""
    straight = (plan.kind == _CHANGES) & (time >= plan.straightens)
    turning = time >= plan.begins
    left = np.where(turning, _RADIANS * (np.where(straight, 0.0, plan.goal) - heading), 0.0)
    # Who is to turn brakes before; who has turned gains speed.
    early = np.where(plan.kind >= _TURNS, 2.0, 0.0)
    done = turning & (np.abs(left) < 0.1)
    wanted = np.where(done, plan.after, plan.slow)
    wanted = np.where(time < plan.begins - early, speed, wanted)
    gain = np.minimum(np.maximum(wanted - speed, -_BRAKES), _GAINS)
    limit = np.minimum(_CURVATURE, _ACROSS / np.maximum(speed * speed, 1.0))
    bent = np.minimum(np.maximum(left / np.maximum(speed, 3.0), -limit), limit)
    change = _STEERING * _STEP
    curvature = curvature + np.minimum(np.maximum(bent - curvature, -change), change)
    return curvature, np.maximum(speed + gain * _STEP, 0.0)


def _pedestrian(u: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Return x, y, heading (turns) and speed of pedestrians; ``u`` (n, 24), four a segment.

    A segment lasts one to four seconds. At its end the next begins at once: one in four is a
    stop, the others go at 0.6 to 2 m/s; every second turns by up to half a turn either way.
    """
    parts = u.reshape(len(u), _SEGMENTS, 4)
    ends = np.cumsum(1.0 + 3.0 * parts[:, :, 0], axis=1) - 3.0 * u[:, :1]
    speeds = np.where(parts[:, :, 1] < 0.25, 0.0, 0.6 + 1.4 * (parts[:, :, 1] - 0.25) / 0.75)
    turned = np.where(parts[:, :, 2] < 0.5, parts[:, :, 3] - 0.5, 0.05 * (parts[:, :, 3] - 0.5))
    turned[:, 0] = 0.0
    turns = np.cumsum(turned, axis=1)
    at = (np.arange(STATES) * _STEP)[None, :, None]
    part = np.minimum((at >= ends[:, None, :]).sum(axis=2), _SEGMENTS - 1)
    speed = np.take_along_axis(speeds, part, axis=1)
    heading = np.take_along_axis(turns, part, axis=1)
    # A state's velocity lasts until the next.
    way = _STEP * speed[:, :-1]
    start = np.zeros((len(u), 1))
    x = np.concatenate([start, np.cumsum(way * cosine(heading[:, :-1]), axis=1)], axis=1)
    y = np.concatenate([start, np.cumsum(way * sine(heading[:, :-1]), axis=1)], axis=1)
    return x, y, heading, speed


_Drive = Callable[[Floats], tuple[Floats, Floats, Floats, Floats]]
_KINDS: dict[str, tuple[_Drive, int]] = {
    "motion-cars": (_car, _CAR),
    "motion-pedestrians": (_pedestrian, 4 * _SEGMENTS),
}
