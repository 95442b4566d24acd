"""Waymo Open Motion, from the licensed files: tracks of scenarios, without the map."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from bench.data.prepared import Split
from bench.data.protobuf import BYTES, FIXED32, FIXED64, VARINT, Field, fields
from bench.data.sources.source import ArraySource
from bench.data.tfrecord import records
from bench.data.trajectories import PAST, RATE, STATES, VALID, Floats, rows
from bench.errors import DataError
from bench.spec.catalogue import DatasetEntry

FOLDER = "RETABLE_WAYMO_MOTION"
# The challenge's test split has no future: what is scored here is the validation split.
_SPLITS = {"train": "training", "test": "validation"}
_TYPES = {"vehicle": 1, "pedestrian": 2, "cyclist": 3}
# Numbers of fields in waymo_open_dataset/protos/scenario.proto.
_TIMESTAMPS, _TRACKS, _CURRENT, _TO_PREDICT = 1, 2, 10, 11
_TRACK_INDEX, _TYPE, _STATES = 1, 2, 3
# Of a state: column of a track, wire type, and how it is unpacked.
_STATE = {
    2: (0, FIXED64, "<d"), 3: (1, FIXED64, "<d"), 8: (2, FIXED32, "<f"),
    9: (3, FIXED32, "<f"), 10: (4, FIXED32, "<f"),
}  # fmt: skip
_STATE_VALID = 11


def files() -> dict[str, tuple[Path, ...]]:
    """Return the files of both splits, sorted by name.

    Raises
    ------
    DataError
        If the folder is not named, or lacks the files of a split.
    """
    remedy = (
        "accept Waymo's licence at https://waymo.com/open, download the folders `training` and "
        "`validation` of the Motion Dataset's scenario files (scenario protos, not tf.Example), "
        f"and set {FOLDER} to the folder that holds both"
    )
    named = os.environ.get(FOLDER)
    if not named:
        raise DataError(
            f"Waymo Open Motion may not be passed on, and {FOLDER} names no folder", remedy=remedy
        )
    found = {s: tuple(sorted(Path(named, d).glob("*.tfrecord*"))) for s, d in _SPLITS.items()}
    for split, paths in found.items():
        if not paths:
            folder = Path(named, _SPLITS[split])
            raise DataError("holds no *.tfrecord* files", file=folder, remedy=remedy)
    return found


def waymo_source(entry: DatasetEntry) -> ArraySource:
    """Return the agents of one type that scenarios say are to be predicted.

    Those without a valid state at present, or after it, are left out and counted.

    Raises
    ------
    DataError
        If files are missing, damaged, or hold something else.
    """
    assert entry.config is not None
    kind = _TYPES[entry.config]
    splits, facts = {}, {}
    for split, paths in files().items():
        parts, scenarios, agents = [], 0, 0
        for path in paths:
            found = list(_scenarios(path, kind))
            scenarios += len(found)
            tracks = np.concatenate([np.zeros((0, STATES, 6)), *found])
            agents += len(tracks)
            told = tracks[:, PAST, VALID] == 1
            told &= tracks[:, PAST + 1 :, VALID].any(axis=1)
            parts.append(rows(tracks[told]))
        joined = Split(*(np.concatenate(arrays) for arrays in zip(*_arrays(parts), strict=True)))
        splits[split] = joined
        facts[f"{split}_scenarios"] = scenarios
        facts[f"{split}_agents_left_out"] = agents - len(joined)
    return ArraySource("trajectories", None, splits["train"], splits["test"], facts)


def _arrays(parts: list[Split]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    return ((part.inputs, part.targets) for part in parts)


def _scenarios(file: Path, kind: int) -> Iterator[Floats]:
    """Yield the tracks to predict of each scenario, ``(n, 91, 6)``."""
    for number, record in enumerate(records(file)):
        try:
            yield _tracks(memoryview(record), kind)
        except ValueError as error:
            raise DataError(
                f"record {number} is no scenario of nine seconds: {error}",
                file=file,
                remedy="use the scenario files of the training and validation splits",
            ) from None


def _tracks(scenario: memoryview, kind: int) -> Floats:
    """Return the tracks of one type that are to be predicted.

    Raises
    ------
    ValueError
        If the bytes are no scenario, or its times are not those of the dataset.
    """
    tracks: list[memoryview] = []
    wanted: list[int] = []
    times = bytearray()
    current = 0
    for field in fields(scenario):
        if field.number == _TRACKS:
            tracks.append(_bytes(field))
        elif field.number == _TO_PREDICT:
            wanted.append(_number(_by_number(_bytes(field)), _TRACK_INDEX))
        elif field.number == _CURRENT:
            current = _whole(field)
        elif field.number == _TIMESTAMPS and field.wire in (FIXED64, BYTES):
            # One double, or all of them packed.
            times += _view(field)
    if not tracks:
        raise ValueError("it has no tracks (a tf.Example has none)")
    _check_times(np.frombuffer(times, dtype="<f8"), current)
    if any(index >= len(tracks) for index in wanted):
        raise ValueError(f"it asks for track {max(wanted)} of {len(tracks)}")
    found = [states for index in wanted for states in _of_kind(tracks[index], kind)]
    return np.stack(found) if found else np.zeros((0, STATES, 6))


def _check_times(times: Floats, current: int) -> None:
    if current != PAST or len(times) != STATES:
        raise ValueError(f"it has {len(times)} times, the present is number {current}")
    seconds = (times[-1] - times[0]) / (STATES - 1)
    if not abs(seconds * RATE - 1.0) < 0.05:
        raise ValueError(f"its states are {seconds:.3f} s apart")


def _of_kind(track: memoryview, kind: int) -> Iterator[Floats]:
    """Yield a track's states ``(91, 6)`` if it is of a type; the states of others are not read."""
    if _number(_by_number(track), _TYPE) != kind:
        return
    states = [_state(_bytes(field)) for field in fields(track) if field.number == _STATES]
    if len(states) != STATES:
        raise ValueError(f"a track has {len(states)} states")
    found = np.array(states)
    valid = found[:, VALID] == 1
    if not np.isfinite(found[valid]).all():
        raise ValueError("a valid state holds a number that is not finite")
    yield found


def _state(message: memoryview) -> list[float]:
    values = [0.0] * 6
    for field in fields(message):
        if field.number in _STATE:
            column, wire, form = _STATE[field.number]
            if field.wire != wire:
                raise ValueError(f"field {field.number} of a state has the wire type {field.wire}")
            (values[column],) = struct.unpack(form, _view(field))
        elif field.number == _STATE_VALID:
            values[VALID] = float(_whole(field) != 0)
    return values


def _by_number(message: memoryview) -> Mapping[int, Field]:
    """Return the last field of each number, which is the one that counts."""
    return {field.number: field for field in fields(message)}


def _number(found: Mapping[int, Field], number: int) -> int:
    """Return a whole number, 0 where it is not there."""
    return _whole(found[number]) if number in found else 0


def _whole(field: Field) -> int:
    if field.wire != VARINT or not isinstance(field.value, int):
        raise ValueError(f"field {field.number} has the wire type {field.wire}")
    return field.value


def _bytes(field: Field) -> memoryview:
    if field.wire != BYTES:
        raise ValueError(f"field {field.number} has the wire type {field.wire}")
    return _view(field)


def _view(field: Field) -> memoryview:
    assert isinstance(field.value, memoryview)
    return field.value
