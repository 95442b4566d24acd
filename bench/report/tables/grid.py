"""One grid of a table's fields, plain data, for every renderer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Literal

from bench.report.numbers import NO_SPREAD, NOTHING, number, portion
from bench.report.results import Block, E
from bench.spec.recipe import Scalar
from bench.stats.intervals import Estimate

# What stands beside a number: half an interval's width, a remark, a difference, a note's mark.
Style = Literal["plain", "strong", "half", "note", "delta", "mark"]


@dataclass(frozen=True)
class Span:
    """Some words of a field, and what they are."""

    text: str
    style: Style = "plain"


@dataclass(frozen=True)
class Field(Generic[E]):
    """What an entry's field shows; ``number`` is what it sorts by."""

    entry: E
    number: float
    spans: tuple[Span, ...]


@dataclass(frozen=True)
class Line(Generic[E]):
    """A row: the value of each row axis, then a field a column; None where there is no entry."""

    values: tuple[Scalar, ...]
    fields: tuple[Field[E] | None, ...]


@dataclass(frozen=True)
class Grid(Generic[E]):
    """Blocks that share their columns.

    Attributes
    ----------
    rows, column
        The axes of the rows, and that of the columns.
    columns
        Its values.
    """

    rows: Sequence[str]
    column: str
    columns: tuple[Scalar, ...]
    lines: Sequence[Line[E]]


def grids(
    blocks: Sequence[Block[E]],
    axes: tuple[Sequence[str], str],
    field: Callable[[E], Field[E]],
) -> list[Grid[E]]:
    """Return blocks as grids; those with the same columns share one."""
    shared: dict[tuple[Scalar, ...], list[Block[E]]] = {}
    for block in blocks:
        shared.setdefault(block.columns, []).append(block)
    return [
        Grid(
            *axes,
            columns,
            [
                Line(
                    (*block.key, row),
                    tuple(
                        None if (entry := block.entries.get((row, column))) is None
                        else field(entry)
                        for column in columns
                    ),
                )
                for block in members
                for row in block.rows
            ],
        )
        for columns, members in shared.items()
    ]  # fmt: skip


def estimate_spans(
    estimate: Estimate, decimals: int, *, strong: bool = False, signed: bool = False
) -> tuple[Span, ...]:
    """Return what ``numbers.mean_text`` does, in spans."""
    if estimate.n == 0:
        return (Span(NOTHING),)
    mean = Span(number(estimate.mean, decimals, signed=signed), "strong" if strong else "plain")
    if estimate.no_spread:
        return mean, Span(NO_SPREAD, "note")
    if estimate.half_width is None:
        return (mean,)
    return mean, Span(f"± {number(estimate.half_width, decimals)}", "half")


def undefined_span(n: int, expected: int) -> Span:
    """Return at how many seeds a number is undefined, so that it has no mean."""
    return Span(f"(undefined at {portion(n, expected)})", "note")


def portion_span(n: int, expected: int) -> Span:
    """Return of how many seeds a number is."""
    return Span(f"({portion(n, expected)})", "note")
