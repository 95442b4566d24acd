"""Cells that others have: looked at seldom, found soon, and never done on hearsay."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from bench.records.bulletin import Bulletin
from bench.records.freshness import Expectations
from bench.records.layout import CellFolder
from bench.records.lease import Leases
from bench.records.store import Store
from bench.scheduling.elsewhere import Neighbours, Pace, Seen
from bench.scheduling.engines.inline import InlineEngine
from bench.scheduling.ledger import Ledger
from bench.scheduling.options import RunOptions
from bench.scheduling.run import run
from bench.spec.cell import Parent, PlannedCell
from tests.records.built import cell, planned, record
from tests.records.test_lease import dead_pid, pretend
from tests.scheduling.fake_cells import TARGET
from tests.scheduling.test_local import act
from tests.scheduling.test_run import journal


def test_looks_grow_rare_while_nothing_changes_and_frequent_when_something_does() -> None:
    pace = Pace(1.0, 30.0, random.Random(0))
    gaps = [pace.looked(changed=False, cells=100, idle=False) for _ in range(12)]
    assert gaps[0] < 2 < gaps[4] < gaps[8]
    assert all(30 * 0.75 <= gap <= 30 * 1.25 for gap in gaps[-3:])
    assert len(set(gaps[-3:])) == 3
    assert pace.looked(changed=True, cells=100, idle=False) == 1.0
    # Whoever waits for a few cells, or has nothing else to do, does not wait long.
    grown = [pace.looked(changed=False, cells=100, idle=True) for _ in range(12)]
    assert max(grown) <= 5 * 1.25
    assert pace.looked(changed=False, cells=3, idle=False) == 1.0


class Look:
    """A runner's look at the cells of another."""

    def __init__(self, store: Store, leases: Leases, cells: list[PlannedCell]) -> None:
        by_id = {one.cell.id: one.cell for one in cells}
        states = store.states(by_id.values(), Expectations())
        ledger = Ledger(store, leases, by_id, Expectations(), states)
        self.bulletin = Bulletin(store.layout, leases.run)
        self.neighbours = Neighbours(store, leases, ledger, self.bulletin)
        self.ids = list(by_id)


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the folders of cells that are opened."""
    found: list[str] = []
    numbers = CellFolder.numbers

    def counted(folder: CellFolder) -> object:
        found.append(Path(folder.name).name)
        return numbers(folder)

    monkeypatch.setattr(CellFolder, "numbers", counted)
    return found


def test_only_cells_of_which_their_owner_tells_are_opened(store: Store, listed: list[str]) -> None:
    cells = [planned(cell(seed)) for seed in range(20)]
    with Leases(store.layout) as other, Leases(store.layout) as leases:
        theirs = Bulletin(store.layout, other.run)
        held = [other.claim(one.cell.id) for one in cells]
        look = Look(store, leases, cells)
        assert look.neighbours.look(look.ids).settled == ()
        listed.clear()
        assert look.neighbours.look(look.ids).settled == ()
        assert listed == []
        assert held[3] is not None
        other.commit(held[3], record(cells[3].cell))
        theirs.tell(cells[3].cell.id)
        seen = look.neighbours.look(look.ids)
        assert [cell_id for cell_id, _ in seen.settled] == [look.ids[3]]
        assert set(listed[1:]) == {look.ids[3]}
        # Of a runner that is dead all are looked at.
        pretend(other, pid=dead_pid())
        assert set(look.neighbours.look(look.ids).free) == {*look.ids} - {look.ids[3]}


def test_what_an_owner_does_not_tell_is_found_by_and_by(store: Store) -> None:
    cells = [planned(cell(seed)) for seed in range(2)]
    with Leases(store.layout) as other, Leases(store.layout) as leases:
        Bulletin(store.layout, other.run)
        lease = other.claim(cells[0].cell.id)
        look = Look(store, leases, cells[:1])
        look.neighbours.look(look.ids)
        assert lease is not None
        other.commit(lease, record(cells[0].cell))
        found = [look.neighbours.look(look.ids).settled for _ in range(8)]
        assert not found[0]
        assert any(found)


def test_a_bulletin_decides_nothing(store: Store) -> None:
    """Whoever tells that all is done, when nothing is, keeps no cell from being executed."""
    plan = [act("sleep", seed, seconds=0.0) for seed in range(5)]
    store.layout.runners.mkdir(parents=True)
    liar = Bulletin(store.layout, "liar")
    for one in plan:
        liar.tell(one.cell.id)
    options = RunOptions(look_every=0.02)
    summary = run(plan, store, InlineEngine(target=TARGET), options=options)
    assert (summary.done, summary.exit_code) == (5, 0)
    assert len(journal(store)) == 5


def test_news_are_whole_lines_each_told_once(store: Store) -> None:
    store.layout.runners.mkdir(parents=True)
    one, other = Bulletin(store.layout, "a"), Bulletin(store.layout, "b")
    one.tell("11")
    assert other.news() == ({"11"}, {"a"})
    with open(store.layout.runners / "a.done", "ab") as file:
        file.write(b"22\n3")
        file.flush()
        assert other.news()[0] == {"22"}
        file.write(b"3\n../../x\n")
        file.flush()
        assert other.news()[0] == {"33"}
    one.close()
    assert os.listdir(store.layout.runners) == ["b.done"]


def test_a_runner_that_leaves_when_idle_waits_for_nobody(store: Store) -> None:
    stage = act("sleep", 1, seconds=0.0)
    child = planned(cell(2, parents={"start": Parent(stage.cell.id)}), 1)
    free = act("sleep", 3, seconds=0.0)
    with Leases(store.layout) as other:
        assert other.claim(stage.cell.id) is not None
        options = RunOptions(leave_when_idle=True, look_every=0.02)
        summary = run([stage, child, free], store, InlineEngine(target=TARGET), options=options)
        assert (summary.done, summary.unfinished) == (1, 2)
        assert journal(store) == [free.cell.id]
        assert store.state(stage.cell, Expectations()).state == "running"


def test_a_runner_that_leaves_looks_a_last_time(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What has come free since its last look it does itself."""
    stage = act("sleep", 1, seconds=0.0)
    look = Neighbours.look
    with Leases(store.layout) as other:
        lease = other.claim(stage.cell.id)
        assert lease is not None

        def freed(neighbours: Neighbours, cells: Sequence[str]) -> Seen:
            other.release(lease)
            return look(neighbours, cells)

        monkeypatch.setattr(Neighbours, "look", freed)
        # No look is due but the last.
        monkeypatch.setattr(Pace, "due", False)
        options = RunOptions(leave_when_idle=True)
        summary = run([stage], store, InlineEngine(target=TARGET), options=options)
    assert (summary.done, summary.unfinished) == (1, 0)


def test_shuffled_runs_begin_elsewhere_but_with_what_is_longest(store: Store) -> None:
    stage = act("sleep", 99, seconds=0.0)
    child = planned(cell(100, parents={"start": Parent(stage.cell.id)}), 1)
    plan = [*(act("sleep", seed, seconds=0.0) for seed in range(12)), stage, child]
    options = RunOptions(shuffled=True)
    assert run(plan, store, InlineEngine(target=TARGET), options=options).exit_code == 0
    began = journal(store)
    assert began[0] == stage.cell.id
    assert began != [stage.cell.id, *(p.cell.id for p in plan if p is not stage)]
