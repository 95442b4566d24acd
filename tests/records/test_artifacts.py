"""Artifacts are placed whole, and known by the digest of their bytes."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from bench.records.artifacts import known_sha256, place, sha256


def test_the_digest_is_of_the_bytes(tmp_path: Path) -> None:
    content = os.urandom(300_000)
    artifact = place(tmp_path, "weights.bin", lambda part: part.write_bytes(content))
    assert artifact.file == "weights.bin"
    assert artifact.sha256 == hashlib.sha256(content).hexdigest()
    assert sha256(tmp_path / "weights.bin") == artifact.sha256
    assert os.listdir(tmp_path) == ["weights.bin"]


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    place(tmp_path, "a", lambda part: part.write_text("first"))

    def half(part: Path) -> None:
        part.write_text("sec")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        place(tmp_path, "a", half)
    assert (tmp_path / "a").read_text() == "first"
    assert os.listdir(tmp_path) == ["a"]


def test_a_known_digest_follows_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    assert known_sha256(path) is None
    path.write_text("one")
    assert known_sha256(path) == hashlib.sha256(b"one").hexdigest()
    path.write_text("another")
    assert known_sha256(path) == hashlib.sha256(b"another").hexdigest()
