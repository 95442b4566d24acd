"""The index of leaderboards, made from the facts that lie beside each page."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bench.errors import UserError
from bench.records.record import Record
from bench.report import markdown
from bench.report.claims.verdict import OUTCOMES, Verdict
from bench.report.claims.verdict_json import verdict_json
from bench.report.numbers import NOTHING, portion
from bench.report.results import Results
from bench.spec.recipe import Frozen

README = "README.md"
# A page of the smoke profile shows that everything runs; its numbers mean nothing.
_LEFT_OUT = ("smoke",)
_MARK = "<!-- made by `bench report`: do not edit -->"


class PageFacts(Frozen):
    """What the index says of a page.

    ``last`` is the UTC day on which its last record ended; ``claims`` counts the verdicts.
    ``verdicts`` has each of them with all its numbers: not for the index, but for whoever checks
    the page.
    """

    page: str
    paper: str
    paper_title: str
    title: str
    profile: str
    done: int
    planned: int
    claims: dict[str, int]
    last: str | None
    hardware: tuple[str, ...]
    verdicts: tuple[dict[str, Any], ...] = ()


def page_facts(stem: str, results: Results, found: Sequence[Verdict]) -> PageFacts:
    """Return what the index says of a page; nothing in it depends on when it was made."""
    plan = results.plan
    ids = dict.fromkeys(planned.cell.id for planned in plan.cells)
    own = results.own_records()
    outcomes = Counter(verdict.outcome for verdict in found)
    return PageFacts(
        page=f"{stem}.md",
        paper=plan.paper.id,
        paper_title=plan.paper.title,
        title=plan.suite.title,
        profile=plan.profile,
        done=sum(results.state(cell_id) == "done" for cell_id in ids),
        planned=len(ids),
        claims={name: outcomes[name] for name in OUTCOMES} if found else {},
        last=max((record.ended[:10] for record in own), default=None),
        hardware=_hardware(own),
        verdicts=tuple(verdict_json(verdict, plan) for verdict in found),
    )


def facts_json(facts: PageFacts) -> str:
    """Return a page's facts as the text of the file beside it."""
    return json.dumps(facts.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n"


def index(folder: Path) -> str | None:
    """Return the index of a folder's pages by their facts; None where there is nothing to list.

    Pages lie in a folder a paper; of each paper they are listed together, by what they asked.

    Raises
    ------
    UserError
        If the facts of a page cannot be read.
    """
    papers: dict[str, tuple[str, list[list[str]]]] = {}
    for path, facts in _all_facts(folder):
        if facts.profile not in _LEFT_OUT:
            heading = f"{markdown.code(facts.paper)}: {markdown.escape(facts.paper_title)}"
            _, rows = papers.setdefault(facts.paper, (heading, []))
            rows.append(_row(facts, f"{path.parent.name}/{facts.page}"))
    if not papers:
        return None
    header = ["leaderboard", "profile", "cells", *OUTCOMES, "last record", "hardware"]
    parts = [
        _MARK,
        "# Leaderboards",
        "What each experiment of a paper asked. Cells that are done, of those planned; how many of "
        "the paper's claims about it are supported, refuted, undecided and not run; the day (UTC) "
        "on which the last record ended; what the records were made on.",
    ]
    for heading, rows in papers.values():
        parts += [f"## {heading}", markdown.table(header, rows, left=2)]
    return "\n\n".join(parts) + "\n"


def may_write_index(folder: Path) -> bool:
    """Whether the folder has no README, or one that was made here."""
    file = folder / README
    return not file.exists() or file.read_text(encoding="utf-8").startswith(_MARK)


def _all_facts(folder: Path) -> Iterable[tuple[Path, PageFacts]]:
    for file in sorted(folder.glob("*/*.json")):
        if not file.with_suffix(".md").is_file():
            continue
        try:
            yield file, PageFacts.model_validate_json(file.read_bytes())
        except ValidationError as error:
            raise UserError(
                f"is not what `bench report` writes: {error.errors()[0]['msg']}",
                file=file,
                remedy="make its page again, or delete both",
            ) from None


def _row(facts: PageFacts, page: str) -> list[str]:
    counts = [str(facts.claims[n]) if n in facts.claims else NOTHING for n in OUTCOMES]
    return [
        markdown.link(facts.title, page),
        markdown.code(facts.profile),
        portion(facts.done, facts.planned),
        *counts,
        facts.last or NOTHING,
        markdown.escape("; ".join(facts.hardware)) or NOTHING,
    ]


def _hardware(records: Iterable[Record]) -> tuple[str, ...]:
    found = set()
    for record in records:
        machine = record.outcome.provenance.machine
        device = machine.get("device", "cpu")
        found.add(machine.get("processor", device) if device == "cpu" else device)
    return tuple(sorted(found))
