"""The published pages, as a reader has them: no caption, note or remark is a wall of words."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

BOARDS = Path(__file__).parents[2] / "leaderboards"
# Those whose records are published too, so that they can be made again.
PAGES = [page for page in sorted(BOARDS.glob("*/*.md")) if page.with_suffix(".zip").is_file()]
# Lists every comparison of a claim: an enumeration, folded.
_FORMS = re.compile(r"<summary>What each claim asks of the records</summary>.*?</details>", re.S)


def paragraphs(page: Path) -> list[str]:
    """Return what is neither a table, a picture nor a heading; of lists, line by line."""
    blocks = _FORMS.sub("", page.read_text(encoding="utf-8")).split("\n\n")
    return [
        line.removeprefix("- ")
        for block in blocks
        if block.strip()[:1] not in "|#!<"
        for line in block.splitlines()
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_no_caption_or_note_of_a_published_page_has_more_than_sixty_words(page: Path) -> None:
    counts = {text: len(re.sub(r"\]\(<[^>]*>\)", "]", text).split()) for text in paragraphs(page)}
    assert len(counts) > 5
    assert {text: n for text, n in counts.items() if n > 60} == {}
