"""Tables of the site: columns that sort, fields that know what they sort by and link to."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

# Shorter tables are seen at a glance.
FILTERED = 8


@dataclass(frozen=True)
class Field:
    """One field of a table.

    Attributes
    ----------
    text
        What is shown; plain text is escaped.
    sort
        What it sorts by where that is not its text; an absent number sorts last.
    link
        Path inside the site, or an anchor of it.
    kind
        Class for its look, such as a state's.
    """

    text: str | Markup
    sort: str | None = None
    link: str | None = None
    kind: str = ""


@dataclass(frozen=True)
class Column:
    """A column; numbers stand to the right."""

    title: str
    numeric: bool = False


@dataclass(frozen=True)
class Row:
    """A row; ``place`` groups those that belong together, ``anchor`` is what links lead to."""

    fields: Sequence[Field]
    place: int | None = None
    first: bool = False
    anchor: str = ""


@dataclass(frozen=True)
class Grid:
    """A whole table; ``name`` is for those who do not see it."""

    name: str
    columns: Sequence[Column]
    rows: Sequence[Row]
    wrap: bool = False

    @property
    def filtered(self) -> bool:
        """Whether it is long enough for a filter."""
        return len(self.rows) > FILTERED


def plain_grid(
    name: str, header: Sequence[str], rows: Sequence[Sequence[str | Markup]], *, left: int
) -> Grid:
    """Return a table of texts; columns from ``left`` on are numbers."""
    columns = [Column(title, numeric=i >= left) for i, title in enumerate(header)]
    return Grid(name, columns, [Row([Field(text) for text in row]) for row in rows], wrap=True)


def number_field(value: float | None, text: str | Markup, link: str | None = None) -> Field:
    """Return a field that sorts by a number."""
    known = value is not None and math.isfinite(value)
    return Field(text, sort=repr(float(value)) if known and value is not None else "", link=link)
