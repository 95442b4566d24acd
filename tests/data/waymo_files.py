"""Writes TFRecord files of scenarios as Waymo does, by the formats' descriptions alone."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np


def bitwise_crc32c(data: bytes) -> int:
    """Divide by Castagnoli's polynomial, a bit at a time."""
    state = 0xFFFFFFFF
    for byte in data:
        state ^= byte
        for _ in range(8):
            state = state >> 1 ^ (0x82F63B78 if state & 1 else 0)
    return state ^ 0xFFFFFFFF


def masked(data: bytes) -> bytes:
    plain = bitwise_crc32c(data)
    return struct.pack("<I", (((plain >> 15) | (plain << 17)) + 0xA282EAD8) & 0xFFFFFFFF)


def tfrecord(records: Iterable[bytes]) -> bytes:
    heads = ((struct.pack("<Q", len(record)), record) for record in records)
    return b"".join(head + masked(head) + record + masked(record) for head, record in heads)


def varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def whole(number: int, value: int) -> bytes:
    return varint(number << 3) + varint(value)


def double(number: int, value: float) -> bytes:
    return varint(number << 3 | 1) + struct.pack("<d", value)


def single(number: int, value: float) -> bytes:
    return varint(number << 3 | 5) + struct.pack("<f", value)


def nested(number: int, message: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(message)) + message


def state(x, y, heading, vx, vy, valid) -> bytes:
    """Return a state, with fields between that are not read: z and the box's length."""
    message = double(2, x) + double(3, y) + double(4, 17.5) + single(5, 4.6)
    return message + single(8, heading) + single(9, vx) + single(10, vy) + whole(11, int(valid))


def track(kind: int, states: np.ndarray) -> bytes:
    return whole(1, 7) + whole(2, kind) + b"".join(nested(3, state(*row)) for row in states)


def scenario(
    tracks: Sequence[tuple[int, np.ndarray]],
    wanted: Sequence[int],
    *,
    current: int = 10,
    step: float = 0.1,
    packed: bool = False,
    times: int = 91,
) -> bytes:
    seconds = [step * number for number in range(times)]
    stamps = b"".join(double(1, value) for value in seconds)
    if packed:
        stamps = nested(1, struct.pack(f"<{times}d", *seconds))
    message = nested(5, b"scenario") + stamps + whole(10, current)
    message += b"".join(nested(2, track(*one)) for one in tracks)
    # A map, which is not read; then what is to be predicted.
    message += nested(8, b"\xff" * 40) + whole(6, 0)
    return message + b"".join(nested(11, whole(1, index) + whole(2, 2)) for index in wanted)


def write(folder: Path, records: Iterable[bytes], split: str, name: str = "a.tfrecord-0") -> Path:
    (folder / split).mkdir(parents=True, exist_ok=True)
    file = folder / split / name
    file.write_bytes(tfrecord(records))
    return file
