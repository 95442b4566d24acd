"""Waymo's scenario files: whose tracks are taken, where they lie, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from bench.data.digests import cached_digest
from bench.data.prepare import prepare
from bench.data.sources.waymo import FOLDER, waymo_source
from bench.errors import DataError
from bench.spec.catalogue import entry
from bench.spec.cell import Resources
from tests.data.waymo_files import nested, scenario, tfrecord, write

CAR, WALKER = 1, 2
CARS = "waymo-motion-vehicles"


def straight(x=8000.0, y=-3000.0, heading=2.0, speed=5.0):
    """Return a track along its heading, at a place far from the map's origin at present."""
    at = (np.arange(91) - 10) * 0.1 * speed
    c, s = np.cos(heading), np.sin(heading)
    ones = np.ones(91)
    return np.stack([x + c * at, y + s * at, heading * ones, speed * c * ones, speed * s * ones, ones], axis=1)  # fmt: skip  # noqa: E501


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv(FOLDER, str(tmp_path / "waymo"))
    return tmp_path / "waymo"


def both(folder, *records):
    for split in ("training", "validation"):
        write(folder, records, split)


def test_tracks_to_predict_of_the_type_are_taken_in_order(folder):
    slow, fast, walks = straight(speed=2.0), straight(speed=9.0), straight(speed=1.5)
    tracks = [(CAR, straight(speed=3.0)), (CAR, slow), (WALKER, walks), (CAR, fast)]
    write(folder, [scenario(tracks, [3, 2, 1]), scenario([(CAR, slow)], [])], "training")
    write(folder, [scenario(tracks, [1], packed=True)], "training", "b.tfrecord-1")
    write(folder, [scenario(tracks, [2])], "validation")
    write(folder, [scenario(tracks, [0])], "validation", "z.tfrecord")
    cars = waymo_source(entry(CARS))
    # The speed at present: 9 and 2 of the first file, 2 of the second.
    assert cars.train.targets[:, 0, 3] == pytest.approx([9, 2, 2], abs=1e-5)
    assert cars.test.targets[:, 0, 3] == pytest.approx([3], abs=1e-5)
    assert cars.facts["train_scenarios"] == 3
    walkers = waymo_source(entry("waymo-motion-pedestrians"))
    assert walkers.train.targets[:, 0, 3] == pytest.approx([1.5], abs=1e-5)


def test_a_track_keeps_its_metres_and_times_far_from_the_origin(folder):
    both(folder, scenario([(CAR, straight(speed=5.0))], [0]))
    found = waymo_source(entry(CARS)).train
    at = np.arange(81) * 0.5
    # Doubles are kept until the agent is the origin: float32 at 8 km is good to half a millimetre.
    assert found.targets[0, :, 0] == pytest.approx(at, abs=1e-5)
    assert found.targets[0, :, 1] == pytest.approx(0, abs=1e-5)
    assert found.inputs[0, :, 0] == pytest.approx(np.arange(-10, 1) * 0.5, abs=1e-5)


def test_an_invalid_states_numbers_are_not_passed_on(folder):
    track = straight()
    track[[3, 40]] = [-1.0, -1.0, -1.0, -1.0, -1.0, 0.0]
    track[41] = [np.nan, np.inf, 0, 0, 0, 0]
    both(folder, scenario([(CAR, track)], [0]))
    found = waymo_source(entry(CARS)).train
    assert not found.inputs[0, 3].any()
    assert not found.targets[0, [30, 31]].any()
    assert found.targets[0, :, 5].sum() == 79


def test_who_is_not_there_at_present_or_after_is_left_out_and_counted(folder):
    absent, gone = straight(), straight()
    absent[10, 5] = 0
    gone[11:, 5] = 0
    both(folder, scenario([(CAR, absent), (CAR, gone), (CAR, straight())], [0, 1, 2]))
    found = waymo_source(entry(CARS))
    assert len(found.train) == len(found.test) == 1
    assert found.facts["test_agents_left_out"] == 2


@pytest.mark.parametrize(
    ("record", "problem"),
    [
        (scenario([(CAR, straight())], [0], current=9), "the present is number 9"),
        (scenario([(CAR, straight())], [0], step=0.2), r"0\.200 s apart"),
        (scenario([(CAR, straight()[:11])], [0], times=11), "11 times"),
        (scenario([(CAR, straight()[:60])], [0]), "a track has 60 states"),
        (scenario([(CAR, straight())], [1]), "asks for track 1 of 1"),
        (scenario([], []), "no tracks"),
        (nested(1, nested(1, b"state/x")), "no tracks"),
        (b"\xff" * 30, "record 1 is no scenario"),
        (scenario([(CAR, straight(x=np.inf))], [0]), "not finite"),
    ],
)  # fmt: skip
def test_what_is_no_scenario_of_nine_seconds_is_refused(folder, record, problem):
    both(folder, scenario([(CAR, straight())], [0]), record)
    with pytest.raises(DataError, match=problem) as caught:
        waymo_source(entry(CARS))
    assert "training" in str(caught.value)
    assert "a.tfrecord-0" in str(caught.value)
    assert caught.value.remedy


def test_without_files_it_says_where_to_get_them(folder, monkeypatch, tmp_path):
    write(folder, [scenario([(CAR, straight())], [0])], "training")
    with pytest.raises(DataError, match=r"validation.*holds no \*.tfrecord") as caught:
        prepare(CARS, None, cache=tmp_path)
    assert "https://waymo.com/open" in caught.value.remedy
    monkeypatch.delenv(FOLDER)
    with pytest.raises(DataError, match=f"{FOLDER} names no folder") as caught:
        prepare(CARS, None, cache=tmp_path)
    assert "https://waymo.com/open" in caught.value.remedy
    assert cached_digest(CARS, Resources(), tmp_path) is None


def test_it_is_prepared_once_and_again_after_a_file_changed(folder, tmp_path):
    both(folder, scenario([(CAR, straight())], [0]))
    first = prepare(CARS, None, cache=tmp_path / "cache")
    assert (first.modality, first.classes, first.target_shape) == ("trajectories", None, (81, 6))
    assert cached_digest(CARS, Resources(), tmp_path / "cache") == first.digest
    other = tfrecord([scenario([(CAR, straight(speed=6.0))], [0])])
    (folder / "training" / "a.tfrecord-0").write_bytes(other)
    again = prepare(CARS, None, cache=tmp_path / "cache")
    assert again.digest != first.digest
    assert again.train.targets[0, 80, 0] == pytest.approx(48, abs=1e-4)
