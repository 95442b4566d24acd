"""Errors for the person who can act on them: what is wrong, where, and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import ClassVar


class UserError(Exception):
    """Something the user can mend; the command line prints it without a traceback.

    Parameters
    ----------
    message
        What is wrong, in one sentence.
    file, line, field
        Where it is wrong, as far as it is known. ``line`` counts from 1.
    remedy
        What to do about it.

    Attributes
    ----------
    kind
        What kind of failure a cell has that ends by it. Any exception class may say one of
        ``bench.records.record.FailureKind``; without it, it is an ``error``.
    """

    kind: ClassVar[str] = "user-error"

    def __init__(
        self,
        message: str,
        *,
        file: Path | str | None = None,
        line: int | None = None,
        field: str | None = None,
        remedy: str | None = None,
    ) -> None:
        self.message = message
        self.file = str(file) if file is not None else None
        self.line = line
        self.field = field
        self.remedy = remedy
        super().__init__(str(self))

    def __str__(self) -> str:
        where = self.file or ""
        if self.file and self.line:
            where += f":{self.line}"
        head = f"{where}: " if where else ""
        if self.field:
            head += f"{self.field}: "
        tail = f"\n  {self.remedy}" if self.remedy else ""
        return f"{head}{self.message}{tail}"

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.__dict__.copy()))


def _rebuild(kind: type[UserError], state: dict[str, object]) -> UserError:
    # An exception that crosses a process border must keep its fields.
    error = kind.__new__(kind)
    error.__dict__.update(state)
    Exception.__init__(error, str(error))
    return error


class SpecError(UserError):
    """A suite, paper or reported file is not valid."""


class DataError(UserError):
    """A dataset cannot be had, or is not what the catalogue says."""


class WeightsError(UserError):
    """Weights cannot be had, or do not fit the backbone."""


class StoreError(UserError):
    """A record, lease or artifact cannot be read or written."""


def did_you_mean(name: object, known: Iterable[object], listed_by: str = "") -> str:
    """Return a remedy naming the nearest known name, or all of them if few.

    Of many, of which none is near, ``listed_by`` is the command that lists them.

    >>> did_you_mean("fractal", ["fractals", "glyphs"])
    "did you mean 'fractals'?"
    """
    names = [str(k) for k in known]
    # What no name resembles is not compared with all: it may be a megabyte long.
    near = difflib.get_close_matches(str(name)[:200], names, n=1, cutoff=0.6)
    if near:
        return f"did you mean {near[0]!r}?"
    if listed_by and len(names) > 12:
        return f"`{listed_by}` lists them"
    shown = ", ".join(names[:12]) + (", …" if len(names) > 12 else "")
    return f"one of: {shown}" if names else "nothing is allowed here"
