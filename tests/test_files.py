"""A file is there whole or not at all, whoever writes it and whatever goes wrong."""

from __future__ import annotations

import hashlib
import os
import stat
import threading
from pathlib import Path

import pytest

from bench.files import bytes_sha256, file_sha256, whole, write_once, write_whole


def test_a_file_is_written_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    write_whole(path, "café\n")
    assert path.read_bytes() == "café\n".encode()
    write_whole(path, b"other", durable=False)
    assert path.read_bytes() == b"other"
    assert os.listdir(tmp_path) == ["page.md"]


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write_whole(path, "first")

    def half() -> None:
        with whole(path) as part:
            part.write_text("sec")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        half()
    assert path.read_text() == "first"
    assert os.listdir(tmp_path) == ["a"]


def test_a_disk_that_refuses_to_sync_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a"
    write_whole(path, "first")

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_whole(path, "second")
    assert path.read_text() == "first"
    assert os.listdir(tmp_path) == ["a"]
    # What need not be durable does not wait for the disk.
    write_whole(path, "second", durable=False)
    assert path.read_text() == "second"


def test_a_folder_that_cannot_be_synced_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync = os.fsync

    def refuses_folders(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(22, "Invalid argument")
        sync(handle)

    monkeypatch.setattr(os, "fsync", refuses_folders)
    write_whole(tmp_path / "a", "there")
    assert (tmp_path / "a").read_text() == "there"


def test_bytes_are_on_the_disk_before_the_name_and_the_name_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    fsync, replace = os.fsync, os.replace

    def told(handle: int) -> None:
        order.append("folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file")
        fsync(handle)

    monkeypatch.setattr(os, "fsync", told)
    monkeypatch.setattr(os, "replace", lambda a, b: (order.append("name"), replace(a, b)))
    write_whole(tmp_path / "a", "x")
    assert order == ["file", "name", "folder"]


def test_what_is_written_has_the_usual_mode(tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("x")
    write_whole(tmp_path / "a", "x")
    write_once(tmp_path / "b", "x")
    modes = {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("plain", "a", "b")}
    assert len(modes) == 1


def test_of_many_writers_at_once_one_is_first(tmp_path: Path) -> None:
    path, won, lost = tmp_path / "a", [], []

    def write(number: int) -> None:
        try:
            write_once(path, str(number))
            won.append(number)
        except FileExistsError:
            lost.append(number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(won), len(lost)) == (1, 15)
    assert path.read_text() == str(won[0])
    assert os.listdir(tmp_path) == ["a"]


def test_digests_are_of_the_bytes(tmp_path: Path) -> None:
    content = os.urandom(300_000)
    (tmp_path / "a").write_bytes(content)
    expected = hashlib.sha256(content).hexdigest()
    assert file_sha256(tmp_path / "a") == bytes_sha256(content) == expected
