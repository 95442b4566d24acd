"""What commands print: nothing that steers the terminal, and tables no wider than it."""

from __future__ import annotations

import contextlib
import io
import os
import shlex
import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from bench.screen import printable

if TYPE_CHECKING:
    from bench.cli.joint import Joint
    from bench.cli.session import Session

# No column is made narrower than this, however narrow the terminal.
_NARROWEST = 8


class _Screen:
    """A stream that steers nothing; there is no way past it to the bytes below."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        return self._stream.write(printable(text))

    def __getattr__(self, name: str) -> Any:
        if name == "buffer":
            raise AttributeError(name)
        return getattr(self._stream, name)


@contextlib.contextmanager
def screen() -> Iterator[None]:
    """Let everything that is printed to stdout go through :func:`bench.screen.printable`."""
    before = sys.stdout
    # What the terminal's encoding does not have is written out too.
    if isinstance(before, io.TextIOWrapper):
        before.reconfigure(errors="backslashreplace")
    sys.stdout = _Screen(before)
    try:
        yield
    finally:
        sys.stdout = before


def terminal_width() -> int | None:
    """Return the columns of the terminal; None where the output goes elsewhere, and is whole."""
    if sys.stdout.isatty() or os.environ.get("COLUMNS"):
        return shutil.get_terminal_size().columns
    return None


def wrapped(text: str, indent: str = "") -> str:
    """Return a paragraph in lines that fit, those after the first indented."""
    width = terminal_width()
    if width is None or len(text) <= width:
        return text
    return textwrap.fill(text, width, subsequent_indent=indent, break_on_hyphens=False)


def clipped(text: str, width: int | None) -> str:
    """Return a line that fits, its end left out where it does not.

    >>> clipped("a long line", 7), clipped("a long line", None)
    ('a long…', 'a long line')
    """
    return text if width is None or len(text) <= width else text[: width - 1] + "…"


def table(rows: Sequence[Sequence[object]], header: Sequence[str], align: Sequence[str]) -> str:
    """Return a table; where it is wider than the terminal its widest words are clipped.

    Parameters
    ----------
    align
        ``left`` for each column of words, ``right`` for numbers, which are never clipped.
    """
    from tabulate import tabulate

    body = [[str(cell) for cell in row] for row in rows]
    # tabulate gives a header two columns more than it needs, and two between columns.
    widths = [max([len(name) + 2, *(len(row[i]) for row in body)]) for i, name in enumerate(header)]
    whole = terminal_width()
    words = [i for i, side in enumerate(align) if side == "left" and widths[i] > _NARROWEST]
    while whole and words and sum(widths) + 2 * (len(widths) - 1) > whole:
        # The first column names the row, and is clipped last.
        widest = max(words[1:] if words[0] == 0 and words[1:] else words, key=lambda i: widths[i])
        widths[widest] -= 1
        if widths[widest] <= _NARROWEST:
            words.remove(widest)
    fitting = [[clipped(c, width) for c, width in zip(row, widths, strict=True)] for row in body]
    heads = [clipped(name, width - 2) for name, width in zip(header, widths, strict=True)]
    return tabulate(
        fitting, heads, tablefmt="simple", disable_numparse=True, colalign=align if body else None
    )


def again(verb: str, suites: str | Sequence[str], profile: str, store: Path, *more: str) -> str:
    """Return a command for the same suites, profile and store, as a shell takes it.

    >>> again("run", "my suites/a.yaml", "offline", Path("results"), "--keep")
    "bench run 'my suites/a.yaml' --profile offline --store results --keep"
    """
    from bench.spec.find import asked_folders

    named = [suites] if isinstance(suites, str) else suites
    lies = [word for folder in asked_folders() for word in ("--suites", str(folder))]
    ours = ["--profile", profile, "--store", str(store)]
    return shlex.join(["bench", verb, *named, *lies, *ours, *more])


def tell_excerpt(session: Session) -> None:
    """Say which cells of a suite are meant, where they are not all."""
    if session.excerpt_text:
        click.echo(wrapped(session.excerpt_text, "  "))


def tell_left_out(joint: Joint) -> None:
    """Say of which suites no cell is meant."""
    if joint.left_out:
        click.echo(f"no cell of {', '.join(joint.left_out)} is {joint.excerpt}", err=True)
