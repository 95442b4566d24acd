"""Tracks in their agents' frames: origin, axes, units, times, and what is not valid."""

from __future__ import annotations

import numpy as np
import pytest

from bench.data.digests import array_digest
from bench.data.prepare import prepare
from bench.data.procedural import motion
from bench.data.sources.procedural import procedural_source
from bench.data.trajectories import FUTURE, PAST, STATES, rows
from bench.spec.catalogue import entry

SETS = ("motion-cars", "motion-pedestrians")


@pytest.fixture(scope="module", params=SETS)
def some(request):
    """Return 300 tracks of each kind."""
    return motion.tracks(request.param, "test", 300)


def moved(tracks, angle, x, y):
    """Turn tracks about the origin, then shift them."""
    c, s = np.cos(angle), np.sin(angle)
    out = tracks.copy()
    for a, b in ((0, 1), (3, 4)):
        out[..., a], out[..., b] = c * tracks[..., a] - s * tracks[..., b], s * tracks[..., a] + c * tracks[..., b]  # fmt: skip  # noqa: E501
    out[..., 0] += x
    out[..., 1] += y
    out[..., 2] = (tracks[..., 2] + angle + np.pi) % (2 * np.pi) - np.pi
    return out


def test_rows_do_not_depend_on_where_on_the_map_an_agent_is(some):
    here, there = rows(some), rows(moved(some, 2.5, 12_000.0, -7_000.0))
    assert np.allclose(here.inputs, there.inputs, atol=1e-5)
    # A heading at the edge of [-π, π) may come out on either side.
    assert np.allclose(np.sin(here.targets[..., 2]), np.sin(there.targets[..., 2]), atol=1e-5)
    others = [0, 1, 3, 4, 5]
    assert np.allclose(here.targets[..., others], there.targets[..., others], atol=1e-4)


def test_a_left_turn_by_hand():
    # East at 10 m/s until now, at (100, 50) then; north at 5 m/s from now on.
    track = np.zeros((1, STATES, 6))
    track[..., 5] = 1
    track[0, : PAST + 1, 0] = 100 + np.arange(-PAST, 1) * 1.0
    track[0, : PAST + 1, 3] = 10
    track[0, PAST:, 0] = 100
    track[0, :, 1] = 50
    track[0, PAST:, 1] += np.arange(FUTURE + 1) * 0.5
    track[0, PAST + 1 :, 2] = np.pi / 2
    track[0, PAST + 1 :, 4] = 5
    found = rows(moved(track, np.pi / 2, 0, 0))
    assert found.inputs[0, 0] == pytest.approx([-10, 0, 1, 0, 10, 0, 1], abs=1e-5)
    assert found.inputs[0, PAST] == pytest.approx([0, 0, 1, 0, 10, 0, 1], abs=1e-5)
    assert found.targets[0, 0] == pytest.approx([0, 0, 0, 10, 0, 1], abs=1e-5)
    # Three seconds are 30 states on, eight are 80: to the left is +y.
    for seconds in (3, 8):
        expected = [0, 5.0 * seconds, np.pi / 2, 0, 5, 1]
        assert found.targets[0, 10 * seconds] == pytest.approx(expected, abs=1e-5)


def test_headings_are_shortest_turns():
    track = np.zeros((2, STATES, 6))
    track[..., 5] = 1
    track[0, :PAST, 2], track[0, PAST:, 2] = -3.1, 3.1
    track[1, PAST, 2], track[1, PAST + 1 :, 2] = 3.0, -3.0
    found = rows(track)
    assert found.targets[1, 80, 2] == pytest.approx(2 * np.pi - 6.0, abs=1e-6)
    assert found.inputs[0, 0, 3] == pytest.approx(np.sin(2 * np.pi - 6.2), abs=1e-6)


def test_what_stands_in_invalid_states_changes_nothing(some):
    spoilt = some.copy()
    spoilt[spoilt[..., 5] == 0, :5] = np.nan
    before, after = rows(some), rows(spoilt)
    assert np.array_equal(before.inputs, after.inputs)
    assert np.array_equal(before.targets, after.targets)
    assert not before.targets[before.targets[..., 5] == 0].any()
    assert not before.inputs[before.inputs[..., 6] == 0].any()
    assert 0 < (before.targets[..., 5] == 0).mean() < 0.2


def test_an_agent_that_is_not_there_at_present_has_no_frame(some):
    gone = some[:1].copy()
    gone[0, PAST, 5] = 0
    with pytest.raises(ValueError, match="valid at present"):
        rows(gone)


def test_velocities_are_those_of_the_positions(some):
    steps = np.diff(some[..., :2], axis=1) / 0.1
    said = some[:, :-1, 3:5]
    # Cars change their speed by up to 0.4 m/s a step, and their direction.
    assert np.abs(np.hypot(*np.moveaxis(steps - said, 2, 0))).max() < 0.75


def test_cars_are_bicycles_within_their_limits():
    tracks = motion.tracks("motion-cars", "test", 500)
    speed = np.hypot(tracks[..., 3], tracks[..., 4])
    faster = np.diff(speed, axis=1) / 0.1
    assert -4.0 - 1e-9 < faster.min() < -3
    assert 2 < faster.max() < 2.5 + 1e-9
    way = 0.5 * (speed[:, 1:] + speed[:, :-1]) * 0.1
    turn = np.diff(tracks[..., 2], axis=1)
    # Who stands cannot turn; the others by no more than 0.2 a metre.
    assert (np.abs(turn) <= 0.2 * way + 1e-9).all()
    assert np.abs(turn.sum(axis=1)).max() > 3.0


def test_pedestrians_turn_and_stop_at_once():
    tracks = motion.tracks("motion-pedestrians", "test", 500)
    speed = np.hypot(tracks[..., 3], tracks[..., 4])
    stops = (speed[:, :-1] > 0.5) & (speed[:, 1:] == 0)
    assert stops.any(axis=1).mean() > 0.3
    assert (np.abs(np.diff(tracks[..., 2], axis=1)) > 1.0).any(axis=1).mean() > 0.3
    assert speed.max() < 2.0 + 1e-9


@pytest.mark.parametrize("name", SETS)
def test_they_come_out_as_pinned_and_splits_share_nothing(name, tmp_path):
    source = procedural_source(name)
    assert array_digest(source.modality, source.splits) == entry(name).digest
    ready = prepare(name, None, cache=tmp_path)
    assert (ready.modality, ready.classes, ready.target_shape) == ("trajectories", None, (81, 6))
    both = np.concatenate([source.train.targets, source.test.targets])
    # Who stands all the time is like others who do.
    goes = both[np.hypot(both[:, 10, 0], both[:, 10, 1]) > 0.1]
    assert len({row.tobytes() for row in goes}) == len(goes) > 0.7 * len(both)
    few = motion.split_of(name, "test", 3)
    assert np.array_equal(few.targets, source.test.targets[:3])
