"""A leaderboard: the page, its figure and its CSV, the same bytes for the same records."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench.errors import UserError
from bench.files import write_whole
from bench.report import own_numbers, sections
from bench.report.again import again
from bench.report.answer import answer, answer_section
from bench.report.claims.section import claims_csv, claims_section
from bench.report.claims.verdict import Verdict, verdicts
from bench.report.figures.section import curve_numbers, draw_figures, figure_section, figure_svgs
from bench.report.frame import cell_frame, frame_csv
from bench.report.results import Results, arrange, row_axes
from bench.report.search import search_section
from bench.report.sections import Board
from bench.report.verified import Verified
from bench.spec.paper import Reported


@dataclass(frozen=True)
class Page:
    """A leaderboard's files.

    Attributes
    ----------
    stem
        Name of the page and the CSV without their endings.
    markdown
        The page; it links to the CSV and the figures by file name.
    csv
        One row a cell: axes, id, state, metrics as recorded (fractions).
    figures
        File name to SVG.
    curves
        The numbers of the figures of curves as CSV; None where the suite has none.
    claims
        The values of every comparison of a claim, seed by seed, as CSV; None where the profile is
        asked nothing.
    """

    stem: str
    markdown: str
    csv: str
    figures: Mapping[str, str] = field(default_factory=dict)
    curves: str | None = None
    claims: str | None = None

    def files(self) -> dict[str, str]:
        """Return file name to text."""
        files = {f"{self.stem}.md": self.markdown, f"{self.stem}.csv": self.csv, **self.figures}
        if self.curves is not None:
            files[curves_name(self.stem)] = self.curves
        if self.claims is not None:
            files[claims_name(self.stem)] = self.claims
        return files


def curves_name(stem: str) -> str:
    """Return the file name of the curves' numbers."""
    return f"{stem}.curves.csv"


def claims_name(stem: str) -> str:
    """Return the file name of the values that claims compare."""
    return f"{stem}.claims.csv"


def build_page(
    results: Results,
    *,
    reported: Reported | None = None,
    stem: str | None = None,
    found: Sequence[Verdict] | None = None,
    verified: Verified | None = None,
    further: Results | None = None,
) -> Page:
    """Build the leaderboard of a plan. Nothing is read or written, and no clock is asked.

    Parameters
    ----------
    reported
        The paper's numbers; those of this suite and profile are shown beside ours.
    stem
        Name of the files without ending; ``SUITE-PROFILE`` by default.
    found
        The verdicts on the claims about this suite; made from the records where not given.
    verified
        What `bench verify` found of these records, if it was asked.
    further
        The suite with the seeds of settling, which verdicts are made of too.

    Raises
    ------
    SpecError
        If no record has the table's metric.
    """
    plan = results.plan
    stem = stem or f"{plan.suite.name}-{plan.profile}"
    board = replace(make_board(results, reported), verified=verified, further=further)
    drawings = draw_figures(results, stem)
    found = verdicts(results) if found is None else found
    opening = answer(board, found, stem)
    figures = {opening.file: opening.svg} if opening is not None else {}
    table = {} if f"{stem}.svg" in figures else own_numbers.table_figure(board, stem)
    own = figure_section(drawings, curves_name(stem))
    parts: Iterable[str] = (
        sections.heading(board),
        # A page begins with a picture.
        answer_section(board, opening) if opening is not None else own,
        sections.summary(board),
        claims_section(found, plan, claims_name(stem)),
        own if opening is not None else "",
        own_numbers.picture(board, table),
        own_numbers.results(board, f"{stem}.csv"),
        own_numbers.contrast(board),
        search_section(results),
        sections.comparison(board),
        sections.notes(board),
        sections.setting(board),
        sections.provenance(board),
        again(board),
    )
    markdown = "\n\n".join(part for part in parts if part) + "\n"
    figures |= {**table, **figure_svgs(drawings)}
    cells, curves = frame_csv(cell_frame(results)), curve_numbers(drawings, plan.suite)
    return Page(stem, markdown, cells, figures, curves, claims_csv(found, plan))


def make_board(results: Results, reported: Reported | None) -> Board:
    """Return all that a page is made of."""
    entries = tuple(results.table())
    axes = (row_axes(results.plan), results.plan.suite.table.columns)
    return Board(results, reported, entries, tuple(arrange(entries, *axes)), axes)


def write_page(page: Page, folder: Path, beside: Mapping[str, str] | None = None) -> list[Path]:
    """Write a page's files, and remove those of an earlier one that it no longer has.

    Each is written whole or not at all; one that would not change is left alone, as is every
    file of another page.

    Parameters
    ----------
    beside
        Other files of the page, by name.

    Returns
    -------
    list of Path
        The page, the CSV, the figures, the others.
    """
    files = {**page.files(), **(beside or {})}
    written = write_files(files, folder)
    for path in page_files(folder, page.stem):
        if path.name not in files:
            path.unlink(missing_ok=True)
    return written


def page_files(folder: Path, stem: str) -> list[Path]:
    """Return the files that ``bench report`` may have written for a page."""
    named = r"(\.(md|csv|json|svg|answer\.svg|(curves|claims|further)\.csv)|-\d+\.svg)"
    own = re.compile(re.escape(stem) + named)
    return [
        path
        for path in sorted(folder.iterdir())
        # `table.offline-1.svg` may be the picture of a profile named offline-1.
        if own.fullmatch(path.name)
        and (path.stem == stem or not path.with_name(f"{path.stem}.md").exists())
    ]


def write_files(files: Mapping[str, str], folder: Path) -> list[Path]:
    """Write texts by file name, each whole or not at all."""
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            path = folder / name
            data = text.encode()
            if not (path.is_file() and path.read_bytes() == data):
                write_whole(path, data)
            written.append(path)
    except OSError as error:
        raise UserError(
            f"the page cannot be written: {error.strerror or error}",
            file=folder,
            remedy="name another folder with --to",
        ) from None
    return written
