"""A tuned cell counts only as long as its record is by the choice that its trials make today."""

from __future__ import annotations

import textwrap
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from bench.records.codec import dump_record, load_record
from bench.records.freshness import Expectations
from bench.records.record import CHOSEN, Artifact, Outcome, Provenance, Record
from bench.records.store import Store
from bench.spec.cell import CHOICE, SCORE, Cell
from bench.spec.plan import load_plan
from bench.spec.tuning import Trial, Tuned
from bench.spec.work import Choose

SUITE = """
title: Tuned
axes:
  backbone: test_resnet
  weights: random
  dataset: glyphs
  sampling_rate: 1.0
  method: [plain, l2]
  seed: 2
recipe: {steps: 10, optimizer: {sgd: {lr: 0.5}}}
search:
  space: {recipe.optimizer.sgd.lr: [0.01, 0.1]}
  seeds: 2
  recipe: {validation: 0.25}
methods:
  plain: {}
  l2: {penalties: {l2: {weight: 1e-3}}}
profiles:
  offline: {}
"""


class Searched:
    """The suite's cells with records in a store: trials, choices, tuned cells."""

    def __init__(self, folder: Path) -> None:
        (folder / "paper.yaml").write_text("id: test\ntitle: A test\n")
        (folder / "table.yaml").write_text(textwrap.dedent(SUITE).lstrip())
        self.plan = load_plan(folder / "table.yaml")
        self.cells = self.plan.unique()
        self.store = Store(folder / "results")
        self.left: dict[str, str] = {}
        for cell in self.cells.values():
            if isinstance(cell.work, Trial):
                self.put(cell)
            elif isinstance(cell.work, Choose):
                self.choose(cell, 1)
            else:
                self.put(cell, candidate=1)

    def put(
        self, cell: Cell, *, left: str = "", candidate: int | None = None, told: int | None = None,
        attempt: int = 1,
    ) -> Record:  # fmt: skip
        """Put a done record; ``told`` is the candidate that its parents name."""
        name = {Trial: SCORE, Choose: CHOICE}.get(type(cell.work))
        artifacts = {}
        if name is not None:
            digest = sha256(f"{cell.id} {left}".encode()).hexdigest()
            self.left[cell.id] = digest
            artifacts[name] = Artifact(f"{attempt:04d}.{name}.json", digest)
        parents = {
            role: {"id": p.id, "artifact": p.artifact, "attempt": 1, "sha256": self.left[p.id]}
            for role, p in cell.parents.items()
        }
        if candidate is not None:
            parents[CHOICE]["candidate"] = candidate if told is None else told
        metrics = {CHOSEN: float(left)} if isinstance(cell.work, Choose) else {}
        outcome = Outcome(
            "done", metrics=metrics, artifacts=artifacts, provenance=Provenance(parents=parents)
        )
        record = Record(cell.to_json(candidate), attempt, "", "", 0.0, outcome)
        path = self.store.layout.cell(cell.id).record(attempt)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dump_record(record))
        for artifact in artifacts.values():
            path.with_name(artifact.file).write_text("")
        return record

    def choose(self, cell: Cell, candidate: int, attempt: int = 1) -> None:
        self.put(cell, left=str(candidate), attempt=attempt)

    def of(self, kind: type, method: str = "l2") -> list[Cell]:
        penalties = {p.cell.id for p in self.plan.shown if p.place["method"] == method}
        if kind is Tuned:
            return [self.cells[i] for i in penalties]
        choice = next(self.cells[self.cells[i].parents[CHOICE].id] for i in penalties)
        trials = [self.cells[p.id] for p in choice.parents.values()]
        return [choice] if kind is Choose else trials

    def stale(self) -> dict[str, tuple[str, ...]]:
        """Ids of the cells that are not done, with the reasons."""
        states = self.store.states(self.cells.values(), Expectations())
        return {i: state.reasons for i, state in states.items() if not state.done}


@pytest.fixture
def searched(tmp_path: Path) -> Searched:
    return Searched(tmp_path)


def test_records_by_the_choice_are_done_and_say_every_setting(searched: Searched) -> None:
    assert searched.stale() == {}
    for cell in searched.of(Tuned):
        (record,) = searched.store.attempts(cell.id)
        assert record.cell["settings"]["recipe"]["optimizer"]["sgd"]["lr"] == 0.1


def test_a_record_by_another_candidate_than_was_chosen_is_stale(searched: Searched) -> None:
    cell = searched.of(Tuned)[0]
    # Whatever it tells of itself: its settings are those of candidate 0, and 1 was chosen.
    for told in (0, 1):
        searched.put(cell, candidate=0, told=told)
        assert searched.stale() == {cell.id: ("settings: recipe.optimizer.sgd.lr",)}


def test_another_score_makes_choice_and_tuned_cells_stale(searched: Searched) -> None:
    trial = searched.of(Trial)[0]
    searched.put(trial, left="another score")
    (choice,) = searched.of(Choose)
    found = searched.stale()
    role = next(r for r, p in choice.parents.items() if p.id == trial.id)
    assert found.pop(choice.id) == (f"parent: {role}",)
    assert set(found) == {cell.id for cell in searched.of(Tuned)}
    for reasons in found.values():
        assert "parent: choice" in reasons


def test_a_lost_trial_makes_both_stale_too(searched: Searched) -> None:
    trial = searched.of(Trial)[0]
    searched.store.layout.cell(trial.id).record(1).unlink()
    assert set(searched.stale()) == {
        trial.id, searched.of(Choose)[0].id, *(cell.id for cell in searched.of(Tuned)),
    }  # fmt: skip


def test_an_earlier_choice_is_not_used(searched: Searched) -> None:
    """The trials changed, and with them the choice: cells by the one before do not count."""
    trial, (choice,) = searched.of(Trial)[0], searched.of(Choose)
    searched.put(trial, left="another score")
    searched.choose(choice, 0, attempt=2)
    assert set(searched.stale()) == {cell.id for cell in searched.of(Tuned)}
    for cell in searched.of(Tuned):
        searched.put(cell, candidate=0)
    assert searched.stale() == {}


def test_of_two_choices_that_may_be_used_all_cells_are_by_the_one_that_counts(
    searched: Searched,
) -> None:
    (choice,) = searched.of(Choose)
    first, second = searched.of(Tuned)
    searched.choose(choice, 0, attempt=2)
    searched.put(second, candidate=0)
    assert set(searched.stale()) == {second.id}
    searched.choose(choice, 1, attempt=1)
    searched.put(first, candidate=1)
    searched.put(second, candidate=1)
    assert searched.stale() == {}


def test_a_choice_of_the_other_method_says_nothing(searched: Searched) -> None:
    (choice,) = searched.of(Choose, "plain")
    searched.choose(choice, 0)
    assert set(searched.stale()) == {cell.id for cell in searched.of(Tuned, "plain")}


def test_a_tuned_cells_record_is_read_as_it_was_written(searched: Searched) -> None:
    for cell in searched.cells.values():
        (record,) = searched.store.attempts(cell.id)
        assert load_record(dump_record(record).encode(), cell) == record
        assert load_record(dump_record(record).encode()) == record


def test_an_edited_candidate_is_another_cell(searched: Searched) -> None:
    cell = searched.of(Tuned)[0]
    assert isinstance(cell.work, Tuned)
    one, other = cell.work.candidates
    longer = replace(other.work, recipe=other.work.recipe.model_copy(update={"batch_size": 7}))
    changed = replace(cell.work, candidates=(one, replace(other, work=longer)))
    assert Cell(changed, cell.seed, cell.parents).id != cell.id
