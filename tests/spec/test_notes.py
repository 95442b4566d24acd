"""Notes of shipped papers and suites, as their pages show them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

SUITES = Path(__file__).parents[2] / "suites"
FILES = sorted(SUITES.glob("*/*.yaml"))


def notes_of(given: Any) -> Iterator[str]:
    """Every note below a mapping, in whatever profile, with its source behind it."""
    for key, value in given.items() if isinstance(given, dict) else ():
        if key == "notes" and isinstance(value, list):
            for note in value:
                yield note if isinstance(note, str) else f"{note['text']} ({note.get('source')})"
        else:
            yield from notes_of(value)


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_no_note_has_more_than_sixty_words(file: Path) -> None:
    notes = list(notes_of(yaml.safe_load(file.read_text(encoding="utf-8"))))
    assert {note: n for note in notes if (n := len(note.split())) > 60} == {}


def test_notes_of_profiles_are_found_too() -> None:
    counts = [len(list(notes_of(yaml.safe_load(f.read_text(encoding="utf-8"))))) for f in FILES]
    assert sum(counts) > 300
