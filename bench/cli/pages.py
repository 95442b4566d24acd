"""A suite's leaderboard from its records: built, written, and compared with what was written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cli.session import Session, further_of

if TYPE_CHECKING:
    from bench.report.page import Page

LEADERBOARDS, EXCERPTS = Path("leaderboards"), Path("excerpts")
# Not pictures, whose bytes are the drawing library's, nor what a verification itself writes.
_COMPARED = (".md", ".csv", ".json")


@dataclass(frozen=True)
class Built:
    """A page, and the further files beside it by name."""

    page: Page
    beside: dict[str, str]

    def files(self) -> dict[str, str]:
        """Return every file by name."""
        return {**self.page.files(), **self.beside}


def stem_of(session: Session) -> str:
    """Return the name of a page's files without their endings: an excerpt's is its own."""
    plan = session.plan
    return ".".join([plan.suite.name, plan.profile, *([plan.excerpt.name] if plan.excerpt else [])])


def build(session: Session, folder: Path) -> Built:
    """Build the leaderboard of a session; ``folder`` is that of all leaderboards."""
    from bench.report.claims.further import further_csv
    from bench.report.claims.verdict import verdicts
    from bench.report.index import facts_json, page_facts
    from bench.report.page import build_page
    from bench.report.verified import load_verified
    from bench.spec.paper import load_reported

    plan = session.plan
    results, stem = session.results(), stem_of(session)
    further = further_of(session)
    found = verdicts(results, further)
    page = build_page(
        results,
        reported=load_reported(plan.file.parent),
        stem=stem,
        found=found,
        verified=load_verified(folder / plan.paper.id, stem),
        further=further.results if further is not None else None,
    )
    if plan.excerpt is not None:
        # By the facts that lie beside it a page comes into the index, and is one of the suite.
        return Built(page, {})
    beside = {f"{stem}.json": facts_json(page_facts(stem, results, found))}
    numbers = further_csv(further, plan) if further is not None else ""
    if numbers:
        beside[f"{stem}.further.csv"] = numbers
    return Built(page, beside)


def write(session: Session, folder: Path) -> list[Path]:
    """Write the leaderboard of a session below the folder of all; return its files."""
    from bench.report.page import write_page

    built = build(session, folder)
    return write_page(built.page, folder / session.plan.paper.id, built.beside)


def differing_files(session: Session, folder: Path) -> dict[Path, str]:
    """Return the files of a written page that are not what its records give, and how they differ.

    Also those that it lacks, and those that it no longer has; nothing where it was never written.
    Of pictures it is only whether they are there.
    """
    from bench.report.page import page_files

    of, stem = folder / session.plan.paper.id, stem_of(session)
    if not of.is_dir() or not (written := page_files(of, stem)):
        return {}
    files = build(session, folder).files()
    found = {
        path: "is no file of this page as the records give it"
        for path in written
        if path.name not in files
    }
    for name, text in files.items():
        path = of / name
        if not path.is_file():
            found[path] = "is missing"
        elif path.suffix in _COMPARED:
            there = path.read_text(encoding="utf-8", errors="replace")
            if there != text:
                found[path] = _first_difference(there, text)
    return found


def _first_difference(written: str, text: str) -> str:
    ours, theirs = text.splitlines(), written.splitlines()
    for number, (now, then) in enumerate(zip(ours, theirs, strict=False), start=1):
        if now != then:
            return f"line {number} is not what the records give: {_excerpt(then, now)}"
    return f"it has {len(theirs):,} lines, and the records give {len(ours):,}"


def _excerpt(then: str, now: str, width: int = 40) -> str:
    start = next((i for i, (a, b) in enumerate(zip(then, now, strict=False)) if a != b), 0)
    begin = max(0, start - width // 2)
    return f"{then[begin : begin + width]!r} for {now[begin : begin + width]!r}"
