"""What is removed from a store is what dead runners left, and nothing else."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from bench.cli.clean import command
from bench.errors import StoreError
from bench.records.lease import Leases
from bench.records.litter import cleaning, litter, remove
from bench.records.owner import start_of
from bench.records.record import Record
from bench.records.store import Store
from tests.records.built import cell, record
from tests.records.test_lease import dead_pid, pretend

Put = Callable[[Record], Path]
ID = cell().id


def names(store: Store, **options: object) -> list[str]:
    return sorted(one.path.name for one in litter(store, **options))  # type: ignore[arg-type]


def aged(path: Path, seconds: float, content: str = "x" * 1000) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    then = time.time() - seconds
    os.utime(path, (then, then))
    return path


def leave(store: Store, cell_id: str = ID, **owner: object) -> str:
    """Leave a lease as a runner does that is killed; return the run's id."""
    leases = Leases(store.layout)
    with leases:
        lease = leases.claim(cell_id)
        assert lease is not None
        pretend(leases, **owner)
        copy = lease.folder.path / "copy"
        os.link(lease.folder.lease(lease.attempt), copy)
    copy.rename(lease.folder.lease(lease.attempt))
    os.link(lease.folder.lease(lease.attempt), store.layout.runners / f"{leases.run}.json")
    return leases.run


def test_the_leases_and_the_owner_file_of_a_dead_runner_are_litter(store: Store) -> None:
    run = leave(store, pid=dead_pid())
    assert names(store) == sorted(["0001.lease", f"{run}.json"])
    remove(store, litter(store))
    assert names(store) == []
    assert not list(store.root.rglob("*.lease"))


def test_what_a_living_runner_has_is_none(store: Store) -> None:
    with Leases(store.layout) as leases:
        lease = leases.claim(ID)
        assert lease is not None
        part = aged(lease.folder.path / ".0001.checkpoint.bin.abc.part", 7200)
        aged(lease.folder.path / "0001.checkpoint.bin", 7200)
        assert names(store, artifacts=True) == []
        assert part.exists()


def test_a_runner_that_is_stopped_may_go_on_however_late(store: Store) -> None:
    sleeper = subprocess.Popen(["sleep", "60"])
    try:
        run = leave(store, pid=sleeper.pid, start=start_of(sleeper.pid))
        sleeper.send_signal(signal.SIGSTOP)
        beat = time.time() - 10**6
        os.utime(store.layout.runners / f"{run}.json", (beat, beat))
        assert names(store) == []
    finally:
        sleeper.kill()
        sleeper.wait()
    assert "0001.lease" in names(store)


@pytest.mark.parametrize(("silent", "found"), [(3000, 0), (4000, 2)])
def test_a_runner_elsewhere_is_dead_after_an_hour_without_a_heartbeat(
    store: Store, silent: float, found: int
) -> None:
    run = leave(store, host="elsewhere")
    beat = time.time() - silent
    os.utime(store.layout.runners / f"{run}.json", (beat, beat))
    assert len(names(store)) == found


def test_a_lease_beside_its_record_is_over(store: Store, put: Put) -> None:
    with Leases(store.layout) as leases:
        put(record(cell()))
        os.link(store.layout.runners / f"{leases.run}.json", store.layout.cell(ID).lease(1))
        assert names(store) == ["0001.lease"]


def test_unfinished_files_are_litter_once_nobody_writes_them(store: Store, put: Put) -> None:
    folder = put(record(cell())).parent
    aged(folder / ".0001.json.abc.part", 3600)
    aged(folder / ".0002.json.def.part", 5)
    aged(store.root / "settling" / ".a.json.012.part", 3600)
    assert names(store) == [".0001.json.abc.part", ".a.json.012.part"]


def test_artifacts_are_litter_if_asked_for_and_no_done_record_names_them(
    store: Store, put: Put
) -> None:
    folder = put(record(cell(), 1, artifacts={"checkpoint": "aa"})).parent
    put(record(cell(), 2, "failed"))
    for name in ("0001.checkpoint.bin", "0002.checkpoint.bin", "0003.checkpoint.bin", "0002.log"):
        aged(folder / name, 3600)
    assert names(store) == []
    assert names(store, artifacts=True) == ["0002.checkpoint.bin", "0003.checkpoint.bin"]
    # A record that cannot be read may name any of them.
    (folder / "0004.json").write_text("{")
    assert names(store, artifacts=True) == []


def test_a_saved_state_is_litter_once_its_cell_is_done(store: Store, put: Put) -> None:
    folder = put(record(cell(), 1, "cancelled")).parent
    state = aged(folder / "progress.safetensors", 3600)
    part = aged(folder / "0001.checkpoint@step%2010.safetensors", 3600)
    # It may be gone on from, with what its attempt has left.
    assert names(store, artifacts=True) == []
    put(record(cell(), 2))
    assert names(store) == [state.name]
    assert names(store, artifacts=True) == sorted([state.name, part.name])
    # One saved since is of an attempt at what has become stale.
    aged(state, -5)
    assert names(store, artifacts=True) == []


def test_the_command_says_what_it_removes_and_a_dry_run_removes_nothing(store: Store) -> None:
    leave(store, pid=dead_pid())
    part = aged(store.layout.cell(ID).path / ".0001.x.bin.abc.part", 3600, "x" * 2500)
    said = CliRunner().invoke(command, ["--store", str(store.root), "--dry-run"])
    assert said.exit_code == 0
    assert str(part) in said.output
    assert said.output.endswith("1 owner file, 1 lease, 1 unfinished file: 2.5 kB\n")
    assert part.exists()
    done = CliRunner().invoke(command, ["--store", str(store.root)])
    assert done.output == "removed 1 owner file, 1 lease, 1 unfinished file: 2.5 kB\n"
    assert not part.exists()
    again = CliRunner().invoke(command, ["--store", str(store.root)])
    assert again.output == "removed nothing: 0 bytes\n"


def test_a_folder_that_is_no_store_is_an_error(tmp_path: Path) -> None:
    ran = CliRunner().invoke(command, ["--store", str(tmp_path)])
    assert "no store" in str(ran.exception)


def test_a_lease_that_was_taken_again_meanwhile_stays(store: Store) -> None:
    leave(store, pid=dead_pid())
    found = litter(store)
    # Another has cleaned, and a runner has the number again.
    remove(store, litter(store))
    with Leases(store.layout) as leases:
        lease = leases.claim(ID)
        assert lease is not None
        assert lease.attempt == 1
        remove(store, found)
        assert lease.folder.lease(1).exists()


def test_one_cleans_at_a_time(store: Store) -> None:
    leave(store, pid=dead_pid())
    arguments = ["--store", str(store.root)]
    with cleaning(store):
        result = CliRunner().invoke(command, arguments)
        assert isinstance(result.exception, StoreError)
        assert "another `bench clean` is at work" in str(result.exception)
        assert list(store.root.rglob("*.lease"))
        assert CliRunner().invoke(command, [*arguments, "--dry-run"]).exit_code == 0
    assert CliRunner().invoke(command, arguments).exit_code == 0
    assert not list(store.root.rglob("*.lease"))
