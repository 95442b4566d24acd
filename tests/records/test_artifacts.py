"""Artifacts are placed whole, under a name of their own, and known by the digest of their bytes."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import StoreError
from bench.records.artifacts import known_sha256, place, read_artifact
from bench.records.layout import CellFolder


def test_the_digest_is_of_the_bytes(tmp_path: Path) -> None:
    content = os.urandom(300_000)
    artifact = place(tmp_path, 3, "checkpoint", ".bin", lambda part: part.write_bytes(content))
    assert artifact.file == "0003.checkpoint.bin"
    assert artifact.sha256 == hashlib.sha256(content).hexdigest()
    assert read_artifact(tmp_path / artifact.file, artifact.sha256) == content
    assert os.listdir(tmp_path) == [artifact.file]


def test_a_write_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def half(part: Path) -> None:
        part.write_text("sec")
        raise OSError(28, "No space left on device")

    with pytest.raises(StoreError, match="'checkpoint' cannot be written: No space left"):
        place(tmp_path, 1, "checkpoint", ".bin", half)
    assert os.listdir(tmp_path) == []


def test_attempts_and_names_do_not_share_a_file(tmp_path: Path) -> None:
    names = ("checkpoint", "checkpoint@start", "checkpoint@step 300", "checkpoint@step 3000")
    for attempt in (1, 2):
        for name in names:
            place(tmp_path, attempt, name, ".bin", lambda part: part.write_text("x"))
    assert len(os.listdir(tmp_path)) == 8


@given(st.text(min_size=1, max_size=30), st.text(min_size=1, max_size=30))
def test_any_name_is_a_safe_file_name_of_its_own(one: str, other: str) -> None:
    folder = CellFolder("/store/cells/ab/abc")
    path = folder.artifact_path(1, one, ".safetensors")
    assert path.parent == folder.path
    assert path.name.isascii()
    assert not set(path.name) & set('/\\ :*?"<>|\0\n')
    assert (path == folder.artifact_path(1, other, ".safetensors")) == (one == other)


def test_an_artifact_is_never_taken_for_a_record(tmp_path: Path) -> None:
    folder = CellFolder(str(tmp_path))
    for name in ("json", "lease", "log", "checkpoint"):
        place(tmp_path, 1, name, ".json", lambda part: part.write_text("{}"))
    assert folder.numbers().next == 1


def test_bytes_that_changed_are_not_given_out(tmp_path: Path) -> None:
    artifact = place(tmp_path, 1, "checkpoint", ".bin", lambda part: part.write_bytes(b"one"))
    path = tmp_path / artifact.file
    stat = path.stat()
    path.write_bytes(b"two")
    # Of the same size and time: only the bytes tell.
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    with pytest.raises(StoreError, match=r"0001\.checkpoint\.bin.*not those that were written"):
        read_artifact(path, artifact.sha256)
    with pytest.raises(StoreError, match="No such file"):
        read_artifact(tmp_path / "gone", artifact.sha256)


def test_a_known_digest_follows_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    assert known_sha256(path) is None
    path.write_text("one")
    assert known_sha256(path) == hashlib.sha256(b"one").hexdigest()
    path.write_text("another")
    assert known_sha256(path) == hashlib.sha256(b"another").hexdigest()
