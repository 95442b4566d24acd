"""What the store asks of its file system, tried in a folder of its own there."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.doctor.disks import existing
from bench.doctor.finding import Asked, Finding, Mark
from bench.records.appear import NO_LINKS

KEYS_NAMES = ("links", "exclusive", "atomic_replace", "error")
KEYS_LOCKS = ("fcntl", "flock", "error")
KEYS_CLOCK = ("skew_seconds", "uncertainty_seconds")
KEYS_FSYNC = ("median_ms", "longest_ms")
KEYS_CASE = ("sensitive",)
_REPLACED, _SYNCED, _RACED = 200, 20, 100
# A runner without a heartbeat for a minute is dead to others.
_SKEW_LOOK, _SKEW_FAILS = 1.0, 30.0
_SLOW_MS = 100.0
_WITHOUT_LINKS = "it works, with a few more operations on files a cell"
_ELSEWHERE = "give a folder on another file system with --store"
# Prints 1 for a lock that is free, 0 for one that is held.
_TRY_LOCKS = """
import fcntl, sys
def free(take, name):
    with open(name, "r+b") as file:
        try:
            take(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return 0
        return 1
print(free(fcntl.lockf, sys.argv[1]), free(fcntl.flock, sys.argv[2]))
"""
# Prints the numbers of the names that it was first to take, once the other is ready too.
_RACE = """
import os, sys
sys.stdin.readline()
for number in range(int(sys.argv[2])):
    try:
        os.close(os.open(f"{sys.argv[1]}/{number}", os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except FileExistsError:
        continue
    print(number)
"""


@contextmanager
def probing(store: Path) -> Iterator[Path]:
    """Yield a new folder in the store, or where it would be; it is removed."""
    folder = Path(tempfile.mkdtemp(prefix=".doctor-", dir=existing(store)))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def names(asked: Asked) -> Finding:
    """Try what leases and records rest on: links, exclusive names, replaced files."""
    with probing(asked.store) as folder:
        links, error, refused = links_work(folder)
        return judge_names(links, exclusive_works(folder), replace_works(folder), error, refused)


def judge_names(
    links: bool, exclusive: bool, replace: bool, error: str, refused: bool = False
) -> Finding:
    """Return whether a store can be kept there; without links if they are plainly refused."""
    measured = {
        "links": links,
        "exclusive": exclusive,
        "atomic_replace": replace,
        "error": error or None,
    }
    tried = {"hard links": links, "exclusive names": exclusive, "atomic replacing": replace}
    missing = [name for name, works in tried.items() if not works]
    if missing:
        why = f" ({error})" if error else ""
        if refused and missing == ["hard links"]:
            fact = f"no hard links{why}: leases are exclusive names"
            return Finding("look", fact, _WITHOUT_LINKS, measured)
        return Finding("fails", f"no {' and no '.join(missing)}{why}", _ELSEWHERE, measured)
    return Finding("ok", "hard links, exclusive names, atomic replacing", measured=measured)


def links_work(folder: Path) -> tuple[bool, str, bool]:
    """Whether a file takes a second name in another folder, and never one that is taken.

    With it come what is wrong, and whether it is only that links are refused.
    """
    one, two = folder / "runners", folder / "cells"
    try:
        one.mkdir()
        two.mkdir()
        (one / "owner").write_text("owner")
        os.link(one / "owner", two / "lease")
        if not (one / "owner").samefile(two / "lease"):
            return False, "a link is another file", False
        (two / "taken").write_text("another")
        try:
            os.link(one / "owner", two / "taken")
        except FileExistsError:
            return True, "", False
        return False, "a link replaces a file", False
    except OSError as error:
        return False, str(error.strerror), error.errno in NO_LINKS


def exclusive_works(folder: Path) -> bool:
    """Whether of two processes that take the same names each name has one that was first."""
    raced = folder / "raced"
    raced.mkdir()
    command = [sys.executable, "-I", "-c", _RACE, str(raced), str(_RACED)]
    pipe = subprocess.PIPE
    racers = [subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) for _ in range(2)]
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("\n")
        racer.stdin.flush()
    first = [line for racer in racers for line in racer.communicate()[0].split()]
    return sorted(first, key=int) == [str(number) for number in range(_RACED)]


def replace_works(folder: Path) -> bool:
    """Whether who reads a file that is replaced finds it whole, the old one or the new."""
    file, other = folder / "replaced", folder / "other"
    whole = {bytes([letter]) * 4096 for letter in b"ab"}
    file.write_bytes(b"a" * 4096)
    ended, torn = threading.Event(), threading.Event()

    def read() -> None:
        while not ended.is_set():
            try:
                if file.read_bytes() not in whole:
                    torn.set()
            except OSError:
                torn.set()

    reader = threading.Thread(target=read)
    reader.start()
    try:
        for number in range(_REPLACED):
            other.write_bytes(b"ab"[number % 2 :][:1] * 4096)
            os.replace(other, file)
    except OSError:
        return False
    finally:
        ended.set()
        reader.join()
    return not torn.is_set()


def locks(asked: Asked) -> Finding:
    """Try locks between two processes of this machine, by which one prepares data at a time."""
    with probing(asked.store) as folder:
        return judge_locks(*held_locks(folder))


def held_locks(folder: Path) -> tuple[bool, bool, str]:
    """Return whether fcntl's and flock's locks exclude another process, and free it after."""
    import fcntl

    files = [folder / "fcntl", folder / "flock"]
    for file in files:
        file.touch()
    try:
        with open(files[0], "r+b") as one, open(files[1], "r+b") as two:
            fcntl.lockf(one, fcntl.LOCK_EX | fcntl.LOCK_NB)
            fcntl.flock(two, fcntl.LOCK_EX | fcntl.LOCK_NB)
            held = _free(files)
        free = _free(files)
    except OSError as error:
        return False, False, str(error.strerror)
    works = [not during and after for during, after in zip(held, free, strict=True)]
    return works[0], works[1], ""


def _free(files: list[Path]) -> list[bool]:
    """Return which of the locks another process could take."""
    command = [sys.executable, "-I", "-c", _TRY_LOCKS, *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [word == "1" for word in done.stdout.split()]


def judge_locks(fcntl: bool, flock: bool, error: str) -> Finding:
    """Return whether data may be prepared there by several processes."""
    measured = {"fcntl": fcntl, "flock": flock, "error": error or None}
    missing = [name for name, works in (("fcntl", fcntl), ("flock", flock)) if not works]
    if not missing:
        return Finding("ok", "fcntl and flock hold between processes here", measured=measured)
    why = f" ({error})" if error else ""
    remedy = "keep RETABLE_CACHE on another file system, or prepare data by one process first"
    return Finding("look", f"no locks by {' and '.join(missing)}{why}", remedy, measured)


def clock(asked: Asked) -> Finding:
    """Compare this machine's clock with the one that gives files their times."""
    with probing(asked.store) as folder:
        file = folder / "touched"
        file.touch()
        before = time.time()
        os.utime(file)
        after = time.time()
        return judge_clock(file.stat().st_mtime, before, after)


def judge_clock(touched: float, before: float, after: float) -> Finding:
    """Return how far a file's time is from when it was touched, seconds since the epoch.

    A time between ``before`` and ``after`` is no skew, whatever the network took.
    """
    skew = max(0.0, before - touched) or max(0.0, touched - after)
    skew = -skew if touched < before else skew
    measured = {"skew_seconds": round(skew, 3), "uncertainty_seconds": round(after - before, 6)}
    if abs(skew) <= _SKEW_LOOK:
        return Finding("ok", "the file server's time is this machine's", measured=measured)
    ahead = "ahead of" if skew > 0 else "behind"
    fact = f"the file server is {abs(skew):,.1f} s {ahead} this machine"
    mark: Mark = "fails" if abs(skew) >= _SKEW_FAILS else "look"
    return Finding(mark, fact, "set both clocks by NTP (chronyc tracking)", measured)


def fsync(asked: Asked) -> Finding:
    """Measure how long a small file takes to reach the disk."""
    with probing(asked.store) as folder:
        return judge_fsync([_synced(folder / str(number)) for number in range(_SYNCED)])


def _synced(file: Path) -> float:
    """Return seconds."""
    with open(file, "wb") as opened:
        opened.write(b"x" * 4096)
        opened.flush()
        began = time.perf_counter()
        os.fsync(opened.fileno())
        return time.perf_counter() - began


def judge_fsync(seconds: list[float]) -> Finding:
    """Return whether records are written quickly enough."""
    median, longest = 1e3 * statistics.median(seconds), 1e3 * max(seconds)
    measured = {"median_ms": round(median, 3), "longest_ms": round(longest, 3)}
    fact = f"{median:.1f} ms, the longest of {len(seconds)} {longest:.0f} ms"
    if median > _SLOW_MS:
        return Finding("look", fact, "short cells wait for it: take a faster disk", measured)
    return Finding("ok", fact, measured=measured)


def case(asked: Asked) -> Finding:
    """Look whether names that differ in case are two files."""
    with probing(asked.store) as folder:
        (folder / "name").touch()
        return judge_case(sensitive=not (folder / "NAME").exists())


def judge_case(*, sensitive: bool) -> Finding:
    """Return whether a suite and another of its name in capitals would be one."""
    if sensitive:
        return Finding("ok", "names differ by case", measured={"sensitive": True})
    remedy = "let no two suites or datasets differ in case alone"
    return Finding("look", "names that differ in case are one", remedy, {"sensitive": False})
