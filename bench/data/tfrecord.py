"""TFRecord files: records of bytes with checksums, read without TensorFlow."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.errors import DataError

Words = NDArray[np.uint32]

# Castagnoli's polynomial, bits reversed (RFC 3720, section 12.1).
_POLYNOMIAL = 0x82F63B78
_ONES = 0xFFFFFFFF
_MASK = 0xA282EAD8
# Longer data are checked in stretches of so many bytes, all of them at once.
_STRETCH = 512
_LENGTH = struct.Struct("<QI")
_CHECKSUM = struct.Struct("<I")


def records(file: Path) -> Iterator[bytes]:
    """Yield the records of a file, each after its checksums were compared.

    A record is its length (uint64), the masked CRC-32C of these eight bytes, the data, and their
    masked CRC-32C (uint32), all little-endian (tensorflow/core/lib/io/record_writer.h).

    Raises
    ------
    DataError
        If the file cannot be read, ends within a record, or holds other bytes than were written.
    """
    try:
        with open(file, "rb") as opened:
            size = os.fstat(opened.fileno()).st_size
            number = 0
            while head := opened.read(_LENGTH.size):
                start = opened.tell() - len(head)
                if len(head) < _LENGTH.size:
                    raise _broken(file, number, start, "the file ends within its length")
                length, checksum = _LENGTH.unpack(head)
                if masked_crc32c(head[:8]) != checksum:
                    raise _broken(file, number, start, "the checksum of its length is wrong")
                # Asked before reading: memory is taken for as many bytes as are said.
                if length + _CHECKSUM.size > size - opened.tell():
                    raise _broken(file, number, start, f"the file ends within its {length} bytes")
                data = opened.read(length)
                if masked_crc32c(data) != _CHECKSUM.unpack(opened.read(_CHECKSUM.size))[0]:
                    raise _broken(file, number, start, "the checksum of its data is wrong")
                yield data
                number += 1
    except OSError as error:
        raise DataError(
            f"cannot be read: {error.strerror}", file=file, remedy="check the file's permissions"
        ) from None


def _broken(file: Path, number: int, start: int, problem: str) -> DataError:
    return DataError(
        f"record {number}, at byte {start}: {problem}",
        file=file,
        remedy="the file is not whole, or is no TFRecord file: download it again",
    )


def masked_crc32c(data: bytes) -> int:
    """Return a record's checksum: the CRC-32C turned right by 15 bits, plus a constant."""
    plain = crc32c(data)
    return ((plain >> 15 | plain << 17) + _MASK) & _ONES


def crc32c(data: bytes) -> int:
    """Return the CRC-32C of bytes (RFC 3720, appendix B.4)."""
    if len(data) < _STRETCH:
        state = _ONES
        for byte in data:
            state = _bytes()[(state ^ byte) & 255] ^ state >> 8
        return int(state) ^ _ONES
    # The register is linear in what goes in. Its first state is added to the first bytes, and
    # zeros before these leave a register of zeros as it is.
    padded = np.frombuffer(bytes(-len(data) % _STRETCH) + data, dtype=np.uint8).copy()
    first = -len(data) % _STRETCH
    padded[first : first + 4] ^= 255
    stretches = padded.reshape(-1, _STRETCH)
    states = np.zeros(len(stretches), dtype=np.uint32)
    for column in stretches.T:
        states = _table()[(states ^ column) & 255] ^ states >> 8
    return int(_joined(states)) ^ _ONES


def _joined(states: Words) -> np.uint32:
    """Return the register after all stretches, from those after each alone."""
    later = _zeros()
    while len(states) > 1:
        if len(states) % 2:
            states = np.concatenate([np.zeros(1, np.uint32), states])
        states = _after(states[::2], later) ^ states[1::2]
        later = _after(later, later)
    one: np.uint32 = states[0]
    return one


def _after(states: Words, later: Words) -> Words:
    """Return registers after zeros that turn bit k alone into ``later[k]``."""
    bits = states[:, None] >> np.arange(32, dtype=np.uint32) & 1
    mixed: Words = np.bitwise_xor.reduce(bits * later, axis=1)
    return mixed


@lru_cache(maxsize=1)
def _zeros() -> Words:
    """Return what each bit of the register becomes after a stretch of zeros."""
    states: Words = np.left_shift(np.uint32(1), np.arange(32, dtype=np.uint32))
    for _ in range(_STRETCH):
        states = _table()[states & 255] ^ states >> 8
    return states


@lru_cache(maxsize=1)
def _table() -> Words:
    """Return the register after each byte."""
    values: Words = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        values = values >> np.uint32(1) ^ np.uint32(_POLYNOMIAL) * (values & np.uint32(1))
    return values


@lru_cache(maxsize=1)
def _bytes() -> list[int]:
    return [int(value) for value in _table()]
