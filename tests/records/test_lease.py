"""One cell, one runner: whatever the others do, and whenever one dies."""

from __future__ import annotations

import errno
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
from bench.records.lease import Lease, Leases, live_owner, living
from bench.records.owner import Owner, start_of, stopped_owners, this_boot, this_process
from bench.records.store import Store
from tests.records.built import cell, record

ID = cell().id


@pytest.fixture(autouse=True, params=["links", "no links"])
def _links(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test is about a file system with hard links, and about one without."""
    if request.param == "no links":

        def refused(*args: object, **kwargs: object) -> None:
            raise OSError(errno.EPERM, "no hard links here")

        monkeypatch.setattr("bench.records.appear.os.link", refused)
        monkeypatch.setenv("NO_LINKS", "1")


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
        assert leases.claim(ID, lambda numbers: False) is None
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


def test_the_heartbeat_is_that_of_all_leases(store: Store) -> None:
    with Leases(store.layout, heartbeat=0.02) as leases:
        claimed = [leases.claim(cell(seed).id) for seed in range(3)]
        files = [lease.folder.lease(1) for lease in claimed if lease is not None]
        assert len(files) == 3
        pretend(leases, host="elsewhere")
        for file in (*files, leases.layout.runners / f"{leases.run}.json"):
            os.utime(file, (0, 0))
        deadline = time.monotonic() + 20
        while not all(living(file, store.now(), 60) for file in files):
            assert time.monotonic() < deadline
            time.sleep(0.01)


def contended(store: Store, slow: Leases, quick: Leases) -> tuple[Lease, Lease]:
    """Return the leases of a runner that was taken for dead, and of the one that took over."""
    late = slow.claim(ID)
    pretend(slow, pid=dead_pid())
    lease = quick.claim(ID)
    assert late is not None
    assert lease is not None
    return late, lease


def test_what_an_owner_who_was_taken_for_dead_has_done_counts_if_it_comes_first(
    store: Store,
) -> None:
    with Leases(store.layout) as slow, Leases(store.layout) as quick:
        late, lease = contended(store, slow, quick)
        assert slow.commit(late, record(cell(), 1))
        assert not quick.commit(lease, record(cell(), 2))
    assert [r.attempt for r in store.attempts(ID)] == [1]
    assert os.listdir(store.layout.cell(ID).path) == ["0001.json"]


def test_it_is_discarded_after_the_other_has_ended(store: Store) -> None:
    with Leases(store.layout) as slow, Leases(store.layout) as quick:
        late, lease = contended(store, slow, quick)
        assert quick.commit(lease, record(cell(), 2))
        assert not slow.commit(late, record(cell(), 1))
    assert [r.attempt for r in store.attempts(ID)] == [2]
    assert os.listdir(store.layout.cell(ID).path) == ["0002.json"]


def test_a_failure_is_never_written_late(store: Store) -> None:
    with Leases(store.layout) as slow, Leases(store.layout) as quick:
        late, lease = contended(store, slow, quick)
        assert not slow.commit(late, record(cell(), 1, "failed"))
        assert quick.commit(lease, record(cell(), 2))


@pytest.mark.parametrize("first", ["slow", "quick"])
def test_of_two_that_write_at_the_same_time_one_gives_way(
    store: Store, monkeypatch: pytest.MonkeyPatch, first: str
) -> None:
    """The other writes when the first has all its claims, and has looked for the last time."""
    with Leases(store.layout) as slow, Leases(store.layout) as quick:
        late, lease = contended(store, slow, quick)
        one, other = (slow, late, 1), (quick, lease, 2)
        ahead, behind = (one, other) if first == "slow" else (other, one)
        place = Leases._place
        came: list[bool] = []

        def between(leases: Leases, part: Path, held: Lease) -> bool:
            monkeypatch.setattr(Leases, "_place", place)
            came.append(behind[0].commit(behind[1], record(cell(), behind[2])))
            return place(leases, part, held)

        monkeypatch.setattr(Leases, "_place", between)
        assert ahead[0].commit(ahead[1], record(cell(), ahead[2]))
        assert came == [False]
    assert [r.attempt for r in store.attempts(ID)] == [ahead[2]]


def test_an_owner_who_died_with_all_its_claims_keeps_no_cell_from_being_executed(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Leases(store.layout) as slow, Leases(store.layout) as quick:
        late, lease = contended(store, slow, quick)
        claims: list[Path] = []
        assert slow._may_write(late, True, claims)
        assert claims[-1].name == "0002.claim"
        assert not quick.commit(lease, record(cell(), 2))
        # Its number is not given again, since its claim is taken.
        again = quick.claim(ID)
        assert again is not None
        assert again.attempt == 3
        assert quick.commit(again, record(cell(), 3))
        assert not slow.commit(late, record(cell(), 1))
    assert [r.attempt for r in store.attempts(ID)] == [3]


def test_an_owner_may_name_its_own_time_to_live(store: Store) -> None:
    with Leases(store.layout, own_ttl=600) as far, Leases(store.layout, ttl=60) as here:
        far.claim(ID)
        pretend(far, host="elsewhere")
        file = far.layout.runners / f"{far.run}.json"
        for silent, taken in ((599, False), (601, True)):
            then = here.now() - silent
            os.utime(file, (then, then))
            os.utime(store.layout.cell(ID).lease(1), (then, then))
            assert (here.claim(ID) is not None) is taken


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
        owner = leases.layout.runners / f"{leases.run}.json"
        lease.folder.lease(1).write_bytes(owner.read_bytes())
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
