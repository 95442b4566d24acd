"""A site from tracks: which pages there are, and their writing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from jinja2 import Environment, PackageLoader, StrictUndefined

from bench.records.store import Store
from bench.report.answer import TITLE
from bench.report.claims.section import HOW_TO_READ, VALUES
from bench.report.figures.section import NUMBERS
from bench.report.markdown import web_address
from bench.report.numbers import plural
from bench.report.own_numbers import WHAT_IT_SAYS
from bench.report.site import names as named
from bench.report.site.beside import PaperNumbers
from bench.report.site.cards import Card, cards
from bench.report.site.cell_curves import group_svg
from bench.report.site.cell_list import cell_list
from bench.report.site.cell_page import CellOnSite, Cells, cell_page
from bench.report.site.folder import SiteFolder
from bench.report.site.index_page import index_grid
from bench.report.site.inline import breakable
from bench.report.site.names import Names, paper_key
from bench.report.site.paper_page import paper_claims, paper_notes, shared_notes
from bench.report.site.suite_part import SuitePart, suite_part
from bench.report.site.track import Track

Which = Literal["none", "recorded", "all"]
_ASSETS = (named.STYLE, named.SCRIPT)


@dataclass(frozen=True)
class Built:
    """How many files a build has of each kind, and how many stale ones it removed."""

    files: Counter[str]
    drawn: int
    removed: int


def build_site(
    tracks: Sequence[Track],
    store: Store,
    folder: Path,
    *,
    cells: Which = "recorded",
    on_cells: Callable[[Sequence[CellOnSite]], Any] = iter,
) -> Built:
    """Write a site; the same records give the same bytes, and no clock is asked.

    Parameters
    ----------
    cells
        Which cells have a page: none, those with a record of any attempt, or all.
    on_cells
        Wraps the cells that are gone through, to show how far it is.

    Raises
    ------
    UserError
        If the folder is neither empty nor a site of ours, or cannot be written.
    SpecError
        If no record has the metric of a suite's table.
    """
    return _Builder(tracks, store, SiteFolder(folder), cells).build(on_cells)


class _Builder:
    def __init__(
        self, tracks: Sequence[Track], store: Store, folder: SiteFolder, which: Which
    ) -> None:
        self._tracks, self._store, self._folder = tracks, store, folder
        self._names = Names(tracks)
        self._cells = Cells(tracks)
        self._shown = self._cells.chosen(which)
        self._linked = {each.cell.id: Names.cell(each.cell.id) for each in self._shown}
        self._pages = pages(self._names)
        self._files: Counter[str] = Counter()
        self._drawn = 0

    def build(self, on_cells: Callable[[Sequence[CellOnSite]], Any]) -> Built:
        for name in _ASSETS:
            self._write(name, (resources.files(__package__) / name).read_text(encoding="utf-8"))
        parts = [suite_part(track, self._names) for track in self._tracks]
        printed = PaperNumbers({self._names.stem(p.track): p.board for p in parts}, self._names)
        papers: dict[object, list[SuitePart]] = {}
        for part in parts:
            papers.setdefault(paper_key(part.track), []).append(part)
            self._suite(part)
        for own in papers.values():
            self._paper(own)
        self._index(parts, cards([*papers.values()], self._names))
        for on_site in on_cells(self._shown):
            self._cell(on_site, printed)
        return Built(self._files, self._drawn, self._folder.finish())

    def _suite(self, part: SuitePart) -> None:
        for name, text in part.files.items():
            self._write(name, text)
        name = self._names.cells(part.track)
        grid = cell_list(part.track, self._linked)
        self._page(name, "cells.html.j2", part=part, grid=grid)

    def _paper(self, parts: Sequence[SuitePart]) -> None:
        paper = parts[0].track.plan.paper
        self._page(
            self._names.paper(parts[0].track),
            "paper.html.j2",
            paper=paper,
            parts=parts,
            claims=paper_claims(paper),
            notes=paper_notes(paper),
            at_a_glance=TITLE,
            how_to_read=HOW_TO_READ,
            columns=WHAT_IT_SAYS,
            shared=shared_notes(parts),
            values=VALUES,
            curve_numbers=NUMBERS,
        )

    def _index(self, parts: Sequence[SuitePart], cards: Sequence[Card]) -> None:
        grid = index_grid(parts, self._names)
        self._page(named.INDEX, "index.html.j2", grid=grid, cards=cards)

    def _cell(self, on_site: CellOnSite, printed: PaperNumbers) -> None:
        page = cell_page(on_site, self._cells, self._linked, self._store)
        for name, group in page.groups.items():
            # The name says what is drawn: an earlier build's picture is this one's.
            if self._folder.has(name):
                self._count(name)
            else:
                self._write(name, group_svg(group))
                self._drawn += 1
        beside = printed.grid(on_site)
        self._page(Names.cell(page.id), "cell.html.j2", page=page, beside=beside)

    def _page(self, name: str, template: str, **given: Any) -> None:
        root = "../" * name.count("/")
        self._write(name, self._pages.get_template(template).render(root=root, **given) + "\n")

    def _write(self, name: str, text: str) -> None:
        self._folder.write(name, text)
        self._count(name)

    def _count(self, name: str) -> None:
        self._files[name.partition("/")[0]] += 1


def pages(names: Names) -> Environment:
    """Return the templates; whatever they show is escaped unless it was made as HTML here."""
    environment = Environment(
        loader=PackageLoader("bench.report.site", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(names=names, style=named.STYLE, script=named.SCRIPT)
    environment.globals["index"] = named.INDEX
    environment.filters.update(web=web_address, plural=plural, breakable=breakable)
    return environment
