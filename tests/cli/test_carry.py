"""Records of earlier code count again only where today's code was seen to give their bits."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.cli.carry import Carrying, carry
from bench.cli.session import Session, open_session
from bench.errors import StoreError
from bench.files import bytes_sha256
from bench.records.artifacts import place
from bench.records.carried import Attestation, dump_attestation, file_of
from bench.records.code import code_digests, units_of
from bench.records.codec import dump_record, load_record
from bench.records.record import Outcome
from bench.scheduling.engines.inline import InlineEngine
from bench.scheduling.job import Job

Run = Callable[..., Any]
SUITE = "laid/table"
STORE = Path("store")


def records(store: Path = STORE) -> list[Path]:
    return sorted(store.glob("cells/*/*/*.json"))


def change(file: Path, **made: Any) -> None:
    """Write a record with other facts of its origin, and the digest that fits."""
    record = load_record(file.read_bytes())
    origin = replace(record.outcome.provenance, **made)
    file.write_text(
        dump_record(replace(record, outcome=replace(record.outcome, provenance=origin)))
    )


def older(code: dict[str, str]) -> dict[str, str]:
    return {unit: bytes_sha256(f"earlier {digest}".encode()) for unit, digest in code.items()}


@pytest.fixture
def aged(laid: Path) -> Path:
    """As ``laid``; all its records were made by earlier code."""
    for file in records():
        change(file, code=older(dict(load_record(file.read_bytes()).outcome.provenance.code)))
    return laid


def again(job: Job) -> Outcome:
    """Give a laid cell its numbers, by today's code; what ``how.json`` says is otherwise."""
    how = json.loads(Path("how.json").read_text()) if Path("how.json").is_file() else {}
    made = load_record((STORE / "cells" / job.cell.id[:2] / job.cell.id / "0001.json").read_bytes())
    if how.get("fails") == job.cell.id:
        raise ValueError("no such thing")
    origin = replace(
        made.outcome.provenance,
        code=code_digests(units_of(job.cell, job.resources)),
        parents={
            role: {"id": p.id, "artifact": p.name, "attempt": p.attempt, "sha256": p.sha256}
            for role, p in job.parents.items()
        },
        machine=how.get("machine", made.outcome.provenance.machine),
    )
    text = how.get("checkpoint", f"checkpoint of {job.cell.id}")
    artifacts = {}
    if job.keep:
        artifacts["checkpoint"] = place(
            job.folder, job.attempt, "checkpoint", ".safetensors", lambda p: p.write_text(text)
        )
    metrics = {**made.outcome.metrics}
    if how.get("other") in (job.cell.id, "all"):
        metrics["test/top1"] += 2**-53
    return replace(made.outcome, provenance=origin, artifacts=artifacts, metrics=metrics)


def session(store: str = "store") -> Session:
    return open_session(SUITE, "offline", Path(store))


def carried(asked: int = 4, seed: int = 0, **how: Any) -> Carrying:
    Path("how.json").write_text(json.dumps(how))
    scratch = Path("scratch")
    shutil.rmtree(scratch, ignore_errors=True)
    engine = InlineEngine(target=f"{__name__}:again")
    return carry(session(), scratch, engine, asked=asked, seed=seed)


def states(store: str = "store") -> dict[str, int]:
    return dict(session(store).counts())


def stage() -> str:
    (planned,) = {p.cell.id for p in session().plan.behind}
    return planned


def test_records_of_earlier_code_count_again_and_say_so_everywhere(aged: Path, bench: Run) -> None:
    assert states() == {"stale": 13}
    done = carried(asked=4)
    assert done.attestation is not None
    assert states() == {"done": 13}
    # Two methods on two datasets and the stage: each map of code was executed at least once.
    assert len(done.attestation.cells) == 13
    assert {len(way.executed) > 0 for way in done.attestation.ways} == {True}
    told = "13 of these 13 cells were made by earlier code."
    drawn = f"bit for bit: {len(done.attestation.executed)} of 13 cells of {SUITE} offline on 2"
    assert bench("report", SUITE).exit_code == 0
    assert bench("site", SUITE).exit_code == 0
    page = Path("leaderboards/laid/table.offline.md").read_text()
    on_site = Path("site/papers/laid.offline.html").read_text()
    for where in (bench("status", SUITE).output, page, on_site):
        assert told in where
        assert drawn in where
    for cell_id in session().states:
        itself = "this one too" if cell_id in done.attestation.executed else "not this one"
        shown = " ".join(bench("show", cell_id, "--attempt", 1).output.split())
        assert itself in shown
    result = bench("verify", SUITE)
    assert result.exit_code == 0, result.output
    assert "1 attestations" in result.output
    assert carried() == Carrying()


