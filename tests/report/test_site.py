"""The static site: its files and links, what is escaped, and whose folder it writes to."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import replace
from html import escape, unescape
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import unquote, urldefrag, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from bench.errors import UserError
from bench.records.codec import dump_record
from bench.records.record import Curve, Failure, Outcome, Record
from bench.records.store import CellState, Store
from bench.report import markdown
from bench.report.site.build import Built, Which, build_site
from bench.report.site.cards import cards
from bench.report.site.cell_curves import group_svg, groups
from bench.report.site.cell_page import clean
from bench.report.site.folder import MARKER, SiteFolder
from bench.report.site.inline import breakable, inline, web_address
from bench.report.site.suite_part import Picture
from bench.report.site.track import Track
from bench.spec.cell import Cell
from bench.spec.claims import Claim
from bench.spec.paper import Note, Paper, Reported, ReportedEntry, ReportedTable

from .studies import MADE, PAPER, Study, study

HOSTILE = "<script>alert('x')</script> & \"q\" | `c` **b** ../../up"
CLAIM = Claim.model_validate(
    {
        "id": "helps", "text": f"BSS helps {HOSTILE}", "source": "Table 1", "suite": "table1",
        "compare": [{"axis": "method", "pairs": [["l2+bss", "l2"]]}],
        "where": {"sampling_rate": 0.15}, "expect": "greater", "refuted_by": "It does not.",
    }
)  # fmt: skip


class Page(HTMLParser):
    """A page's text, links, elements by tag, and whether every element is closed."""

    VOID = frozenset({"meta", "link", "img", "input", "br", "wbr"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: list[str] = []
        self.rows: list[list[str]] = []
        self.tags: list[str] = []
        self.words = ""
        self._open: list[str] = []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.tags.append(tag)
        self.links += [str(given[name]) for name in ("href", "src") if given.get(name)]
        self.ids += [str(given["id"])] if given.get("id") else []
        assert not any(name.startswith("on") for name in given)
        if tag not in self.VOID:
            self._open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data
        if {"td", "th"} & set(self._open):
            self.rows[-1][-1] += data


@pytest.fixture
def made() -> Study:
    """Two rates, two methods, three seeds: one cell failed, one missing."""
    made = study(paper=PAPER.model_copy(update={"claims": (CLAIM,)}))
    made.record([0.50, 0.51, 0.52], method="l2", sampling_rate=0.15)
    made.record([0.53, 0.55, 0.57], method="l2+bss", sampling_rate=0.15)
    made.record([0.70, 0.70, None], method="l2", sampling_rate=1.0)
    made.record([0.71, 0.72, None], method="l2+bss", sampling_rate=1.0)
    return made


def curves(cell: Cell) -> dict[str, Curve]:
    top1 = Curve((0, 1, 2, 3, 5, 8), (0.1, 0.2, 0.3, 0.3, 0.4, 0.5))
    loss = Curve((1, 10), (2.0, 1.0 + cell.seed))
    return {"anytime/test/top1": top1, "train/loss": loss, "train/cross_entropy": loss}


def lay(made: Study, store: Path) -> None:
    """Write a study's records to a store, each after an attempt that failed."""
    for planned in made.cells():
        record = made.records.get(planned.cell.id)
        if record is None:
            continue
        folder = store / "cells" / record.id[:2] / record.id
        folder.mkdir(parents=True, exist_ok=True)
        outcome = replace(record.outcome, curves=curves(planned.cell))
        made.records[record.id] = replace(record, attempt=2, outcome=outcome)
        failed = Outcome("failed", failure=Failure("error", f"no {HOSTILE}", f"Trace {HOSTILE}"))
        for each in (replace(record, attempt=1, outcome=failed), made.records[record.id]):
            (folder / f"{each.attempt:04d}.json").write_text(dump_record(each))
        (folder / "0002.log").write_text(f"\x1b[31mstep 1\x1b[0m\rstep 2\n{HOSTILE}\x00\n")


def track(made: Study, reported: Reported | None = None) -> Track:
    ids = dict.fromkeys(p.cell.id for p in made.plan.cells)
    found = {i: made.records[i] for i in ids if i in made.records}
    states = {i: CellState("done", r, (r,), failed=1, attempts=2) for i, r in found.items()}
    return Track(made.plan, {i: states.get(i, CellState("missing")) for i in ids}, reported)


def build(made: Study, folder: Path, cells: Which = "recorded", **given: object) -> Built:
    store = folder.parent / f"{folder.name}-store"
    lay(made, store)
    reported = given.get("reported")
    assert reported is None or isinstance(reported, Reported)
    return build_site([track(made, reported)], Store(store), folder, cells=cells)


def files(folder: Path) -> dict[str, bytes]:
    found = sorted(f for f in folder.rglob("*") if f.is_file())
    return {f.relative_to(folder).as_posix(): f.read_bytes() for f in found}


def html(folder: Path) -> Iterator[tuple[Path, Page]]:
    for file in sorted(folder.rglob("*.html")):
        yield file, Page(file.read_text(encoding="utf-8"))


def check_links(folder: Path) -> int:
    """Check that every link leads to a file of the site, and to an anchor that is there."""
    known = dict(html(folder))
    count = 0
    for file, page in known.items():
        for link in page.links:
            if urlsplit(link).scheme:
                assert link.startswith(("https://", "data:,"))
                continue
            path, anchor = urldefrag(link)
            target = (file.parent / unquote(path)).resolve() if path else file
            assert target.is_file(), (file, link)
            assert folder.resolve() in target.parents
            assert not anchor or anchor in known[target].ids, (file, link)
            count += 1
    return count


def test_there_is_an_index_a_page_a_paper_and_a_page_a_cell(made: Study, tmp_path: Path) -> None:
    built = build(made, tmp_path / "site")
    names = set(files(tmp_path / "site"))
    done = {f"cells/{cell_id}.html" for cell_id in made.records}
    assert len(done) == 10
    assert {n for n in names if n.startswith("cells/")} == done
    assert {n for n in names if "/" not in n} == {"index.html", MARKER}
    assert {n for n in names if n.startswith(("papers/", "suites/", "static/", "figures/"))} == {
        "papers/tiny.offline.html",
        "suites/tiny-table1.offline.html",
        "suites/tiny-table1.offline.csv",
        "suites/tiny-table1.offline.claims.csv",
        "figures/tiny-table1.offline.answer.svg",
        "figures/tiny-table1.offline.svg",
        "static/site.css",
        "static/site.js",
    }
    # Two groups of curves a cell: anytime accuracy and training loss.
    assert built.drawn == built.files["curves"] == 20


def test_every_link_resolves(made: Study, tmp_path: Path) -> None:
    build(made, tmp_path / "site", "all")
    assert len([n for n in files(tmp_path / "site") if n.startswith("cells/")]) == 12
    assert check_links(tmp_path / "site") > 100


def test_without_cells_nothing_links_to_one(made: Study, tmp_path: Path) -> None:
    build(made, tmp_path / "site", "none")
    check_links(tmp_path / "site")
    assert not any(n.startswith(("cells/", "curves/")) for n in files(tmp_path / "site"))


def test_the_tables_say_what_the_records_say(made: Study, tmp_path: Path) -> None:
    build(made, tmp_path / "site")
    page = Page((tmp_path / "site/papers/tiny.offline.html").read_text())
    # Student's t: 0.51 ± 4.3027 × 0.01 / √3, and 0.55 ± 4.3027 × 0.02 / √3.
    rows = [row for row in page.rows if row[:2] == ["pets", "l2"]]
    assert rows[0] == ["pets", "l2", "51.00 ± 2.48", "70.00 (no spread) (2/3)"]
    rows = [row for row in page.rows if row[:2] == ["pets", "l2+bss"]]
    assert rows[0] == ["pets", "l2+bss", "55.00 ± 4.97", "71.50 ± 6.35 (2/3)"]
    # Differences of 3, 4 and 5 points: 4 ± 4.3027 / √3, one-sided t = 4 √3 at 2 degrees.
    verdict, comparison = (row for row in page.rows if "helps" in row[0])
    assert verdict[1:6] == ["supported", "> 0", "+4.00 ± 2.48 points", "0.01", "1/1"]
    assert comparison[1:4] == ["l2+bss − l2", "+4.00 ± 2.48", "3/3"]


def test_what_a_page_must_warn_of_stands_on_it(made: Study, tmp_path: Path) -> None:
    store = tmp_path / "store"
    lay(made, store)
    one = track(made)
    first = next(state for state in one.states.values() if state.record is not None)
    assert first.record is not None
    outcome = first.record.outcome
    other = replace(
        first.record,
        outcome=replace(
            outcome,
            metrics={"test/top1": 0.99},
            provenance=replace(outcome.provenance, versions={"torch": "9<b>"}),
        ),
    )
    for state, told in (
        (replace(first, fresh=(first.record, other)), "of 1 cell there are records by the same"),
        (replace(first, record=other, fresh=(other,)), "made with torch 2.6.0 and 9&lt;b&gt;"),
    ):
        changed = replace(one, states={**one.states, other.id: state})
        build_site([changed], Store(store), tmp_path / "site", cells="recorded")
        text = "".join(f.read_text() for f in (tmp_path / "site").rglob("*.html"))
        assert told in text


def test_a_claims_form_and_its_values_are_on_the_site(made: Study, tmp_path: Path) -> None:
    build(made, tmp_path / "site", "none")
    text = (tmp_path / "site/papers/tiny.offline.html").read_text()
    assert "l2+bss − l2. " in text
    assert "Supported above 0 points, refuted below.</li>\n<li>Refuted by: " in text
    assert 'href="../suites/tiny-table1.offline.claims.csv"' in text
    values = (tmp_path / "site/suites/tiny-table1.offline.claims.csv").read_text()
    assert values.splitlines()[0] == "claim,reading,comparison,seed,value"
    assert len(values.splitlines()) == 1 + 3


def test_reported_numbers_stand_beside_ours(made: Study, tmp_path: Path) -> None:
    entry = ReportedEntry(where={"method": "l2", "sampling_rate": 0.15}, mean=50.5, note=HOSTILE)
    table = ReportedTable(
        suite="table1", profile="offline", metric="test/top1", spread="sd", source="Table 1",
        entries=(entry,),
    )  # fmt: skip
    build(made, tmp_path / "site", reported=Reported(tables=(table,)))
    page = Page((tmp_path / "site/papers/tiny.offline.html").read_text())
    assert ["pets", "l2", "50.51 Δ +0.50"] in page.rows
    assert "Our mean is above the reported one in 1 of 1 entries" in page.words


def test_the_front_page_has_a_card_a_paper(made: Study, tmp_path: Path) -> None:
    build(made, tmp_path / "site", "none")
    text = (tmp_path / "site/index.html").read_text()
    page = Page(text)
    assert page.tags.count("article") == 1
    assert "papers/tiny.offline.html" in page.links
    assert "figures/tiny-table1.offline.answer.svg" in page.links
    # Every claim is a mark that leads to its row.
    assert "papers/tiny.offline.html#claim-helps" in page.links
    assert "claim-helps" in Page((tmp_path / "site/papers/tiny.offline.html").read_text()).ids
    assert 'aria-label="helps: supported">✓</a>' in text
    for told in ("1 supported", "10/12 done, in 1 suite", "test_resnet", "pets", "l2; l2+bss"):
        assert told in page.words
    assert "Not the paper's setting" in page.words
    # What was there stays: a row a suite.
    assert page.rows[-1][:4] == ["A tiny table", "tiny", "offline", "10/12"]


def test_a_card_shows_the_suite_with_the_most_tested_claims(made: Study, tmp_path: Path) -> None:
    paper = made.plan.paper
    other = study(paper=paper.model_copy(update={"claims": ()})).with_suite(name="other")
    other = replace(
        other, plan=replace(other.plan, paper=paper, file=Path("suites/tiny/other.yaml"))
    )
    other.record([0.5, 0.6, 0.7], method="l2", sampling_rate=1.0)
    store = Store(tmp_path / "store")
    build_site([track(other), track(made)], store, tmp_path / "site", cells="none")
    links = Page((tmp_path / "site/index.html").read_text()).links
    assert "figures/tiny-table1.offline.answer.svg" in links
    assert not any(link.startswith("figures/tiny-other") for link in links)


def test_a_paper_without_records_has_a_card_without_a_picture(tmp_path: Path) -> None:
    build(study(), tmp_path / "site", "none")
    page = Page((tmp_path / "site/index.html").read_text())
    assert page.tags.count("article") == 1
    assert "img" not in page.tags


def test_a_claims_id_may_be_any_text(made: Study, tmp_path: Path) -> None:
    paper = made.plan.paper.model_copy(
        update={"claims": (CLAIM.model_copy(update={"id": f"a b {HOSTILE}"}),)}
    )
    changed = replace(made, plan=replace(made.plan, paper=paper))
    build(changed, tmp_path / "site", "none")
    check_links(tmp_path / "site")


def test_a_cells_page_has_the_papers_number_beside_ours(made: Study, tmp_path: Path) -> None:
    entry = ReportedEntry(where={"method": "l2", "sampling_rate": 0.15}, mean=50.5, spread=0.4)
    table = ReportedTable(
        suite="table1", profile="offline", metric="test/top1", spread="sd",
        source=f"Table 1 {HOSTILE}", entries=(entry,),
    )  # fmt: skip
    build(made, tmp_path / "site", reported=Reported(tables=(table,)))
    cell = made.cells(method="l2", sampling_rate=0.15, seed=2)[0].cell
    page = Page((tmp_path / f"site/cells/{cell.id}.html").read_text())
    # Seeds 50, 51, 52: 51 ± 4.3027 / √3.
    assert ["test/top1 (%)", "52.00", "51.00 ± 2.48 (3/3)", "50.5 ± 0.4", "+0.50",
            f"Table 1 {HOSTILE}"] in page.rows  # fmt: skip
    for other in made.records:
        words = Page((tmp_path / f"site/cells/{other}.html").read_text()).words
        seeds = {p.cell.id for p in made.cells(method="l2", sampling_rate=0.15)}
        assert ("Beside the paper" in words) == (other in seeds)


def test_in_another_setting_a_cell_has_no_number_of_the_paper(made: Study, tmp_path: Path) -> None:
    entry = ReportedEntry(where={"method": "l2", "sampling_rate": 0.15}, mean=50.5)
    table = ReportedTable(
        suite="table1", profile="paper", metric="test/top1", spread="sd", source="Table 1",
        entries=(entry,),
    )  # fmt: skip
    build(made, tmp_path / "site", reported=Reported(tables=(table,)))
    for _, page in html(tmp_path / "site/cells"):
        assert "Beside the paper" not in page.words


def test_a_cell_page_shows_attempts_log_curves_and_spec(made: Study, tmp_path: Path) -> None:
    build(made, tmp_path / "site")
    cell = made.cells(method="l2", sampling_rate=0.15, seed=1)[0].cell
    page = Page((tmp_path / f"site/cells/{cell.id}.html").read_text())
    assert ["test/top1", "0.51", "51.00%"] in page.rows
    assert [row[:2] for row in page.rows if row[0] in "12"] == [["1", "failed"], ["2", "done"]]
    # What moved the cursor begins a line; colours and the null are not text.
    assert f"step 1\nstep 2\n{HOSTILE}�\n" in page.words
    assert f"Trace {HOSTILE}" in page.words
    assert f'"id": "{cell.id}"' in page.words
    assert sum(link.startswith("../curves/") for link in page.links) == 2
    assert "l2, seed 1" in page.words


def test_names_from_outside_are_text_and_never_paths_or_tags(tmp_path: Path) -> None:
    paper = Paper(
        id="hostile", title=HOSTILE, authors=(HOSTILE,), venue=HOSTILE, url="javascript:alert(1)",
        notes=(Note(text=HOSTILE, source=HOSTILE),), claims=(CLAIM,),
    )  # fmt: skip
    # No file has such an id; the site does not rely on it.
    paper = paper.model_copy(update={"id": HOSTILE})
    made = study(paper=paper, labels={"method": {"l2": HOSTILE}}, profile="../<p>")
    made = made.with_suite(title=HOSTILE, source=HOSTILE, name="../../<s>")
    made.record([0.5, 0.6, 0.7], method="l2", sampling_rate=1.0)
    build(made, tmp_path / "deep/er/site", "all")
    site = tmp_path / "deep/er/site"
    check_links(site)
    for file, page in html(site):
        # The one script is ours, in the head.
        assert page.tags.count("script") == 1, file
        assert not any("javascript" in link for link in page.links)
    words = Page(next((site / "papers").iterdir()).read_text()).words
    # Title, authors, venue, suite, source, notes, and wherever the method's label stands.
    assert words.count(HOSTILE) >= 10
    assert {p.name for p in tmp_path.iterdir()} == {"deep"}


def test_two_papers_with_one_name_have_two_pages(made: Study, tmp_path: Path) -> None:
    other = Study(replace(made.plan, file=Path("suites/other/table1.yaml")), {}, {})
    build_site([track(made), track(other)], Store(tmp_path / "store"), tmp_path / "site")
    assert {n for n in files(tmp_path / "site") if n.startswith("papers/")} == {
        "papers/tiny.offline.html",
        "papers/tiny.offline-2.html",
    }
    check_links(tmp_path / "site")


def test_the_same_records_give_the_same_bytes(made: Study, tmp_path: Path) -> None:
    build(made, tmp_path / "one")
    first = files(tmp_path / "one")
    made.records = dict(reversed(made.records.items()))
    build(made, tmp_path / "two")
    assert files(tmp_path / "two") == first
    stamps = {f: f.stat().st_mtime_ns for f in (tmp_path / "one").rglob("*.*") if f.is_file()}
    again = build(made, tmp_path / "one")
    assert again.drawn == 0
    assert files(tmp_path / "one") == first
    assert all(f.stat().st_mtime_ns == t for f, t in stamps.items() if f.name != MARKER)


def test_what_an_earlier_build_left_is_removed_and_nothing_else(
    made: Study, tmp_path: Path
) -> None:
    site = tmp_path / "site"
    build(made, site)
    (site / "CNAME").write_text("example.org")
    (site / "cells/mine.html").write_text("mine")
    outside = tmp_path / "outside.html"
    outside.write_text("not ours")
    with (site / MARKER).open("a") as marker:
        marker.write("../outside.html\n/etc/hostname\n")
    before = set(files(site))
    assert build(made, site, "none").removed == 30
    assert before - set(files(site)) == {n for n in before if n.startswith("curves/")} | {
        f"cells/{cell_id}.html" for cell_id in made.records
    }
    assert outside.exists()
    assert (site / "CNAME").read_text() == "example.org"


def test_a_folder_that_is_not_ours_is_refused(made: Study, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UserError, match=r"not empty, and no site of ours\n.*--to"):
        SiteFolder(tmp_path)
    assert [f.name for f in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_build_that_was_killed_leaves_only_what_it_knows(tmp_path: Path) -> None:
    killed = SiteFolder(tmp_path / "site")
    killed.write("cells/a.html", "a")
    later = SiteFolder(tmp_path / "site")
    later.write("index.html", "i")
    assert later.finish() == 1
    assert set(files(tmp_path / "site")) == {"index.html", MARKER}


def test_a_folder_behind_a_link_is_not_cleaned(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    site = SiteFolder(tmp_path / "site")
    (tmp_path / "site/cells").symlink_to(elsewhere)
    site.write("cells/a.html", "a")
    SiteFolder(tmp_path / "site").finish()
    assert (elsewhere / "a.html").exists()


@given(st.text(max_size=60))
def test_escaped_markdown_is_the_text_itself(text: str) -> None:
    # The inverse of `markdown.escape`, which makes one line of any white space.
    assert str(inline(markdown.escape(text))) == str(escape_html(" ".join(text.split())))


@given(st.text(alphabet="ab<>&\"'`*\\[]()|_ \n", max_size=40))
def test_any_text_at_all_gives_no_tag_but_ours(text: str) -> None:
    tags = set(Page(f"<p>{inline(text)}</p>").tags)
    assert tags <= {"p", "em", "strong", "code", "a"}


def test_our_own_markdown_becomes_html() -> None:
    text = f"**Bold** {markdown.code('a|b')}, {markdown.link('here*', 'https://x.org/a_b')} *t*"
    assert str(inline(text)) == (
        '<strong>Bold</strong> <code>a|b</code>, <a href="https://x.org/a_b">here*</a> <em>t</em>'
    )


@pytest.mark.parametrize("url", ["javascript:alert(1)", "data:text/html,x", "//x.org", None, ""])
def test_only_web_addresses_are_linked(url: str | None) -> None:
    assert web_address(url) is None
    assert web_address("https://x.org/a?b=c") == "https://x.org/a?b=c"


def test_a_terminals_text_is_readable() -> None:
    assert clean("\x1b[1;31mred\x1b[0m\r\n10%\r20%\x07") == "red\n10%\n20%�"


def test_curves_of_one_unit_are_drawn_together_and_endless_values_left_out() -> None:
    nan = float("nan")
    given = {
        "anytime/test/top1": Curve((0, 1, 2), (0.1, nan, 0.3)),
        "anytime/source/top1": Curve((0, 1, 2), (0.9, 0.8, 0.7)),
        "features/distance": Curve((0, 1, 2), (0.0, 1.0, 2.0)),
        "train/loss": Curve((5, 10), (3.0, float("inf"))),
        "penalty/$bss$": Curve((5, 10), (1e-6, 1.0)),
        "penalty/gone": Curve((5, 10), (nan, nan)),
    }
    record = Record({"id": "x"}, 1, "", "", 1.0, Outcome("done", curves=given, provenance=MADE))
    found = groups(record, {"anytime/source/top1": "%", "anytime/test/top1": "%"})
    assert [(g.name, list(g.curves), g.checkpoints) for g in found] == [
        ("anytime-accuracy", ["anytime/source/top1", "anytime/test/top1"], True),
        ("loss", ["train/loss"], False),
        ("penalty", ["penalty/$bss$"], False),
        # At the steps of the anytime curves, and on their scale.
        ("features-distance", ["features/distance"], True),
    ]
    for group in found:
        svg = group_svg(group)
        assert group_svg(group) == svg
        words = [t.text for t in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]
        assert group.title in words
    assert len({group.key for group in found}) == 4


def test_curves_of_tasks_have_pictures_of_their_own() -> None:
    curve = Curve((0, 1, 2), (0.1, 0.2, 0.3))
    names = ["anytime/test/top1", "validation/top1", "train/cross_entropy", "head/norm"]
    given = {f"{task}/{name}": curve for task in ("digits", "r_32") for name in names}
    units = {name: "%" for name in given if name.endswith("top1")}
    given |= {"train/loss": curve, "features/distance": curve}
    record = Record({"id": "x"}, 1, "", "", 1.0, Outcome("done", curves=given, provenance=MADE))
    found = {group.name: (group.title, list(group.curves)) for group in groups(record, units)}
    assert found == {
        "digits-accuracy": ("digits: accuracy (%)", ["digits/validation/top1"]),
        "r-32-accuracy": ("r_32: accuracy (%)", ["r_32/validation/top1"]),
        "digits-anytime-accuracy": ("digits: anytime accuracy (%)", ["digits/anytime/test/top1"]),
        "r-32-anytime-accuracy": ("r_32: anytime accuracy (%)", ["r_32/anytime/test/top1"]),
        "loss": ("training loss (nats)", ["train/loss"]),
        "digits-loss": ("digits: training loss (nats)", ["digits/train/cross_entropy"]),
        "r-32-loss": ("r_32: training loss (nats)", ["r_32/train/cross_entropy"]),
        "digits-head-norm": ("digits: head/norm", ["digits/head/norm"]),
        "r-32-head-norm": ("r_32: head/norm", ["r_32/head/norm"]),
        "features-distance": ("features/distance", ["features/distance"]),
    }


def escape_html(text: str) -> str:
    """Return text as ``markupsafe`` escapes it."""
    assert unescape(escape(text)) == text
    return escape(text).replace("&quot;", "&#34;").replace("&#x27;", "&#39;")


def test_names_break_behind_their_parts_and_markup_stays():
    assert breakable("test/top1_error <x>") == "test/<wbr>top1_<wbr>error &lt;x&gt;"
    assert breakable(Markup("<b>a/b</b>")) == "<b>a/b</b>"


def test_cards_without_a_picture_are_last(monkeypatch):
    pictured = Picture("A", ["a.svg"], [])
    shown = {"a": None, "b": pictured, "c": None, "d": pictured}
    monkeypatch.setattr("bench.report.site.cards.card", lambda paper, names: paper)
    papers = [SimpleNamespace(id=name, picture=picture) for name, picture in shown.items()]
    assert [each.id for each in cards(papers, None)] == ["b", "d", "a", "c"]
