"""A page's records travel as one file, and give the same page elsewhere."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.cli.session import open_session
from bench.errors import UserError
from bench.records.bundle import pack
from bench.records.codec import dump_record, load_record
from bench.records.settling import SettlingRule, fix_settling_rule
from tests.cli.laid import top1

Run = Callable[..., Any]
SUITE = "laid/table"


@pytest.fixture
def bundle(laid: Path, bench: Run) -> Path:
    result = bench("bundle", SUITE, "--to", "b.zip", "--no-crate")
    assert result.exit_code == 0, result.output
    assert "b.zip: 13 records" in result.output
    return laid / "b.zip"


def pages(folder: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


def test_a_fresh_store_gives_the_same_page_and_has_nothing_to_train(
    laid: Path, bench: Run, bundle: Path
) -> None:
    assert bench("report", SUITE, "--to", "here").exit_code == 0
    result = bench("import", bundle, "--store", "fresh")
    assert result.exit_code == 0, result.output
    assert "13 records added, 0 there already" in result.output
    assert bench("report", SUITE, "--to", "there", "--store", "fresh").exit_code == 0
    assert pages("there") == pages("here")
    assert not list(Path("fresh").rglob("*.safetensors"))
    states = open_session(SUITE, "offline", Path("fresh")).states
    assert {state.state for state in states.values()} == {"done"}
    result = bench("run", SUITE, "--store", "fresh", "--engine", "inline")
    assert "0 done now, 13 before" in result.output
    # And a bundle of it is the same file.
    assert bench("bundle", SUITE, "--to", "c.zip", "--no-crate", "--store", "fresh").exit_code == 0
    assert Path("c.zip").read_bytes() == bundle.read_bytes()


def test_a_parent_is_made_again_only_where_a_cell_has_to_start_from_it(
    bench: Run, bundle: Path
) -> None:
    bench("import", bundle, "--store", "fresh")
    session = open_session(SUITE, "offline", Path("fresh"))
    lost = session.plan.shown[0].cell
    session.store.layout.cell(lost.id).record(1).unlink()
    states = open_session(SUITE, "offline", Path("fresh")).states
    missing = {cell_id for cell_id, state in states.items() if state.state == "missing"}
    assert missing == {lost.id, lost.parents["start"].id}


def test_other_numbers_are_listed_and_kept_in_sight(laid: Path, bench: Run, bundle: Path) -> None:
    bench("import", bundle, "--store", "fresh")
    shown = open_session(SUITE, "offline", Path("store")).plan.shown
    cell = shown[0].cell
    file = next(Path("store").rglob(f"{cell.id}/0001.json"))
    made = load_record(file.read_bytes())
    other = replace(made.outcome, metrics={**made.outcome.metrics, "test/top1": 0.99})
    file.write_text(dump_record(replace(made, outcome=other)))
    result = bench("import", "store", "--store", "fresh")
    assert result.exit_code == 1
    assert "1 records added, 12 there already" in result.output
    assert f"with other numbers here, and now with both:\n  {cell.id}" in result.output
    told = bench("status", SUITE, "--store", "fresh").output
    assert f"{cell.id}  attempts 1, 2; 1 counts" in told
    assert bench("report", SUITE, "--store", "fresh").exit_code == 0
    page = Path("leaderboards/laid/table.offline.md").read_text()
    assert "**Other numbers**: of 1 cell there are records" in page
    row = Path("leaderboards/laid/table.offline.csv").read_text().splitlines()[1]
    assert str(top1(cell)) in row


def test_a_fraction_that_is_none_is_broken_without_its_suite_too(laid: Path, bench: Run) -> None:
    file = next(p for p in Path("store").rglob("0001.json"))
    made = load_record(file.read_bytes())
    # In percent, as another tool may have written it.
    outcome = replace(made.outcome, metrics={**made.outcome.metrics, "test/top1": 57.0})
    wrong = replace(made, outcome=outcome)
    Path("b.zip").write_bytes(pack("laid", "table", "offline", [wrong], {}))
    file.write_text(dump_record(wrong))
    for source in ("b.zip", "store"):
        result = bench("import", source, "--store", f"from-{source}")
        assert result.exit_code == 1
        assert "test/top1 is 57.0, and a fraction lies between 0 and 1" in result.output
        assert made.id not in {path.parent.name for path in Path(f"from-{source}").rglob("*.json")}
    result = bench("verify")
    assert result.exit_code == 1
    assert "test/top1 is 57.0" in result.output


def test_the_rule_of_settling_goes_with_the_records(laid: Path, bench: Run) -> None:
    session = open_session(SUITE, "offline", Path("store"))
    rule = SettlingRule(looks=(3, 9))
    fix_settling_rule(session.store.layout, session.plan, rule)
    bench("bundle", SUITE, "--to", "b.zip", "--no-crate")
    fresh = open_session(SUITE, "offline", Path("fresh"))
    result = bench("import", "b.zip", "--store", "fresh")
    assert result.exit_code == 0
    assert "with the rule by which claims of laid/table offline are settled" in result.output
    assert "rule" not in bench("import", "b.zip", "--store", "fresh").output
    assert fix_settling_rule(fresh.store.layout, fresh.plan, SettlingRule(looks=(3, 4))) == rule
    other = open_session(SUITE, "offline", Path("other"))
    fix_settling_rule(other.store.layout, other.plan, SettlingRule(looks=(3, 4)))
    result = bench("import", "b.zip", "--store", "other")
    assert result.exit_code == 1
    assert "with another rule of settling here, which stays" in result.output


def test_what_is_no_bundle_and_no_store_is_refused(laid: Path, bench: Run) -> None:
    Path("x.zip").write_bytes(b"x")
    with pytest.raises(UserError, match="is not a bundle"):
        raise bench("import", "x.zip").exception
    with pytest.raises(UserError, match="is no store"):
        raise bench("import", "suites").exception
    with pytest.raises(UserError, match="there is no record of laid/table offline"):
        raise bench("bundle", SUITE, "--store", "nowhere").exception


def test_archives_are_told_what_ran_on_what_from_which_code(laid: Path, bench: Run) -> None:
    pytest.importorskip("rocrate")
    from rocrate.rocrate import ROCrate

    for name in ("b.zip", "c.zip"):
        assert bench("bundle", SUITE, "--to", name).exit_code == 0
    assert Path("b.zip").read_bytes() == Path("c.zip").read_bytes()
    with zipfile.ZipFile("b.zip") as archive:
        archive.extractall("crate")
    crate = ROCrate("crate")
    assert crate.mainEntity.id == "suite/table.yaml"
    run = crate.dereference("#run")
    assert run["result"].id == "records.jsonl"
    assert run["instrument"].id == "suite/table.yaml"
    assert (run["startTime"], run["endTime"]) == ("2026-01-01T00:00:00Z", "2026-01-01T00:00:12Z")
    profiles = {profile.id for profile in crate.root_dataset["conformsTo"]}
    assert "https://w3id.org/ro/wfrun/workflow/0.5" in profiles
    record = next(iter(open_session(SUITE, "offline", Path("store")).done().values()))
    graph = json.loads(Path("crate/ro-crate-metadata.json").read_text())["@graph"]
    digests = {entity.get("sha256") for entity in graph}
    assert set(record.outcome.provenance.code.values()) <= digests
    assert record.outcome.provenance.data["dataset"] in digests
    names = {entity["name"] for entity in run["object"]}
    assert names == {"data: glyphs", "data: digits", "data: glyphs-source"}


def test_records_by_other_versions_are_stale_where_it_is_asked(laid: Path, bench: Run) -> None:
    assert bench("status", SUITE).exit_code == 0
    result = bench("status", SUITE, "--same-versions", "--all")
    assert result.exit_code == 1
    assert "(version: torch)" in result.output
    assert "--same-versions" in result.output.splitlines()[-1]
