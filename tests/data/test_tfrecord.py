"""TFRecord files: checksums as published, and damage that is named."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from bench.data.tfrecord import crc32c, masked_crc32c, records
from bench.errors import DataError
from tests.data.waymo_files import bitwise_crc32c, masked, tfrecord


@pytest.mark.parametrize(
    ("data", "checksum"),
    [
        (b"", 0),
        (b"123456789", 0xE3069283),
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
    ],
)
def test_checksums_are_those_of_rfc_3720(data, checksum):
    assert crc32c(data) == checksum


@pytest.mark.parametrize("length", [511, 512, 513, 1024, 1535, 1536, 4097, 20_000])
def test_long_data_have_the_checksum_of_one_bit_after_another(length):
    data = np.random.default_rng(length).integers(0, 256, length, dtype=np.uint8).tobytes()
    assert crc32c(data) == bitwise_crc32c(data)
    assert struct.pack("<I", masked_crc32c(data)) == masked(data)


def test_leading_zeros_count_in_long_data():
    assert crc32c(bytes(600)) == bitwise_crc32c(bytes(600)) != crc32c(bytes(601))


def test_records_come_back_in_order(tmp_path):
    written = [b"first", b"", bytes(range(256)) * 20]
    (tmp_path / "a").write_bytes(tfrecord(written))
    assert list(records(tmp_path / "a")) == written
    (tmp_path / "empty").write_bytes(b"")
    assert list(records(tmp_path / "empty")) == []


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda data: data[:-1], "record 1, at byte 21: the file ends within its 600 bytes"),
        (lambda data: data[:25], "record 1, at byte 21: the file ends within its length"),
        (lambda data: data[:40] + b"\0" + data[41:], "record 1, .*checksum of its data"),
        (lambda data: b"\x06" + data[1:], "record 0, at byte 0: the checksum of its length"),
        (lambda data: data[:-1] + bytes([data[-1] ^ 1]), "record 1, .*checksum of its data"),
        (lambda data: b"PK\3\4" + data, "record 0, at byte 0: the checksum of its length"),
    ],
)
def test_damage_is_told_with_its_place(tmp_path, damage, problem):
    file = tmp_path / "a.tfrecord"
    file.write_bytes(damage(tfrecord([b"first", b"\1" * 600])))
    with pytest.raises(DataError, match=problem) as caught:
        list(records(file))
    assert str(file) in str(caught.value)
    assert "download it again" in caught.value.remedy


def test_a_length_beyond_the_file_takes_no_memory(tmp_path):
    head = struct.pack("<Q", 1 << 60)
    (tmp_path / "a").write_bytes(head + masked(head) + b"x" * 20)
    with pytest.raises(DataError, match="ends within its 1152921504606846976 bytes"):
        list(records(tmp_path / "a"))


def test_a_file_that_is_not_there_is_said(tmp_path):
    with pytest.raises(DataError, match="cannot be read: No such file"):
        list(records(tmp_path / "none"))
