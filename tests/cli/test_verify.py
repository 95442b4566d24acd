"""`bench verify` finds whatever is not as it was written, and says what it looked at."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bench.cli.rerun import compare, rerun
from bench.cli.session import open_session
from bench.cli.verify import _page_of
from bench.data.cache import CachePaths, write_json
from bench.data.features import feature_table
from bench.data.integrity import described
from bench.errors import StoreError
from bench.models import shipped
from bench.records.artifacts import place
from bench.records.codec import dump_record, load_record
from bench.records.record import Curve, Failure, Outcome, Record, same_numbers
from bench.records.settling import SettlingRule, fix_settling_rule
from bench.scheduling.engines.inline import InlineEngine
from bench.scheduling.job import Job
from tests.records.built import cell, record

Run = Callable[..., Any]
SUITE = "laid/table"
PAGE = Path("leaderboards/laid/table.offline.md")


@pytest.fixture
def page(reported: Path) -> Path:
    return reported / PAGE


def change(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def some_record(of: str = "test/top1") -> Path:
    return next(p for p in sorted(Path("store/cells").rglob("0001.json")) if of in p.read_text())


def test_what_is_whole_is_said_to_be_so_in_json_and_on_the_page(page: Path, bench: Run) -> None:
    before = page.read_text()
    result = bench("verify", SUITE, "--json", "done.json")
    assert result.exit_code == 0, result.output
    assert "13 records, 1 artifacts, 1 pages looked at, 0 damaged" in result.output
    (told,) = json.loads(Path("done.json").read_text())
    assert told["checked"]["records"] == 13
    assert told["findings"] == []
    line = f"Verified on {told['day']}: every digest of 13 records."
    assert page.read_text().replace(f"\n\n{line}", "") == before
    # Said once more it is the same page, and the report gives it too.
    after = page.read_text()
    assert bench("verify", SUITE).exit_code == bench("report", SUITE).exit_code == 0
    assert page.read_text() == after
    for target in ([page], [page.with_suffix(".csv")], []):
        assert bench("verify", *target).exit_code == 0


def test_other_records_than_those_verified_are_not_said_to_be_verified(
    page: Path, bench: Run
) -> None:
    bench("verify", SUITE)
    file = some_record()
    made = load_record(file.read_bytes())
    file.write_text(dump_record(replace(made, seconds=99.0)))
    bench("report", SUITE)
    assert "Verified" not in page.read_text()


def test_what_this_call_did_not_do_is_not_said(page: Path, bench: Run) -> None:
    bench("verify", SUITE)
    file = page.with_name("table.offline.verified.json")
    told = json.loads(file.read_text())
    some = {"cell": "0" * 20, "result": "equal", "same_machine": True}
    told["rerun"] = {"asked": 20, "seed": 0, "tolerance": 0.02, "cells": [some] * 20}
    file.write_text(json.dumps(told))
    bench("report", SUITE)
    assert "20 of 20 cells executed again" in page.read_text()
    result = bench("verify", SUITE)
    assert result.exit_code == 0, result.output
    assert "none was executed again by this call" in result.output
    assert "executed again" not in page.read_text()
    assert json.loads(file.read_text())["rerun"] is None


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda: change(some_record(), '"test/top1":0.4', '"test/top1":0.5'), "not as it was"),
        (lambda: change(some_record(), '"steps":8', '"steps":9'), "not as it was"),
        (lambda: some_record().write_text("{}"), "not whole"),
        (lambda: forge_recipe(some_record()), "is not that of its cell's work"),
        (lambda: next(Path("store").rglob("*.safetensors")).write_text("x"), "not the one that"),
        (lambda: change(PAGE.with_suffix(".csv"), ",0.4", ",0.5"), "line 2 is not what"),
        (lambda: change(PAGE, "Laid", "Raid"), "line 1 is not what"),
        (lambda: change(PAGE.with_suffix(".json"), '"done": 13', '"done": 12'), '"done": 12'),
        (lambda: some_record().unlink(), "is not what the records give"),
        (lambda: PAGE.with_suffix(".csv").unlink(), "table.offline.csv: is missing"),
        (lambda: PAGE.with_suffix(".further.csv").touch(), "is no file of this page"),
    ],
)
def test_each_damage_is_found(
    page: Path, bench: Run, damage: Callable[[], None], said: str
) -> None:
    damage()
    damaged = PAGE.read_text()
    result = bench("verify", SUITE)
    assert result.exit_code == 1, result.output
    assert said in result.output
    # A page that is what its records give says what is damaged; nothing is written over another.
    if "  page " in result.output:
        assert PAGE.read_text() == damaged
    else:
        assert "every digest of 13 records; 1 file damaged." in PAGE.read_text()


def test_a_damaged_rule_of_settling_is_found_and_no_page_is_made_by_it(
    page: Path, bench: Run
) -> None:
    session = open_session(SUITE, "offline", Path("store"))
    fix_settling_rule(session.store.layout, session.plan, SettlingRule(looks=(3, 9)))
    bench("report", SUITE)
    assert bench("verify", SUITE).exit_code == 0
    before = page.read_text()
    change(next(Path("store/settling").glob("*.json")), "[3,9]", "[3,8]")
    result = bench("verify", SUITE)
    assert result.exit_code == 1
    assert "is not the settling rule that was written" in result.output
    assert isinstance(bench("report", SUITE).exception, StoreError)
    assert page.read_text() == before


def test_the_index_is_checked_and_not_mended_in_silence(page: Path, bench: Run) -> None:
    file = page.parents[1] / "README.md"
    assert bench("verify", SUITE).exit_code == 0
    change(file, "Laid", "Raid")
    text = file.read_text()
    for targets in ([SUITE], []):
        result = bench("verify", *targets)
        assert result.exit_code == 1
        assert "README.md: is not what the pages' facts give" in result.output
        assert file.read_text() == text
    file.unlink()
    assert "README.md: is missing" in bench("verify", SUITE).output


def forge_recipe(file: Path) -> None:
    """Give a record's cell another recipe, and the record the digest that fits."""
    made = load_record(file.read_bytes())
    work = json.loads(json.dumps(made.cell["work"]).replace('"steps": 8', '"steps": 9'))
    assert work != made.cell["work"]
    file.write_text(dump_record(replace(made, cell={**made.cell, "work": work})))


