"""The index of leaderboards, made from what lies beside the pages."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from bench.errors import UserError
from bench.records.record import Provenance
from bench.report.claims.verdict import without_records
from bench.report.index import (
    PageFacts,
    facts_json,
    index,
    may_write_index,
    page_facts,
)
from bench.spec.claims import Claim

from .studies import MADE, study, tables_of

CLAIM = Claim(
    id="c", text="C.", source="s", suite="table1", refuted_by="x", expect="less", number=1
)


def facts(**changes: object) -> PageFacts:
    given: dict[str, object] = {
        "page": "table.offline.md", "paper": "tiny", "paper_title": "A <tiny> paper",
        "title": "A table", "profile": "offline",
        "done": 10, "planned": 12, "last": "2026-01-01", "hardware": ("CPU X",),
        "claims": {"supported": 2, "refuted": 0, "undecided": 1, "not run": 4},
        "expected_false": 0.15, "p": (0.001, 0.01, 0.4),
    }  # fmt: skip
    return PageFacts.model_validate({**given, **changes})


def lay(folder: Path, *pages: PageFacts) -> None:
    for page in pages:
        file = folder / page.paper / page.page
        file.parent.mkdir(exist_ok=True)
        file.write_text("# A page\n")
        file.with_suffix(".json").write_text(facts_json(page))


def test_facts_are_those_of_the_records() -> None:
    made = study({"sampling_rate": [0.15]})
    made.record([0.5, 0.5, None], method="l2")
    gpu = Provenance(machine={"device": "GPU Y", "processor": "CPU X"})
    made.record([None, 0.5, 0.5], method="l2+bss", made=gpu)
    cell = made.cells(method="l2", seed=0)[0].cell.id
    made.records[cell] = replace(made.records[cell], ended="2026-03-04T23:59:59Z")
    stranger = replace(made.records[cell], ended="2027-01-01T00:00:00Z")
    made.records["another"] = stranger
    found = page_facts("t", made.results, [without_records(CLAIM)])
    assert (found.done, found.planned) == (4, 6)
    assert found.last == "2026-03-04"
    # MADE names no processor.
    assert "processor" not in MADE.machine
    assert found.hardware == ("GPU Y", "cpu")
    assert found.claims == {"supported": 0, "refuted": 0, "undecided": 0, "not run": 1}


def test_without_records_there_is_no_date() -> None:
    made = study()
    found = page_facts("t", made.results, [])
    assert (found.last, found.hardware, found.claims) == (None, (), {})


def test_a_row_a_page_in_the_order_of_their_names(tmp_path: Path) -> None:
    unasked = {"claims": {}, "expected_false": None, "p": ()}
    other = facts(page="a.paper.md", profile="paper", last=None, hardware=(), **unasked)
    lay(tmp_path, facts(), other)
    text = index(tmp_path)
    assert text is not None
    header, first, second = tables_of(text)[0]
    assert header[2:] == [
        "cells", "supported", "refuted", "undecided", "not run", "expected false", "last record",
        "hardware",
    ]  # fmt: skip
    assert first == ["[A table](<tiny/a.paper.md>)", "`paper`", "10/12", *["–"] * 7]
    assert second[2:] == ["10/12", "2", "0", "1", "4", "0.15", "2026-01-01", "CPU X"]
    assert index(tmp_path) == text


def test_pages_are_grouped_by_paper(tmp_path: Path) -> None:
    lay(tmp_path, facts(), facts(paper="other", paper_title="Another"), facts(page="z.offline.md"))
    text = index(tmp_path)
    assert text is not None
    assert re.findall("^## .*", text, re.MULTILINE) == [
        "## `other`: Another", "## `tiny`: A \\<tiny\\> paper"
    ]  # fmt: skip
    assert [len(table) for table in tables_of(text)] == [2, 3]


def test_all_verdicts_of_a_paper_are_one_family(tmp_path: Path) -> None:
    more = facts(
        page="more.offline.md",
        p=(0.02,),
        expected_false=0.025,
        claims={"supported": 0, "refuted": 1, "undecided": 0, "not run": 0},
    )
    lay(tmp_path, facts(), more, facts(page="a.paper.md", profile="paper", claims={}, p=()))
    text = index(tmp_path)
    assert text is not None
    # Four claims: 0.001 · 4 · (1 + 1/2 + 1/3 + 1/4) = 0.008 passes, 0.01 · 4/2 · 25/12 = 0.042
    # too, 0.02 · 4/3 · 25/12 = 0.056 does not; within one page alone it would.
    assert (
        "3 verdicts on 4 tested claims under `offline`; expected false verdicts, if all were "
        "null: 0.2. With a false discovery rate of 5% over these claims (Benjamini and Yekutieli) "
        "2 stay."
    ) in text
    assert "under `paper`" not in text


def test_what_has_no_page_is_not_listed(tmp_path: Path) -> None:
    lay(tmp_path, facts())
    (tmp_path / "tiny/table.offline.md").unlink()
    (tmp_path / "tiny/package.json").write_text("{}")
    assert index(tmp_path) is None


def test_smoke_runs_are_not_listed(tmp_path: Path) -> None:
    lay(tmp_path, facts(page="table.smoke.md", profile="smoke"))
    assert index(tmp_path) is None


def test_facts_that_cannot_be_read_are_the_users_to_mend(tmp_path: Path) -> None:
    lay(tmp_path, facts())
    (tmp_path / "tiny/table.offline.json").write_text('{"page": "x"}')
    with pytest.raises(UserError, match=r"table\.offline\.json: is not what .*\n.*make its page"):
        index(tmp_path)


def test_a_readme_that_is_not_ours_stays(tmp_path: Path) -> None:
    assert may_write_index(tmp_path)
    lay(tmp_path, facts())
    (tmp_path / "README.md").write_text(index(tmp_path) or "")
    assert may_write_index(tmp_path)
    (tmp_path / "README.md").write_text("# Mine\n")
    assert not may_write_index(tmp_path)


def test_json_and_facts_are_the_same(tmp_path: Path) -> None:
    assert PageFacts.model_validate_json(facts_json(facts())) == facts()
