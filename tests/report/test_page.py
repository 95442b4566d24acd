"""The whole page: what it says, that it says it twice alike, and how it is written."""

from __future__ import annotations

import csv
import dataclasses
import io
import os
import re
import time
from dataclasses import replace
from pathlib import Path

import pytest

from bench.errors import UserError
from bench.report.page import Page, write_page
from bench.spec.claims import Claim
from bench.spec.paper import Note, ReportedEntry, ReportedTable
from bench.spec.recipe import Recipe
from bench.spec.suite import Column

from .studies import MADE, PAPER, Study, section, study, tables_of

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture
def made() -> Study:
    """Two rates, two methods, three seeds; one cell stale, one failed."""
    made = study(profile="paper", labels={"method": {"l2": "L2", "l2+bss": "L2+BSS"}})
    made.record([0.50, 0.51, 0.52], method="l2", sampling_rate=0.15)
    made.record([0.53, 0.55, 0.57], method="l2+bss", sampling_rate=0.15)
    made.record([0.70, 0.70, None], method="l2", sampling_rate=1.0)
    made.record([0.71, None, 0.72], method="l2+bss", sampling_rate=1.0)
    made.lose("stale", ("code: core", "data"), method="l2", sampling_rate=1.0, seed=2)
    made.lose("failed", method="l2+bss", sampling_rate=1.0, seed=1)
    return made


REPORTED = ReportedTable(
    suite="table1",
    metric="test/top1",
    spread="standard deviation",
    source="Table 1",
    entries=(
        ReportedEntry(where={"method": "l2", "sampling_rate": 0.15}, mean=50.5, spread=0.4, n=3),
        ReportedEntry(where={"method": "l2+bss", "sampling_rate": 0.15}, mean=56.0, note="odd"),
    ),
)


def test_the_page_is_as_reviewed(made: Study) -> None:
    page = made.page(REPORTED)
    # The cells' ids are other tests' business.
    table = page.csv
    for i, planned in enumerate(made.plan.cells):
        table = table.replace(planned.cell.id, f"cell-{i}")
    assert page.markdown == (GOLDEN / "page.md").read_text(encoding="utf-8")
    assert table == (GOLDEN / "page.csv").read_text(encoding="utf-8")


def test_the_same_records_give_the_same_bytes_in_any_order(made: Study) -> None:
    first = made.page(REPORTED)
    made.records = dict(reversed(made.records.items()))
    made.states = dict(reversed(made.states.items()))
    assert made.page(REPORTED) == first


def test_when_a_record_was_made_and_where_it_lies_is_not_on_the_page(made: Study) -> None:
    page = made.page(REPORTED)
    everything = "".join(page.files().values())
    for word in ("2026-", str(Path.cwd()), "/home", os.uname().nodename, time.strftime("%Y-%m-%d")):
        assert word not in everything


def test_the_csv_has_one_row_a_cell_and_exact_numbers(made: Study) -> None:
    made.put(made.cells(seed=0)[0].cell, {"test/top1": 0.1 + 0.2, "test/loss": 1e-17})
    rows = list(csv.DictReader(io.StringIO(made.page().csv)))
    assert [row["cell"] for row in rows] == [p.cell.id for p in made.plan.cells]
    assert float(rows[0]["test/top1"]) == 0.1 + 0.2
    assert float(rows[0]["test/loss"]) == 1e-17
    assert {row["state"]: row["test/top1"] for row in rows if row["state"] != "done"} == {
        "stale": "", "failed": "",
    }  # fmt: skip


def test_a_paper_without_records_is_a_page_all_the_same() -> None:
    page = study().page()
    assert tables_of(page.markdown)[0][1] == ["in the tables", "12", "", "12", "", "", ""]
    assert page.figures == {}
    assert "## Provenance" not in page.markdown


def paragraphs(page: str) -> list[str]:
    """Return what is neither a table, a picture nor a heading; of lists, line by line."""
    blocks = [block for block in page.split("\n\n") if block and block[0] not in "|#!<"]
    return [line for block in blocks for line in block.splitlines()]


