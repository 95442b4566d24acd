"""A fleet's file, what is left of its plan, and how many pilots that is worth."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench.fleet.fleet import Fleet, Fleets, Work, new_fleet, with_submission
from bench.fleet.outlook import Outlook, outlook, why_failed
from bench.fleet.settings import SlurmSettings
from bench.fleet.watch import pilots_wanted
from bench.records.freshness import Expectations
from bench.records.layout import Layout
from bench.records.lease import Leases
from bench.records.record import Failure
from bench.records.store import CellState, Store
from bench.spec.cell import Parent
from tests.records.built import cell, planned, record

WORK = Work.of(["a", "b"], {"train": "1", "data:digits": "2"}, {"torch": "2.6"})


def fleet() -> Fleet:
    return new_fleet(["bss/table2"], "paper", ["bss/table2"], {"gpus": 1}, WORK)


def test_a_fleet_is_what_was_written(tmp_path: Path) -> None:
    fleets = Fleets(Layout(tmp_path))
    written = with_submission(with_submission(fleet(), "17", 2), "18", 1)
    fleets.write(written)
    (tmp_path / "fleets" / "broken.json").write_text("{")
    (tmp_path / "fleets" / "astray.json").write_text(replace(written, id="../..").to_json())
    assert fleets.found() == [written]
    assert fleets.get(written.id) == written
    # Slurm names an array's jobs, and a single one as it is.
    assert written.jobs == ("17_0", "17_1", "18")


@pytest.mark.parametrize(
    ("here", "told"),
    [
        (WORK, ""),
        (replace(WORK, code={"train": "x", "data:digits": "2"}), "the code of train"),
        (replace(WORK, code={"train": "1"}), "the code of data:digits"),
        (replace(WORK, versions={"torch": "2.7"}), "versions (torch 2.7 for 2.6)"),
        (Work.of(["a"], WORK.code, WORK.versions), "the suites' cells"),
    ],
)
def test_other_work_is_told_apart(here: Work, told: str) -> None:
    assert WORK.differs(here) == told


def put(store: Store, which, attempt: int, status: str, failure: Failure | None = None) -> None:
    from bench.records.codec import dump_record

    made = record(which, attempt, status)
    if failure is not None:
        made = replace(made, outcome=replace(made.outcome, failure=failure))
    file = store.layout.cell(which.id).record(attempt)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(dump_record(made))


def test_what_is_left_is_told_by_the_store(tmp_path: Path) -> None:
    store = Store(tmp_path)
    first, second, lost, held = (cell(seed) for seed in range(4))
    child, orphan = (
        cell(seed, parents={"start": Parent(p.id)}) for seed, p in ((5, first), (6, lost))
    )
    plan = [planned(c, level) for c, level in
            ((first, 0), (second, 0), (lost, 0), (held, 0), (child, 1), (orphan, 1))]  # fmt: skip

    def look(since: int = 0, retries: int = 1) -> Outlook:
        states = store.states([p.cell for p in plan], Expectations())
        return outlook(plan, states, store, dict.fromkeys(states, since), retries)

    assert look().open == {first.id, second.id, lost.id, held.id}
    assert look().waiting == {child.id, orphan.id}
    crash = Failure("exit", "it died")
    put(store, lost, 1, "failed", crash)
    # It is tried once more, by whoever has it.
    assert lost.id in look().open
    assert lost.id in look(retries=0).failed
    put(store, lost, 2, "failed", crash)
    assert look().failed == {lost.id, orphan.id}
    # What failed before the fleet began is its work again.
    assert lost.id in look(since=2).open
    # Whatever is the matter with it, another pilot would come to the same.
    put(store, held, 1, "done")
    stale = {c.id: s for c, s in ((p.cell, CellState("stale", attempts=1)) for p in plan)}
    assert outlook(plan, stale, store, dict.fromkeys(stale, 0), 1).failed == {held.id}
    assert "stale at once" in why_failed(stale[held.id])[1].message
    store.layout.cell(held.id).record(1).unlink()
    put(store, second, 1, "cancelled")
    with Leases(store.layout) as leases:
        leases.claim(held.id)
        now = look()
        assert now.running == {held.id}
        assert second.id in now.open
        assert not now.ended


def some(count: int) -> frozenset[str]:
    return frozenset(map(str, range(count)))


@pytest.mark.parametrize(
    ("left", "live", "free", "slots", "more"),
    [
        (40, 0, 0, 1, 8),
        (3, 0, 0, 1, 3),
        # Pilots that wait, or have room, are for these cells.
        (3, 3, 3, 1, 0),
        (3, 2, 0, 1, 3),
        (3, 2, 0, 4, 1),
        (9, 1, 2, 4, 2),
        (40, 8, 0, 1, 0),
        (0, 0, 0, 1, 0),
    ],
)
def test_pilots_follow_what_can_be_begun(
    left: int, live: int, free: int, slots: int, more: int
) -> None:
    now = Outlook(some(0), some(0), frozenset({"x"}), some(left), frozenset({"y"}))
    assert pilots_wanted(now, live, free, slots, SlurmSettings(max_pilots=8)) == more
