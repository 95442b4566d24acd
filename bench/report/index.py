"""The index of leaderboards, made from the facts that lie beside each page."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from bench.errors import UserError
from bench.records.record import Record
from bench.report import markdown
from bench.report.claims import many
from bench.report.claims.verdict import OUTCOMES, Verdict
from bench.report.claims.verdict_json import verdict_json
from bench.report.numbers import NOTHING, plural, portion
from bench.report.results import Results
from bench.spec.layers import SMOKE
from bench.spec.recipe import Frozen
from bench.stats.family import false_discovery

README = "README.md"
_DECIDED = ("supported", "refuted")
EXPECTED = "expected false"
_MARK = "<!-- made by `bench report`: do not edit -->"


class PageFacts(Frozen):
    """What the index says of a page.

    ``last`` is the UTC day on which its last record ended; ``claims`` counts the verdicts, with
    the number of false ones that are expected if all were null, and of each claim that was tested
    the p of "neither". ``verdicts`` has each with all its numbers: not for the index, but for
    whoever checks the page.
    """

    page: str
    paper: str
    paper_title: str
    title: str
    profile: str
    done: int
    planned: int
    claims: dict[str, int]
    expected_false: float | None = None
    p: tuple[float, ...] = ()
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
        expected_false=many.expected_false(found) if found else None,
        p=tuple(p for p in many.claim_ps(found) if not math.isnan(p)),
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
    papers: dict[str, list[tuple[str, PageFacts]]] = {}
    for path, facts in _all_facts(folder):
        if facts.profile != SMOKE:
            page = f"{path.parent.name}/{facts.page}"
            papers.setdefault(facts.paper, []).append((page, facts))
    if not papers:
        return None
    header = ["leaderboard", "profile", "cells", *OUTCOMES, EXPECTED, "last record", "hardware"]
    parts = [
        _MARK,
        "# Leaderboards",
        "What each experiment of a paper asked. Cells that are done, of those planned; how many of "
        "the paper's claims about it are supported, refuted, undecided and not run; how many of "
        "the verdicts are expected to be false, if all claims were null; the day (UTC) on which "
        "the last record ended; what the records were made on.",
    ]
    for paper, pages in papers.items():
        parts.append(f"## {markdown.code(paper)}: {markdown.escape(pages[0][1].paper_title)}")
        parts.append(markdown.table(header, [_row(facts, page) for page, facts in pages], left=2))
        parts += over_claims([facts for _, facts in pages])
    return "\n\n".join(parts) + "\n"


def over_claims(pages: Sequence[PageFacts]) -> list[str]:
    """Return a sentence a profile on all verdicts of a paper's pages; none where none was tested.

    The claims of all pages are one family: what is expected to be false of them, and how many
    verdicts stay when the false discovery rate is kept over them.
    """
    texts = []
    for profile in dict.fromkeys(facts.profile for facts in pages):
        own = [facts for facts in pages if facts.profile == profile]
        p = [value for facts in own for value in facts.p]
        if not p:
            continue
        decided = sum(facts.claims.get(name, 0) for facts in own for name in _DECIDED)
        kept = sum(q <= many.DISCOVERY for q in false_discovery(p))
        expected = many.expected_text(sum(facts.expected_false or 0.0 for facts in own))
        texts.append(
            f"{plural(decided, 'verdict')} on {plural(len(p), 'tested claim')} under "
            f"{markdown.code(profile)}; {expected}. With a false discovery rate of "
            f"{100 * many.DISCOVERY:g}% over these claims (Benjamini and Yekutieli) {kept} stay."
        )
    return texts


def may_write_index(folder: Path) -> bool:
    """Whether the folder has no README, or one that was made here."""
    file = folder / README
    return not file.exists() or file.read_text(encoding="utf-8").startswith(_MARK)


def differing_index(folder: Path) -> str:
    """Return how a folder's index is not what the facts beside its pages give; or nothing.

    A folder without pages has none, and a README that was not made here is left alone.
    """
    text, file = index(folder), folder / README
    if text is None or not may_write_index(folder):
        return ""
    if not file.is_file():
        return "is missing: `bench report` writes it"
    same = file.read_text(encoding="utf-8") == text
    return "" if same else "is not what the pages' facts give: `bench report` writes it again"


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
        expected_number(facts),
        facts.last or NOTHING,
        markdown.escape("; ".join(facts.hardware)) or NOTHING,
    ]


def expected_number(facts: PageFacts) -> str:
    """Return how many of a page's verdicts are expected to be false, if all were null."""
    return NOTHING if facts.expected_false is None else f"{facts.expected_false:.2f}"


def _hardware(records: Iterable[Record]) -> tuple[str, ...]:
    found = set()
    for record in records:
        machine = record.outcome.provenance.machine
        device = machine.get("device", "cpu")
        found.add(machine.get("processor", device) if device == "cpu" else device)
    return tuple(sorted(found))
