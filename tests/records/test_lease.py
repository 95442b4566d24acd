"""One cell, one runner: whatever the others do, and whenever one dies."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from bench.errors import StoreError
from bench.records.freshness import Expectations
from bench.records.lease import Leases, live_owner
from bench.records.owner import Owner, start_of, stopped_owners, this_boot, this_process
from bench.records.store import Store
from tests.records.built import cell, record

ID = cell().id


def pretend(leases: Leases, **changes: object) -> None:
    """Let a runner's leases look like those of another process."""
    path = leases.layout.runners / f"{leases.run}.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def dead_pid() -> int:
    with subprocess.Popen(["true"]) as process:
        pass
    return process.pid


def test_a_cell_is_claimed_once(store: Store) -> None:
    with Leases(store.layout) as one, Leases(store.layout) as two:
        lease = one.claim(ID)
        assert lease is not None
        assert lease.attempt == 1
        assert two.claim(ID) is None
        assert one.claim(ID) is None
        one.release(lease)
        again = two.claim(ID)
        assert again is not None
        assert again.attempt == 1


def test_an_attempts_number_is_never_used_again_once_it_has_a_record(store: Store) -> None:
    with Leases(store.layout) as leases:
        for attempt in (1, 2, 3):
            lease = leases.claim(ID)
            assert lease is not None
            assert lease.attempt == attempt
            assert leases.commit(lease, record(cell(), attempt, "failed"))
    assert sorted(os.listdir(store.layout.cell(ID).path)) == ["0001.json", "0002.json", "0003.json"]


def test_a_claim_gives_way_if_it_is_not_wanted_any_more(store: Store) -> None:
    with Leases(store.layout) as leases:
        assert leases.claim(ID, lambda: False) is None
        assert os.listdir(store.layout.cell(ID).path) == []


def test_nothing_is_left_of_a_runner_that_ends(store: Store) -> None:
    with Leases(store.layout) as leases:
        assert leases.claim(ID) is not None
    assert os.listdir(store.layout.cell(ID).path) == []
    assert os.listdir(store.layout.runners) == []


@pytest.mark.parametrize("changes", [{"pid": -1}, {"start": "1"}], ids=["gone", "pid used again"])
def test_a_dead_owner_on_this_machine_is_passed_over_at_once(
    store: Store, changes: dict[str, object]
) -> None:
    with Leases(store.layout) as dead, Leases(store.layout) as living:
        dead.claim(ID)
        pretend(dead, **{**changes, **({"pid": dead_pid()} if "pid" in changes else {})})
        lease = living.claim(ID)
        assert lease is not None
        assert lease.attempt == 2
        # Never deleted by a stranger.
        assert store.layout.cell(ID).lease(1).exists()


def test_an_owner_elsewhere_lives_by_its_heartbeat(store: Store) -> None:
    with Leases(store.layout, ttl=60) as far, Leases(store.layout, ttl=60) as here:
        far.claim(ID)
        pretend(far, host="elsewhere")
        assert here.claim(ID) is None
        owner_file = far.layout.runners / f"{far.run}.json"
        server = here.now()
        os.utime(owner_file, (server - 59, server - 59))
        assert here.claim(ID) is None
        os.utime(owner_file, (server - 61, server - 61))
        lease = here.claim(ID)
        assert lease is not None
        assert lease.attempt == 2