def test_the_draw_is_random_and_of_each_map_of_code(aged: Path) -> None:
    for file in records():
        made = load_record(file.read_bytes())
        if made.cell["seed"] == 2 and "digits" in file.read_text():
            change(file, code=older(dict(made.outcome.provenance.code)))
    first = carried(asked=1)
    assert first.attestation is not None
    assert len(first.attestation.ways) == len({repr(w.earlier) for w in first.attestation.ways})
    assert all(way.executed for way in first.attestation.ways)
    assert states() == {"done": 13}


@pytest.mark.parametrize("asked", [1, 99])
def test_one_bit_otherwise_carries_nothing_and_is_not_forgotten(aged: Path, asked: int) -> None:
    done = carried(asked=asked, other="all")
    assert done.attestation is None
    assert set(done.problems.values()) == {"numbers not those of attempt 1"}
    assert not list(STORE.glob("carried/*"))
    assert not any(state.carried for state in session().states.values())
    # Another draw does not find what it would like to.
    if asked == 1:
        with pytest.raises(StoreError, match="has already given other numbers"):
            carried(seed=1)


def test_how_long_earlier_code_took_is_not_carried(aged: Path) -> None:
    timed = session().plan.shown[0].cell.id
    file = next(file for file in records() if file.parent.name == timed)
    record = load_record(file.read_bytes())
    metrics = {**record.outcome.metrics, "machine/seconds": 1.5}
    outcome = replace(record.outcome, metrics=metrics)
    file.write_text(dump_record(replace(record, outcome=outcome)))
    done = carried(asked=99)
    assert done.attestation is not None
    assert timed not in done.attestation.cells
    assert states() == {"done": 12, "stale": 1}
    assert carried() == Carrying()


def test_a_cell_that_fails_now_carries_nothing(aged: Path) -> None:
    some = session().plan.shown[0].cell.id
    done = carried(asked=99, fails=some)
    assert done.problems == {some: "ValueError: no such thing"}
    assert not list(STORE.glob("carried/*"))


def test_a_checkpoint_of_other_bytes_carries_nothing(aged: Path) -> None:
    # Every number of the stage is the same; what its children start from is not.
    done = carried(asked=99, checkpoint="other")
    assert "artifact checkpoint" in done.problems[stage()]
    # All were executed: they are done by today's code, each from the stage's new checkpoint.
    assert states() == {"done": 13}
    assert not any(state.carried for state in session().states.values())


def test_a_parent_without_its_checkpoint_is_executed_again_and_compared(aged: Path) -> None:
    next(STORE.rglob("*.safetensors")).unlink()
    copy = Path("copy")
    shutil.copytree(STORE, copy)
    child = next(s for s in range(99) if stage() != draw(s))
    done = carried(asked=1, seed=child)
    assert done.attestation is not None
    assert stage() in done.attestation.executed
    shutil.rmtree(STORE)
    copy.rename(STORE)
    assert stage() in carried(asked=1, seed=child, checkpoint="other").problems


def draw(seed: int) -> str:
    return random.Random(seed).sample(sorted(session().states), 13)[0]


def test_another_kind_of_machine_carries_nothing(aged: Path) -> None:
    with pytest.raises(StoreError, match="another kind of machine"):
        carried(machine={"processor": "another"})
    assert not list(STORE.glob("carried/*"))


def test_records_of_another_machine_stay_stale(aged: Path) -> None:
    some = session().plan.shown[0].cell.id
    change(next(STORE.rglob(f"{some}/0001.json")), machine={"processor": "another"})
    done = carried(machine={"device": "cpu", "processor": "CPU X"})
    assert done.elsewhere == 1
    # It was executed too, since its own kind of machine may do otherwise: it is done by that.
    state = session().states[some]
    assert [record.attempt for record in state.fresh] == [2]


def test_any_other_reason_stays(aged: Path) -> None:
    one, two = (planned.cell.id for planned in session().plan.shown[:2])
    for some, made in ((one, {"data": {"dataset": "other"}}), (two, {"code": {"train": "x"}})):
        change(next(STORE.rglob(f"{some}/0001.json")), **made)
    assert carried().attestation is not None
    found = session().states
    assert "data" in found[one].reasons
    # A unit that the record lacks, or has besides, was never compared.
    assert found[two].state == "stale"
    assert sum(state.done for state in found.values()) == 11