def test_damaged_data_and_weights_are_found_without_a_suite(
    laid: Path, bench: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = CachePaths.of("glyphs", {}, laid / "cache")
    paths.folder.mkdir(parents=True)
    (paths.folder / "train.npy").write_bytes(b"pixels")
    write_json(paths.manifest, {"files": described([paths.folder / "train.npy"])})
    kept = np.array([3])
    feature_table({"weights": "ours"}, kept, lambda: [torch.ones(1, 2)], laid / "cache")
    (table,) = (laid / "cache" / "features").glob("*/features.npy")
    weights = laid / "shipped"
    weights.mkdir()
    told = json.loads((shipped.FOLDER / "fractals.json").read_text())
    facts = {**told, "backbone": "b", "classes": 2}
    (weights / "near.json").write_text(json.dumps(facts))
    source = shipped.shipped_weights("fractals").path.read_bytes()
    (weights / "near.safetensors").write_bytes(source)
    monkeypatch.setattr(shipped, "FOLDER", weights)
    assert bench("verify").exit_code == 0
    (paths.folder / "train.npy").write_bytes(b"pixelz")
    table.write_bytes(table.read_bytes()[:-1] + b"!")
    (weights / "near.safetensors").write_bytes(source[:-1] + b"?")
    result = bench("verify")
    assert result.exit_code == 1
    assert "the prepared data of glyphs are not" in result.output
    assert str(table) in result.output.replace("\n", "")
    assert "the weights near are not" in result.output


@pytest.mark.parametrize("ending", ["md", "csv", "json", "claims.csv", "curves.csv"])
def test_any_file_of_a_page_names_it(ending: str, tmp_path: Path) -> None:
    target = tmp_path / "boards" / "laid" / f"table.offline.{ending}"
    found = _page_of(str(target), "smoke", Path("elsewhere"))
    assert found == (tmp_path / "boards", "laid/table", "offline")


def test_a_page_without_any_record_cannot_be_verified(page: Path, bench: Run) -> None:
    result = bench("verify", SUITE, "--store", "elsewhere")
    assert result.exit_code == 1
    assert "`bench import` brings them" in result.output


WHOLE = Outcome("done", metrics={"a": 0.5}, curves={"c": Curve((0, 1), (0.25, 0.5))})


def of(outcome: Outcome, processor: str = "X") -> Record:
    made = replace(outcome.provenance, machine={"processor": processor})
    return replace(record(cell()), outcome=replace(outcome, provenance=made))


@pytest.mark.parametrize(
    ("metrics", "curve", "here", "elsewhere"),
    [
        ({"a": 0.5}, (0.25, 0.5), "equal", "equal"),
        ({"a": 0.5 + 2**-53}, (0.25, 0.5), "other", "close"),
        ({"a": 0.5}, (0.25, 0.515), "other", "close"),
        ({"a": 0.53}, (0.25, 0.5), "other", "other"),
        ({"a": 0.5, "b": 1.0}, (0.25, 0.5), "other", "other"),
        ({}, (0.25, 0.5), "other", "other"),
    ],
)
def test_numbers_are_compared_by_the_bit_here_and_by_the_tolerance_elsewhere(
    metrics: dict[str, float], curve: tuple[float, ...], here: str, elsewhere: str
) -> None:
    now = replace(WHOLE, metrics=metrics, curves={"c": Curve((0, 1), curve)})
    assert compare(of(WHOLE), of(now), 0.02).result == here
    assert compare(of(WHOLE), of(now, "Y"), 0.02).result == elsewhere


def test_what_tells_of_the_machine_is_not_compared() -> None:
    then = of(replace(WHOLE, metrics={"a": 0.5, "machine/seconds": 1.5}))
    now = of(replace(WHOLE, metrics={"a": 0.5, "machine/seconds": 1.25}))
    assert compare(then, now, 0.02).result == "equal"
    assert same_numbers(then.outcome, now.outcome)
    other = replace(now.outcome, metrics={**now.outcome.metrics, "a": 0.5 + 2**-53})
    assert compare(then, of(other), 0.02).result == "other"
    assert not same_numbers(then.outcome, other)


def test_a_cell_that_fails_now_is_told_of() -> None:
    failed = replace(of(WHOLE), outcome=Outcome("failed", failure=Failure("error", "no memory")))
    assert compare(of(WHOLE), failed, 0.02).problem == "no memory"
    assert compare(of(WHOLE), None, 0.02).result == "failed"


def numbers_again(job: Job) -> Outcome:
    """Give a laid cell its numbers; method b half a bit more."""
    home = Path("store/cells") / job.cell.id[:2] / job.cell.id
    outcome = load_record((home / "0001.json").read_bytes()).outcome
    # A parent's checkpoint is the very file that the records were made from.
    for parent in job.parents.values():
        assert parent.path.read_text() == f"checkpoint of {parent.id}"
        assert not parent.path.is_relative_to(Path("store").absolute())
    text = f"checkpoint of {job.cell.id}"
    if job.keep:
        place(job.folder, job.attempt, "checkpoint", ".safetensors", lambda p: p.write_text(text))
    if job.cell.work.penalties[0].settings["weight"] == 1e-2:  # type: ignore[union-attr]
        more = {**outcome.metrics, "test/top1": outcome.metrics["test/top1"] + 2**-53}
        return replace(outcome, metrics=more)
    return outcome


def test_cells_are_drawn_executed_again_and_compared(laid: Path) -> None:
    session = open_session(SUITE, "offline", Path("store"))
    stages = {p.cell.id for p in session.plan.behind}

    def again(asked: int, draw: int) -> dict[str, str]:
        scratch = laid / f"scratch-{asked}-{draw}"
        engine = InlineEngine(target=f"{__name__}:numbers_again")
        found = rerun(session, scratch, engine, asked=asked, seed=draw, tolerance=0.02)
        return {each.cell: each.result for each in found.cells if each.cell not in stages}

    assert list(again(4, 0)) == list(again(4, 0)) != list(again(4, 1))
    methods = {p.cell.id: p.place["method"] for p in session.plan.shown}
    everything = again(99, 0)
    assert everything.keys() == methods.keys()
    for cell_id, result in everything.items():
        assert result == {"a": "equal", "b": "other"}[str(methods[cell_id])]