def test_the_clock_is_the_file_servers(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with Leases(store.layout) as far, Leases(store.layout) as here:
        far.claim(ID)
        pretend(far, host="elsewhere")
        monkeypatch.setattr(time, "time", lambda: 4e9)
        assert here.claim(ID) is None
        assert store.state(cell(), Expectations()).state == "running"


def test_the_heartbeat_touches_all_leases(store: Store) -> None:
    with Leases(store.layout, heartbeat=0.02) as leases:
        claimed = [leases.claim(cell(seed).id) for seed in range(3)]
        files = [lease.folder.lease(1) for lease in claimed if lease is not None]
        assert len(files) == 3
        os.utime(files[0], (0, 0))
        assert all(file.stat().st_mtime == 0 for file in files)
        deadline = time.monotonic() + 20
        while any(file.stat().st_mtime == 0 for file in files):
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_an_owner_who_was_taken_for_dead_discards_its_outcome(store: Store) -> None:
    with Leases(store.layout) as slow, Leases(store.layout) as quick:
        late = slow.claim(ID)
        pretend(slow, pid=dead_pid())
        lease = quick.claim(ID)
        assert late is not None
        assert lease is not None
        assert not slow.commit(late, record(cell(), 1))
        assert quick.commit(lease, record(cell(), 2))
        assert [r.attempt for r in store.attempts(ID)] == [2]


def test_the_same_after_the_other_has_ended(store: Store) -> None:
    with Leases(store.layout) as slow, Leases(store.layout) as quick:
        late = slow.claim(ID)
        pretend(slow, pid=dead_pid())
        lease = quick.claim(ID)
        assert late is not None
        assert lease is not None
        assert quick.commit(lease, record(cell(), 2))
        assert not slow.commit(late, record(cell(), 1))
        assert [r.attempt for r in store.attempts(ID)] == [2]


def test_an_owner_whose_lease_was_cleaned_away_leaves_the_number_to_its_next_owner(
    store: Store,
) -> None:
    with Leases(store.layout) as slow, Leases(store.layout) as quick:
        late = slow.claim(ID)
        assert late is not None
        late.folder.lease(1).unlink()
        lease = quick.claim(ID)
        assert lease is not None
        assert lease.attempt == 1
        assert not slow.commit(late, record(cell(), 1, "failed"))
        assert lease.folder.lease(1).exists()
        assert quick.commit(lease, record(cell(), 1))
        assert [r.done for r in store.attempts(ID)] == [True]


def test_a_stopped_owner_lives_by_its_heartbeat(store: Store) -> None:
    sleeper = subprocess.Popen(["sleep", "60"])
    try:
        with Leases(store.layout) as stopped, Leases(store.layout) as here:
            stopped.claim(ID)
            pretend(stopped, pid=sleeper.pid, start=start_of(sleeper.pid))
            file = store.layout.runners / f"{stopped.run}.json"
            old = here.now() - 61
            os.utime(file, (old, old))
            # Running, it lives whatever its heartbeat says.
            assert here.claim(ID) is None
            assert stopped_owners(store.layout.runners) == []
            sleeper.send_signal(signal.SIGSTOP)
            while not stopped_owners(store.layout.runners):
                time.sleep(0.01)
            assert [o.pid for o in stopped_owners(store.layout.runners)] == [sleeper.pid]
            lease = here.claim(ID)
            assert lease is not None
            assert lease.attempt == 2
    finally:
        sleeper.kill()
        sleeper.wait()


def test_a_number_taken_and_ended_while_we_looked_is_not_taken_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Leases(store.layout) as one, Leases(store.layout) as two:

        def overtake(*args: object) -> None:
            monkeypatch.undo()
            lease = two.claim(ID)
            assert lease is not None
            two.commit(lease, record(cell(), 1, "failed"))

        # Between one's look at the folder and its taking of the number.
        monkeypatch.setattr("bench.records.lease.live_owner", overtake)
        assert one.claim(ID) is None
        assert not store.layout.cell(ID).lease(1).exists()


def test_a_lease_with_its_record_beside_it_is_over(store: Store) -> None:
    with Leases(store.layout) as leases:
        lease = leases.claim(ID)
        assert lease is not None
        leases.commit(lease, record(cell()))
        os.link(leases.layout.runners / f"{leases.run}.json", lease.folder.lease(1))
        assert live_owner(lease.folder, lease.folder.numbers(), leases.now(), 60) is None


def test_a_lease_that_cannot_be_read_lives_by_its_time(store: Store) -> None:
    folder = store.layout.cell(ID)
    folder.path.mkdir(parents=True)
    folder.lease(1).write_text("")
    now = folder.lease(1).stat().st_mtime
    assert live_owner(folder, folder.numbers(), now + 59, 60) is not None
    assert live_owner(folder, folder.numbers(), now + 61, 60) is None


def test_this_process_lives_and_a_killed_one_does_not() -> None:
    assert this_process("r").lives()
    sleeper = subprocess.Popen(["sleep", "60"])
    owner = Owner(
        this_process("r").host, this_boot(), sleeper.pid, start_of(sleeper.pid), "another"
    )
    assert owner.lives()
    sleeper.kill()
    # A zombie, which nobody has waited for, is dead.
    deadline = time.monotonic() + 20
    while owner.lives():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    sleeper.wait()
    assert not owner.lives()
    assert Owner("elsewhere", owner.boot, 1, "1", "r").lives() is None
    assert Owner(owner.host, "another boot", 1, "1", "r").lives() is None


def test_a_store_that_cannot_be_written_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("?")
    with pytest.raises(StoreError, match="--store"), Leases(Store(tmp_path / "file").layout):
        pass


def _claimant(root: Path, cells: int, seed: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.records.claimant", str(root), str(cells), str(seed)]
    return subprocess.Popen(command, cwd=Path(__file__).parents[2])


def test_eight_runners_execute_each_of_300_cells_exactly_once(store: Store) -> None:
    store.root.mkdir()
    runners = [_claimant(store.root, 300, seed) for seed in range(8)]
    assert [runner.wait() for runner in runners] == [0] * 8
    executed = Counter((store.root / "executed").read_text().split())
    assert len(executed) == 300
    assert set(executed.values()) == {1}
    assert _done_records(store, 300) == [1] * 300


def test_runners_killed_at_random_moments_leave_one_done_record_a_cell(store: Store) -> None:
    store.root.mkdir()
    chance = random.Random(0)
    runners = [_claimant(store.root, 800, seed) for seed in range(4)]
    for seed in range(4, 12):
        time.sleep(chance.uniform(0.2, 0.8))
        victim = chance.randrange(4)
        runners[victim].kill()
        runners[victim].wait()
        runners[victim] = _claimant(store.root, 800, seed)
    assert [runner.wait() for runner in runners] == [0] * 4
    assert _done_records(store, 800) == [1] * 800
    assert not store.broken


def _done_records(store: Store, cells: int) -> list[int]:
    return [sum(r.done for r in store.attempts(cell(number).id)) for number in range(cells)]
