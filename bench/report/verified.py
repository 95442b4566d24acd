"""What `bench verify` found of a page's records, as the file beside the page tells it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from bench.errors import UserError
from bench.files import bytes_sha256
from bench.records.codec import dump_record
from bench.records.record import Record
from bench.report.numbers import plural
from bench.spec.recipe import Frozen

Result = Literal["equal", "close", "other", "failed"]


class Difference(Frozen):
    """A metric or curve of a cell that was executed again: its value then and now."""

    name: str
    then: str
    now: str


class Again(Frozen):
    """One cell that was executed again.

    ``equal``: every number bit for bit; ``close``: on another kind of machine, within the
    tolerance; ``other``: neither; ``failed``: it has no record.
    """

    cell: str
    result: Result
    same_machine: bool
    differences: tuple[Difference, ...] = ()
    problem: str = ""


class Rerun(Frozen):
    """Cells that were executed again: drawn by ``seed``, all of them if there are fewer."""

    asked: int
    seed: int
    tolerance: float
    cells: tuple[Again, ...]

    @property
    def right(self) -> int:
        """How many cells gave the numbers of their record."""
        return sum(cell.result in ("equal", "close") for cell in self.cells)


class Verified(Frozen):
    """What was checked of a page: on which UTC day, which records, how many files of each kind.

    ``records_sha256`` is of all records of the page; of other records this file says nothing.
    """

    day: str
    suite: str
    profile: str
    records_sha256: str
    checked: dict[str, int]
    findings: tuple[str, ...]
    rerun: Rerun | None = None


def records_digest(records: Iterable[Record]) -> str:
    """Return a digest of records, in whatever order they come."""
    texts = sorted(dump_record(record) for record in records)
    return bytes_sha256("".join(texts).encode())


def verified_name(stem: str) -> str:
    """Return the name of the file beside a page."""
    return f"{stem}.verified.json"


def load_verified(folder: Path, stem: str) -> Verified | None:
    """Return what was last found of a page; None where it was never verified.

    Raises
    ------
    UserError
        If the file is not what `bench verify` writes.
    """
    file = folder / verified_name(stem)
    try:
        return Verified.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError):
        raise UserError(
            "is not what `bench verify` writes", file=file, remedy="delete it, or verify again"
        ) from None


def verified_line(verified: Verified, records: Iterable[Record]) -> str:
    """Return what a page says of its last verification; nothing if it was of other records."""
    if verified.records_sha256 != records_digest(records):
        return ""
    n = plural(verified.checked.get("records", 0), "record")
    told = f"Verified on {verified.day}: every digest of {n}"
    told += f"; {plural(len(verified.findings), 'file')} damaged" if verified.findings else ""
    rerun = verified.rerun
    if rerun is not None:
        equal = sum(cell.result == "equal" for cell in rerun.cells)
        told += f"; {equal} of {len(rerun.cells)} cells executed again gave the same bits"
        if close := rerun.right - equal:
            told += f", {close} more on another kind of machine the same within {rerun.tolerance:g}"
    return f"{told}."