def test_it_says_nothing_of_other_cells_and_of_a_further_edit(aged: Path) -> None:
    lone = session().plan.shown[0].cell.id
    lost = next(STORE.rglob(f"{lone}/0001.json"))
    text = lost.read_text()
    lost.unlink()
    assert carried().attestation is not None
    # The same code, the same machine, but it was not among those that were drawn from.
    lost.write_text(text)
    assert session().states[lone].state == "stale"
    now = session()
    for_next = {unit: bytes_sha256(d.encode()) for unit, d in now.expected.code.items()}
    cells = list(now.plan.unique().values())
    edited = now.store.states(cells, replace(now.expected, code=for_next))
    assert {state.state for state in edited.values()} == {"stale"}
    more = replace(
        now.expected,
        code={**now.expected.code, "penalty:new": "n"},
        units={i: (*units, "penalty:new") for i, units in now.expected.units.items()},
    )
    assert {s.state for s in now.store.states(cells, more).values()} == {"stale"}
    unknown = replace(more, code=now.expected.code)
    found = now.store.states(cells, unknown)
    assert not any(state.carried for state in found.values())


def test_two_edits_are_followed_one_after_the_other(aged: Path) -> None:
    first = carried(asked=99).attestation
    assert first is not None
    # As if the code had gone on: what is today's in the records becomes earlier code.
    now = session()
    after = {unit: bytes_sha256(d.encode()) for unit, d in now.expected.code.items()}
    second = json.loads(dump_attestation(first))["attestation"]
    for way in second["ways"]:
        way["earlier"], way["later"] = way["later"], {u: after[u] for u in way["later"]}
    step = Attestation.model_validate_json(json.dumps(second))
    now.store.attestations._add(step)
    cells = now.plan.unique().values()
    found = now.store.states(cells, replace(now.expected, code=after))
    assert {state.state for state in found.values()} == {"done"}
    assert all(state.carried[1] == (first, step) for state in found.values())


def forged(change: Callable[[dict[str, Any]], None]) -> None:
    """Edit the store's attestation by hand, and give it the digest and the name that fit."""
    (file,) = STORE.glob("carried/*.json")
    data = json.loads(file.read_text())["attestation"]
    change(data)
    file.unlink()
    edited = Attestation.model_validate_json(json.dumps(data))
    file_of(session().store.layout, edited).write_text(dump_attestation(edited))


def no_execution(data: dict[str, Any]) -> None:
    data["ways"][0]["executed"] = []


def another_record(data: dict[str, Any]) -> None:
    data["ways"][0]["executed"][0]["now"] = "0" * 64


def not_drawn_from(data: dict[str, Any]) -> None:
    way = data["ways"][0]
    way["cells"] = [i for i in way["cells"] if i != way["executed"][0]["cell"]]


def a_unit_less(data: dict[str, Any]) -> None:
    data["ways"][0]["later"].popitem()


def other_code(data: dict[str, Any]) -> None:
    data["ways"][0]["earlier"]["train"] = "0" * 64


def other_machine(data: dict[str, Any]) -> None:
    data["machine"] = {"processor": "another"}


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (no_execution, "none was executed again"),
        (another_record, "the record that it names is not here"),
        (not_drawn_from, "is not one of those drawn from"),
        (a_unit_less, "do not have the same units"),
        (other_code, "made by other code than it says"),
        (other_machine, "not both done on the kind of machine"),
    ],
)
def test_an_attestation_made_up_by_hand_carries_nothing(
    aged: Path, bench: Run, edit: Callable[[dict[str, Any]], None], said: str
) -> None:
    assert carried(asked=1).attestation is not None
    forged(edit)
    assert not any(state.carried for state in session().states.values())
    result = bench("verify", SUITE)
    assert result.exit_code == 1
    assert said in result.output
    assert said in bench("status", SUITE).output


@pytest.mark.parametrize("old", ['"seed":0', '"suite":"laid', '"format":1'])
def test_a_damaged_attestation_carries_nothing(aged: Path, bench: Run, old: str) -> None:
    assert carried(asked=1).attestation is not None
    (file,) = STORE.glob("carried/*.json")
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, old[:-1] + "7"))
    assert not any(state.carried for state in session().states.values())
    assert bench("verify", SUITE).exit_code == 1


