"""``--only``: the same words in plan, status, run and report; a page that cannot be mistaken."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from bench.cli.joint import open_joint
from tests.cli.conftest import enter
from tests.cli.laid import SUITE as LAID
from tests.cli.laid import lay

SUITE = "laid/table"
ONLY = ("--only", "method=a", "--only", "dataset=digits", "--only", "seed=0:2")


def delete_records(laid: Path, *words: str) -> list[str]:
    """Delete the records of what an excerpt takes of the table; return the cells' ids."""
    (session,) = open_joint([SUITE], "offline", laid / "store", only=words).sessions
    ids = [planned.cell.id for planned in session.plan.shown]
    for cell in ids:
        (laid / "store" / "cells" / cell[:2] / cell / "0001.json").unlink()
    return ids


def test_a_plan_lists_the_cells_that_are_named_and_what_they_start_from(laid, bench):
    rows = [json.loads(line) for line in bench("plan", SUITE, *ONLY, "--json").output.splitlines()]
    table = [row for row in rows if not row["name"]]
    assert [row["labels"]["seed"] for row in table] == [0, 1]
    assert {(r["labels"]["method"], r["labels"]["dataset"]) for r in table} == {("a", "digits")}
    assert [row["name"] for row in rows] == ["stage source", "", ""]
    output = bench("plan", SUITE, *ONLY).output
    assert "only method=a dataset=digits seed=0:2: 2 of 12 cells of the table" in output


def test_a_status_is_done_when_what_is_named_is(laid, bench):
    delete_records(laid, "method=b", "seed=2")
    assert bench("status", SUITE).exit_code == 1
    assert bench("status", SUITE, *ONLY).exit_code == 0
    result = bench("status", SUITE, "--only", "method=b")
    assert result.exit_code == 1
    assert (
        f"Run the rest: bench run {SUITE} --profile offline --store store --only method=b"
        in result.output
    )


def test_a_run_of_what_is_done_ends_at_once_and_says_how_to_report_it(laid, bench):
    delete_records(laid, "method=b")
    result = bench("run", SUITE, "--only", "method=a")
    assert result.exit_code == 0, result.output
    assert "7 cells (7 done)" in result.output
    assert f"bench report {SUITE} --profile offline --store store --only method=a" in result.output


def test_settling_takes_no_excerpt(laid, bench):
    result = bench("run", SUITE, "--until-decided", "--only", "seed=0:2")
    assert result.exit_code == 2
    assert "takes whole suites" in result.output


@pytest.mark.parametrize("to", [(), ("--to", "leaderboards")], ids=["where it goes", "there too"])
def test_the_page_of_an_excerpt_leaves_the_suites_own_alone(reported, bench, to):
    before = {f: f.read_bytes() for f in Path("leaderboards").rglob("*") if f.is_file()}
    result = bench("report", SUITE, *ONLY, *to)
    assert result.exit_code == 0, result.output
    assert all(file.read_bytes() == content for file, content in before.items())
    (page,) = [Path(line) for line in result.output.splitlines() if line.endswith(".md")]
    assert page.parent == Path(to[1] if to else "excerpts", "laid")
    text = page.read_text()
    assert "**An excerpt: this page is not the suite's.**" in text
    assert "`method=a`, `dataset=digits`, `seed=0:2`: 2 of the table's 12" in text
    assert (
        "bench report laid/table --profile offline "
        "--only method=a --only dataset=digits --only seed=0:2"
    ) in text
    assert "make reproduce" not in text
    with page.with_suffix(".csv").open() as file:
        assert {(r["method"], r["dataset"], r["seed"]) for r in csv.DictReader(file)} == {
            ("a", "digits", "0"),
            ("a", "digits", "1"),
        }
    # The index that is made next does not list it.
    assert not page.with_suffix(".json").exists()
    bench("report", SUITE)
    assert "only-" not in Path("leaderboards/README.md").read_text()


@pytest.fixture
def with_a_third_method(tmp_path, monkeypatch) -> Path:
    """As ``laid``, with a method more than the claim is about."""
    enter(tmp_path, monkeypatch)
    text = LAID.replace("method: [a, b]", "method: [a, b, c]")
    lay(tmp_path, text.replace("figures:", "  c: {penalties: {l2: {weight: 1e-3}}}\nfigures:"))
    return tmp_path


def verdict_on_the_page(bench, *words: str) -> str:
    result = bench("report", SUITE, *words, "--to", "pages")
    assert result.exit_code == 0, result.output
    # The index is written last.
    page = next(Path(line) for line in result.output.splitlines() if line.endswith(".md"))
    return page.read_text().partition("## Claims")[2].partition("\n## ")[0]


def test_a_claim_is_judged_by_all_that_it_compares_or_not_at_all(with_a_third_method, bench):
    """Two of three seeds, or one of two datasets, would be a verdict on another claim."""
    whole = verdict_on_the_page(bench)
    assert "not run" not in whole
    assert "undecided" in whole or "supported" in whole or "refuted" in whole
    for word, lacking in (("seed=0:2", 4), ("dataset=digits", 6), ("method=a,c", 6)):
        told = verdict_on_the_page(bench, "--only", word)
        assert "not run" in told
        assert f"{lacking} of 12 cells that it compares are not in the excerpt" in told
    has_all = verdict_on_the_page(bench, "--only", "method=a,b")
    assert [line for line in has_all.splitlines() if "better" in line] == [
        line for line in whole.splitlines() if "better" in line
    ]