@pytest.mark.parametrize("several", [False, True])
def test_no_caption_has_more_than_sixty_words(made: Study, several: bool) -> None:
    claim = Claim.model_validate({
        "id": "helps", "text": "It helps.", "source": "Table 1", "suite": "table1",
        "compare": [{"axis": "method", "pairs": [["l2+bss", "l2"]]}], "expect": "greater",
        "refuted_by": "It does not.",
    })  # fmt: skip
    paper = PAPER.model_copy(update={"claims": (claim,), "notes": ()})
    made = replace(made, plan=replace(made.plan, paper=paper, profile="paper"))
    made = made.with_suite(selection=("best-on-test",))
    # The same difference at every seed.
    made.record([0.50, 0.51, 0.52], method="l2", sampling_rate=0.15)
    made.record([0.52, 0.53, 0.54], method="l2+bss", sampling_rate=0.15)
    if several:
        columns = tuple(Column(metric=name) for name in ("test/top1", "test/top1_error"))
        (shown,) = made.plan.suite.metrics
        both = tuple(
            shown.model_copy(update={"metric": column.metric, "best": best})
            for column, best in zip(columns, ("highest", "lowest"), strict=True)
        )
        table = made.plan.suite.table.model_copy(update={"metrics": columns, "columns": "metric"})
        made = made.with_suite(table=table, metrics=both)
    page = made.page(REPORTED).markdown
    for heading in ("At a glance", "Claims", "Results", "Paired differences", "Reported numbers"):
        assert f"## {heading}\n" in page
    assert "which does not make it known" in page
    assert "**Chosen on the test split**" in page
    words = {text: len(re.sub(r"\]\(<[^>]*>\)", "]", text).split()) for text in paragraphs(page)}
    assert len(words) > 20
    assert {text: n for text, n in words.items() if n > 60} == {}


def test_notes_of_suite_and_paper_are_shown_once_with_their_source() -> None:
    note = Note(text="A <note> | of ours", source="our choice")
    made = study().with_suite(notes=(note, note))
    text = section(made.page().markdown, "Notes")
    assert text.strip().splitlines() == [
        "- A \\<note\\> \\| of ours (our choice)",
        "- The spread is undefined. (Table 1)",
    ]


def test_a_setting_that_differs_says_where() -> None:
    made = study(
        {"dataset": ["pets", "cars"]},
        recipes=lambda where: Recipe(steps=10 if where["dataset"] == "pets" else 20),
    )
    rows = tables_of(section(made.page().markdown, "Setting"))[1][1:]
    assert ["`steps`", "10", "dataset `pets`"] in rows
    assert ["", "20", "dataset `cars`"] in rows
    assert ["`batch_size`", "48", ""] in rows
    assert ["`augmentation.scale`", "\\[0.08, 1\\]", ""] in rows


@pytest.mark.parametrize("kind", ["timm", "hf"])
def test_a_page_says_what_its_records_do_not_share(kind: str) -> None:
    made = study({"sampling_rate": [0.15, 0.3]})
    begun = {"source": f"{kind}:x/y@one", "sha256": "e" * 64}
    first = dataclasses.replace(MADE, weights={"start": begun})
    made.record([0.5] * 3, method="l2", sampling_rate=0.15, made=first)
    assert "Mixed" not in made.page().markdown
    # Another revision with the same state is the same; of random weights every seed has others.
    same = dataclasses.replace(first, weights={"start": {**begun, "source": f"{kind}:x/y@two"}})
    made.record([0.5] * 3, method="l2+bss", sampling_rate=0.15, made=same)
    drawn = dataclasses.replace(MADE, weights={"start": {"source": "random", "sha256": "f" * 64}})
    made.record([0.5] * 3, method="l2", sampling_rate=0.3, made=drawn)
    assert "Mixed" not in made.page().markdown
    other = dataclasses.replace(
        first,
        versions={"torch": "2.7.0"},
        weights={"start": {**begun, "sha256": "0" * 64}},
    )
    made.record([0.5] * 3, method="l2+bss", sampling_rate=0.3, made=other)
    told = section(made.page().markdown, "Provenance")
    assert "**Mixed**: these records were made with torch 2.6.0 and 2.7.0; 2 states of" in told
    assert f"{kind}:x/y" in told


def test_provenance_counts_records_and_never_averages_origins_away() -> None:
    made = study({"sampling_rate": [0.15]})
    made.record([0.5] * 3, method="l2")
    other = dataclasses.replace(
        MADE,
        versions={"torch": "2.7.0"},
        data={**MADE.data, "train_images": 60},
        weights={"start": {"source": "random", "sha256": "e" * 64}},
    )
    made.record([0.5] * 3, method="l2+bss", made=other)
    rows = tables_of(section(made.page().markdown, "Provenance"))[0][1:]
    assert ["version", "torch", "2.6.0", "3"] in rows
    assert ["version", "torch", "2.7.0", "3"] in rows
    assert ["code", "core", "a" * 12, "6"] in rows
    assert ["data", "pets", "dataset: " + "c" * 12, "6"] in rows
    assert not any("train_images" in row[2] for row in rows)
    assert ["weights", "test_resnet", "random, " + "e" * 12, "3"] in rows


