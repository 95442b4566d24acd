"""Messages on the wire, by the examples of the format's own description."""

from __future__ import annotations

import pytest

from bench.data.protobuf import fields


def read(message: bytes):
    return [
        (number, wire, value if isinstance(value, int) else bytes(value))
        for number, wire, value in fields(memoryview(message))
    ]


def test_the_examples_of_the_encoding_guide():
    # protobuf.dev/programming-guides/encoding: Test1, Test2, Test3.
    assert read(bytes.fromhex("08 96 01")) == [(1, 0, 150)]
    assert read(bytes.fromhex("12 07 74 65 73 74 69 6e 67")) == [(2, 2, b"testing")]
    ((number, wire, inner),) = read(bytes.fromhex("1a 03 08 96 01"))
    assert (number, wire, read(inner)) == (3, 2, [(1, 0, 150)])


def test_fixed_widths_repeats_and_large_numbers():
    assert read(b"\x11" + bytes(range(8)) + b"\x1d" + b"abcd") == [
        (2, 1, bytes(range(8))), (3, 5, b"abcd"),
    ]  # fmt: skip
    assert read(b"\x08\x01\x08\x02") == [(1, 0, 1), (1, 0, 2)]
    assert read(b"\x08" + b"\xff" * 9 + b"\x01") == [(1, 0, 2**64 - 1)]
    assert read(b"\xa0\x06\x05") == [(100, 0, 5)]
    assert read(b"") == []


@pytest.mark.parametrize(
    ("message", "problem"),
    [
        (b"\x08", "a number goes beyond"),
        (b"\x08\x80", "a number goes beyond"),
        (b"\x12\x05abcd", "field 2 goes beyond"),
        (b"\x11abcdefg", "field 2 goes beyond"),
        (b"\x00\x01", "number 0"),
        (b"\x0b", "field 1 has the wire type 3"),
        (b"\x0f", "field 1 has the wire type 7"),
        (b"\x08" + b"\xff" * 10 + b"\x01", "longer than ten bytes"),
    ],
)
def test_what_is_no_message_is_refused(message, problem):
    with pytest.raises(ValueError, match=problem):
        read(message)