def test_records_that_do_not_agree_belie_an_attestation(aged: Path, bench: Run) -> None:
    done = carried(asked=1).attestation
    assert done is not None
    some = min(done.cells - done.executed - {stage()})
    home = next(STORE.rglob(some))
    made = load_record((home / "0001.json").read_bytes())
    today = session().expected.code_of(session().plan.unique()[some])
    metrics = {**made.outcome.metrics, "test/top1": 0.5}
    outcome = replace(
        made.outcome, metrics=metrics, provenance=replace(made.outcome.provenance, code=today)
    )
    (home / "0002.json").write_text(dump_record(replace(made, attempt=2, outcome=outcome)))
    state = session().states[some]
    assert [record.attempt for record in state.fresh] == [2]
    assert not state.carried_by
    result = bench("verify", SUITE)
    assert result.exit_code == 1
    assert "attempt 2, by later code, has other numbers" in result.output


def test_bundles_bring_what_carries_their_records(aged: Path, bench: Run) -> None:
    assert carried(asked=4).attestation is not None
    assert bench("bundle", SUITE, "--to", "b.zip", "--no-crate").exit_code == 0
    result = bench("import", "b.zip", "--store", "fresh")
    assert result.exit_code == 0, result.output
    assert "gives the bits of earlier code for 13 cells" in result.output
    assert states("fresh") == {"done": 13}
    for store in ("store", "fresh"):
        assert bench("report", SUITE, "--store", store, "--to", f"pages-{store}").exit_code == 0
    ours, theirs = (
        {p.name: p.read_bytes() for p in Path(f"pages-{store}").rglob("*") if p.is_file()}
        for store in ("store", "fresh")
    )
    assert ours == theirs
    assert bench("import", "store", "--store", "third").exit_code == 0
    assert states("third") == {"done": 13}
    # What is known is not said again, and what does not hold is left out.
    assert "earlier code" not in bench("import", "b.zip", "--store", "fresh").output
    for file in Path("third").rglob("0002.json"):
        file.unlink()
    result = bench("import", "third", "--store", "fourth")
    assert result.exit_code == 1
    assert "do not hold here" in result.output
    assert states("fourth") == {"stale": 13}


def test_carrying_is_asked_for_with_how_many(aged: Path, bench: Run) -> None:
    assert bench("verify", SUITE, "--carry").exit_code == 2
    assert bench("verify", SUITE, "--carry", "--rerun", 0).exit_code == 2


def test_the_command_carries_verifies_and_says_it_on_the_page(
    aged: Path, bench: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bench.scheduling.engines import registry

    def inline(name: str, options: object) -> InlineEngine:
        return InlineEngine(target=f"{__name__}:again")

    monkeypatch.setattr(registry, "make_engine", inline)
    bench("report", SUITE)
    result = bench("verify", SUITE, "--rerun", 3, "--carry")
    assert "of 13 cells of earlier code executed again: all equal" in result.output
    assert states() == {"done": 13}
    assert "nothing to carry" in bench("verify", SUITE, "--rerun", 3, "--carry").output


def test_as_recorded_shows_what_only_code_makes_stale_and_says_so(aged: Path, bench: Run) -> None:
    some = session().plan.shown[0].cell.id
    change(next(STORE.rglob(f"{some}/0001.json")), data={"dataset": "other"})
    before = sorted((path, path.read_bytes()) for path in STORE.rglob("*") if path.is_file())
    assert bench("report", SUITE, "--as-recorded").exit_code == 2
    shown = bench("report", SUITE, "--as-recorded", "--to", "shown")
    assert "not every cell is done: 1 stale" in shown.output
    told = "12 of these 12 cells are shown as earlier code recorded them"
    page = Path("shown/laid/table.offline.md").read_text()
    assert told in page
    assert "Today's code has not been seen to give these numbers." in page
    assert bench("site", SUITE, "--as-recorded", "--to", "shown-site").exit_code == 0
    assert told in Path("shown-site/papers/laid.offline.html").read_text()
    # It is for looking: to everything else they are as stale as before.
    assert states() == {"stale": 13}
    after = sorted((path, path.read_bytes()) for path in STORE.rglob("*") if path.is_file())
    assert [path for path, _ in after] == [path for path, _ in before]
    assert not list(STORE.glob("carried/*"))


def test_as_recorded_says_nothing_of_records_by_todays_code(laid: Path, bench: Run) -> None:
    bench("report", SUITE, "--to", "plain")
    bench("report", SUITE, "--as-recorded", "--to", "shown")
    page = Path("laid/table.offline.md")
    assert (Path("shown") / page).read_bytes() == (Path("plain") / page).read_bytes()