def test_random_weights_of_many_seeds_are_one_line() -> None:
    made = study({"sampling_rate": [0.15], "method": ["l2"]})
    for i, planned in enumerate(made.cells()):
        weights = {"start": {"source": "random", "sha256": f"{i}" * 64}}
        made.put(planned.cell, {"test/top1": 0.5}, dataclasses.replace(MADE, weights=weights))
    rows = tables_of(section(made.page().markdown, "Provenance"))[0]
    assert [row[2] for row in rows if row[0] == "weights"] == ["random, 3 different states"]


def test_the_page_says_how_to_make_it_again(tmp_path: Path, monkeypatch) -> None:
    made = study(profile="smoke")
    # A user's own folder of suites has no target of Retable's Makefile.
    assert "make" not in section(made.page().markdown, "Run it again")
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "paper.yaml").touch()
    monkeypatch.setattr("bench.report.again.shipped_folder", lambda _: tmp_path)
    text = section(made.page().markdown, "Run it again")
    assert "make reproduce-tiny PROFILE=smoke" in text
    assert "bench run tiny/table1 --profile smoke" in text


def test_a_users_own_paper_has_no_make_target() -> None:
    made = study(profile="smoke")
    made = replace(made, plan=replace(made.plan, file=Path("mine/table1.yaml")))
    text = section(made.page().markdown, "Run it again")
    assert "make" not in text
    assert "bench run mine/table1.yaml --profile smoke" in text


def test_a_paper_that_nobody_published_is_not_contrasted_with_one() -> None:
    made = study(paper=PAPER.model_copy(update={"url": None}))
    assert "Not the paper's setting" not in made.page().markdown


def test_writing_leaves_whole_files_and_nothing_else(made: Study, tmp_path: Path) -> None:
    page = made.page(REPORTED, stem="tiny-paper")
    written = write_page(page, tmp_path / "new")
    names = ["tiny-paper.md", "tiny-paper.csv", "tiny-paper.answer.svg", "tiny-paper.svg"]
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == sorted(names)
    assert [p.name for p in written] == names
    assert written[0].read_bytes() == page.markdown.encode()
    assert "](<tiny-paper.svg>)" in page.markdown
    assert written[0].stat().st_mode & 0o777 == 0o644


def test_writing_again_touches_nothing(made: Study, tmp_path: Path) -> None:
    before = [path.stat().st_ino for path in write_page(made.page(), tmp_path)]
    assert [path.stat().st_ino for path in write_page(made.page(), tmp_path)] == before


def test_what_a_page_no_longer_has_is_removed_and_nothing_of_other_pages(
    made: Study, tmp_path: Path
) -> None:
    stale = ["t.offline-1.svg", "t.offline-12.svg", "t.offline.curves.csv", "t.offline.further.csv"]
    others = [
        "t.md", "t.offline.notes.txt", "t.offline2.csv", "t2.offline-1.svg", "u.offline.curves.csv",
        # Of a profile named offline-7.
        "t.offline-7.md", "t.offline-7.svg", "README.md",
    ]  # fmt: skip
    for name in (*stale, *others):
        (tmp_path / name).write_text("x")
    write_page(made.page(stem="t.offline"), tmp_path, {"t.offline.json": "{}"})
    own = ["t.offline.answer.svg", "t.offline.csv", "t.offline.json", "t.offline.md",
           "t.offline.svg"]  # fmt: skip
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([*others, *own])
    write_page(made.page(stem="t.offline"), tmp_path)
    assert not (tmp_path / "t.offline.json").exists()


def test_a_write_that_fails_leaves_the_old_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_page(Page("p", "old\n", ""), tmp_path)

    def full(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(UserError, match="disk full"):
        write_page(Page("p", "new\n", ""), tmp_path)
    assert (tmp_path / "p.md").read_text() == "old\n"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["p.csv", "p.md"]


def test_thousands_of_records_are_quick() -> None:
    made = study(
        {
            "dataset": [f"d{i}" for i in range(10)],
            "seed": list(range(50)),
            "method": ["l2", "l2+bss"],
        }
    )
    for i, planned in enumerate(made.plan.cells):
        made.put(planned.cell, {"test/top1": (i * 7919 % 1000) / 1000})
    start = time.process_time()
    made.page()
    # 100,000 records take 10 s or so; a quadratic step would show here already.
    assert time.process_time() - start < 5
