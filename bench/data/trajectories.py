"""Agents' tracks as rows: a past to see and a future to say, in the agent's own frame."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.data.prepared import Split
from bench.data.procedural.canvas import cosine, sine

Floats = NDArray[np.float64]

# Waymo Open Motion's (Ettinger et al. 2021, section 3.3): states 0.1 s apart, one second of
# history, the present, eight seconds to come. Index PAST of a track, and 0 of a target, is now.
RATE = 10
PAST = 10
FUTURE = 80
STATES = PAST + 1 + FUTURE
# Columns of a state of a track, and of a target.
X, Y, HEADING, VX, VY, VALID = range(6)
# Columns of a state of an input: x, y, cosine and sine of the heading, both velocities, validity.
INPUT_WIDTH = 7
_TURN = 2 * np.pi


def rows(tracks: Floats) -> Split:
    """Return the rows of tracks, each in its agent's own frame.

    That frame has its origin where the agent is now and its x axis where the agent heads now;
    y is to the left. What is not valid is zero everywhere: none of its numbers is passed on.

    Parameters
    ----------
    tracks
        ``(n, 91, 6)`` in any one frame a row: x and y (m), heading (rad, counter-clockwise from
        x), velocities along x and y (m/s), and 1 where the state is valid, else 0. The present
        is valid.

    Returns
    -------
    rows
        Inputs ``(n, 11, 7)``, the present last: x, y, cosine and sine of the heading, velocities,
        validity. Targets ``(n, 81, 6)``, the present first, with the columns of ``tracks`` and
        headings in [-π, π). Both float32.
    """
    if tracks.shape[1:] != (STATES, 6) or not (tracks[:, PAST, VALID] == 1).all():
        raise ValueError(f"tracks are (n, {STATES}, 6) and valid at present, not {tracks.shape}")
    own = in_frame_of(tracks, tracks[:, PAST])
    turns = own[:, : PAST + 1, HEADING] / _TURN
    past = own[:, : PAST + 1]
    seen = [past[..., X], past[..., Y], cosine(turns), sine(turns)]
    seen += [past[..., VX], past[..., VY], past[..., VALID]]
    inputs = np.stack(seen, axis=2) * past[..., VALID:]
    return Split(inputs.astype(np.float32), own[:, PAST:].astype(np.float32))


def in_frame_of(tracks: Floats, states: Floats) -> Floats:
    """Return tracks ``(n, t, 6)`` as seen from states ``(n, 6)``; invalid states are zeros.

    Differences are taken in float64, since places on a map lie kilometres from its origin.
    """
    turns = states[:, None, HEADING] / _TURN
    c, s = cosine(turns), sine(turns)

    def turned(x: Floats, y: Floats) -> list[Floats]:
        return [c * x + s * y, c * y - s * x]

    valid = tracks[..., VALID] == 1
    # What stands in an invalid state may be anything, even no number.
    given = np.where(valid[..., None], tracks, 0.0)
    away = (given[..., axis] - states[:, None, axis] for axis in (X, Y))
    heading = given[..., HEADING] - states[:, None, HEADING]
    heading = heading - _TURN * np.floor(heading / _TURN + 0.5)
    columns = [*turned(*away), heading, *turned(given[..., VX], given[..., VY])]
    own = np.stack([*columns, valid.astype(np.float64)], axis=-1)
    return np.where(valid[..., None], own, 0.0)
