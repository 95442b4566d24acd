"""What a store asks of its file system, on one that lacks it."""

from __future__ import annotations

import errno
import os
import shutil
from collections import namedtuple
from pathlib import Path

import pytest

from bench.doctor import writes
from bench.doctor.disks import room_at
from bench.doctor.finding import Asked
from bench.doctor.mounts import judge, mount_of
from bench.doctor.writes import judge_clock, judge_fsync, judge_locks


@pytest.fixture
def asked(tmp_path) -> Asked:
    return Asked(tmp_path / "not" / "there" / "yet")


def test_a_whole_file_system_is_ok_and_nothing_is_left(asked, tmp_path):
    for look in (writes.names, writes.locks, writes.fsync, writes.case):
        assert look(asked).mark == "ok"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("number", "mark"), [(errno.EPERM, "look"), (errno.EIO, "fails")])
def test_a_store_does_without_links_only_where_they_are_refused(asked, monkeypatch, number, mark):
    def refuse(*_: object) -> None:
        raise OSError(number, "no")

    monkeypatch.setattr(writes.os, "link", refuse)
    found = writes.names(asked)
    assert (found.mark, found.measured["links"]) == (mark, False)
    assert found.fact.startswith("no hard links (no)")
    assert found.measured["exclusive"] is True


def test_a_link_that_is_a_copy_fails(asked, monkeypatch):
    monkeypatch.setattr(writes.os, "link", shutil.copy)
    assert writes.names(asked).measured["links"] is False


def test_a_link_over_a_name_that_is_taken_fails(asked, monkeypatch):
    link = os.link

    def forcing(file: Path, path: Path) -> None:
        path.unlink(missing_ok=True)
        link(file, path)

    monkeypatch.setattr(writes.os, "link", forcing)
    assert writes.names(asked).measured["links"] is False


def test_names_that_two_take_at_once_fail(asked, monkeypatch):
    monkeypatch.setattr(writes, "_RACE", writes._RACE.replace("os.O_EXCL", "0"))
    assert writes.names(asked).measured["exclusive"] is False


def test_a_file_that_is_seen_half_replaced_fails(asked, monkeypatch):
    def slowly(old: Path, new: Path) -> None:
        new.write_bytes(b"")
        new.write_bytes(old.read_bytes())

    monkeypatch.setattr(writes.os, "replace", slowly)
    found = writes.names(asked)
    assert (found.mark, found.measured["atomic_replace"]) == ("fails", False)


def test_locks_that_exclude_nobody_are_worth_a_look(asked, monkeypatch):
    import fcntl

    monkeypatch.setattr(fcntl, "flock", lambda *_: None)
    found = writes.locks(asked)
    assert (found.mark, found.fact) == ("look", "no locks by flock")
    assert judge_locks(False, False, "No locks available").fact.endswith("(No locks available)")


@pytest.mark.parametrize(
    ("touched", "mark", "skew"),
    [(100.0, "ok", 0.0), (102.9, "ok", 0.0), (108.0, "look", 5.0), (40.0, "fails", -60.0)],
)
def test_skew_is_what_the_time_of_the_call_does_not_explain(touched, mark, skew):
    found = judge_clock(touched, 100.0, 103.0)
    assert (found.mark, found.measured["skew_seconds"]) == (mark, skew)


def test_a_skewed_server_is_found(asked, monkeypatch):
    touch = os.utime
    monkeypatch.setattr(writes.os, "utime", lambda file, *_: touch(file, (0, 1e9)))
    assert writes.clock(asked).mark == "fails"
    monkeypatch.undo()
    assert writes.clock(asked).mark == "ok"


def test_the_median_of_writes_counts_and_not_the_longest():
    assert judge_fsync([0.001] * 19 + [3.0]).mark == "ok"
    assert judge_fsync([0.2] * 20).mark == "look"


def test_names_in_capitals_that_are_the_same_are_worth_a_look():
    assert writes.judge_case(sensitive=False).mark == "look"


Usage = namedtuple("Usage", "total used free")


@pytest.mark.parametrize(
    ("free", "mark"), [(20 * 2**30, "ok"), (2**30, "look"), (2**20, "fails"), (0, "fails")]
)
def test_a_full_disk_fails_and_a_small_one_is_worth_a_look(tmp_path, monkeypatch, free, mark):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(2**40, 2**40 - free, free))
    found = room_at(tmp_path / "new", "elsewhere", 10 * 2**30)
    assert (found.mark, found.measured["free"]) == (mark, free)


def test_a_disk_without_a_file_left_fails(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(2**40, 0, 2**40))
    full = namedtuple("State", "f_favail f_files")(0, 10)
    monkeypatch.setattr(os, "statvfs", lambda _: full)
    assert room_at(tmp_path, "elsewhere", 0).mark == "fails"


def test_a_folder_that_may_not_be_written_to_fails(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert room_at(tmp_path, "elsewhere", 0).mark == "fails"


TABLE = """\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:44 / /data rw shared:2 - lustre 10.0.0.1@tcp:/scratch rw,localflock
31 22 0:45 / /my\\040home rw - nfs4 server:/home rw,vers=4.2
32 22 0:46 / /ro ro - nfs4 server:/ro rw
33 22 0:47 / /run rw - tmpfs tmpfs rw
"""


@pytest.mark.parametrize(
    ("folder", "kind", "mark"),
    [
        ("/database", "ext4", "ok"),
        ("/data/results", "lustre", "look"),
        ("/my home/results", "nfs4", "ok"),
        ("/ro", "nfs4", "fails"),
        ("/run/store", "tmpfs", "look"),
    ],
)
def test_the_kind_is_that_of_the_nearest_mount(folder, kind, mark):
    found = judge(mount_of(Path(folder), TABLE))
    assert (found.measured["kind"], found.mark) == (kind, mark)
    assert found.measured["network"] is (kind in ("lustre", "nfs4"))


def test_where_the_system_says_nothing_it_is_looked_at_by_the_user():
    assert judge(mount_of(Path("/x"), "no table")).mark == "look"
