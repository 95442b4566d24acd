"""Where everything lies in a store: the one place that knows a file's name."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import quote


@dataclass(frozen=True)
class Numbers:
    """Attempt numbers found in a cell's folder, ascending."""

    records: tuple[int, ...] = ()
    leases: tuple[int, ...] = ()
    logs: tuple[int, ...] = ()
    claims: tuple[int, ...] = ()

    @property
    def next(self) -> int:
        """First number above those of all records, leases and claims."""
        return max(self.highest_record, self.highest_lease, *self.claims[-1:]) + 1

    @property
    def highest_record(self) -> int:
        """Highest record's number, 0 without records."""
        return self.records[-1] if self.records else 0

    @property
    def highest_lease(self) -> int:
        """Highest lease's number, 0 without leases."""
        return self.leases[-1] if self.leases else 0


@dataclass(frozen=True)
class CellFolder:
    """Names of the files in one cell's folder."""

    # Text, since making paths is what takes the time when a hundred thousand folders are read.
    name: str

    @property
    def path(self) -> Path:
        """Return the folder."""
        return Path(self.name)

    def record_name(self, attempt: int) -> str:
        """Return the record of an attempt as text."""
        return f"{self.name}{os.sep}{attempt:04d}.json"

    def record(self, attempt: int) -> Path:
        """Return the record of an attempt."""
        return Path(self.record_name(attempt))

    def lease(self, attempt: int) -> Path:
        """Return the lease of an attempt."""
        return self.path / f"{attempt:04d}.lease"

    def claim(self, attempt: int) -> Path:
        """Return the claim of an attempt: the right to write its record, where it is contested."""
        return self.path / f"{attempt:04d}.claim"

    def log(self, attempt: int) -> Path:
        """Return the file that holds an attempt's stdout and stderr."""
        return self.path / f"{attempt:04d}.log"

    @property
    def progress(self) -> Path:
        """Return the file of a training's state on its way: of the cell, for its next attempt."""
        return self.path / "progress.safetensors"

    def artifact_path(self, attempt: int, name: str, suffix: str) -> Path:
        """Return where an attempt writes the artifact of a name: no other has this file."""
        return self.path / f"{attempt:04d}.{quote(name, safe='@')}{suffix}"

    def is_artifact(self, attempt: int, name: str, file: str) -> bool:
        """Return whether a file is one that :meth:`artifact_path` names, whatever its suffix."""
        return (
            file.startswith(f"{attempt:04d}.{quote(name, safe='@')}.") and Path(file).name == file
        )

    def artifact(self, file: str) -> Path:
        """Return an artifact by its file name, as a record tells it."""
        return self.path / file

    def numbers(self) -> Numbers:
        """Return the attempts that have left a file; none if there is no folder."""
        try:
            names = os.listdir(self.name)
        except FileNotFoundError:
            return Numbers()
        found: dict[str, list[int]] = {"json": [], "lease": [], "log": [], "claim": []}
        for name in names:
            number, _, kind = name.partition(".")
            if kind in found and number.isdigit():
                found[kind].append(int(number))
        records, leases, logs, claims = (tuple(sorted(n)) for n in found.values())
        return Numbers(records, leases, logs, claims)


@dataclass(frozen=True)
class Layout:
    """Names of the folders of a store."""

    root: Path

    @cached_property
    def _cells(self) -> str:
        return str(self.cells)

    @property
    def cells(self) -> Path:
        """Return the folder of all cells."""
        return self.root / "cells"

    @property
    def runners(self) -> Path:
        """Return the folder where each running runner keeps its owner file."""
        return self.root / "runners"

    @property
    def fleets(self) -> Path:
        """Return the folder of what was submitted to a cluster for this store."""
        return self.root / "fleets"

    @property
    def clock(self) -> Path:
        """Return the file that is touched to read the file server's clock."""
        return self.root / "clock"

    @property
    def carried(self) -> Path:
        """Return the folder of attestations that later code gives the bits of earlier code."""
        return self.root / "carried"

    @property
    def cleaning(self) -> Path:
        """Return the file that whoever cleans the store has locked."""
        return self.root / "cleaning"

    def settling(self, paper: str, suite: str, profile: str) -> Path:
        """Return the file of the rule by which a suite's claims are settled."""
        names = (quote(name, safe="") for name in (paper, suite, profile))
        return self.root / "settling" / f"{'.'.join(names)}.json"

    def cell(self, cell_id: str) -> CellFolder:
        """Return the folder of a cell."""
        return CellFolder(os.sep.join((self._cells, cell_id[:2], cell_id)))

    def present(self, cell_ids: Iterable[str]) -> set[str]:
        """Return those of the cells that have a folder; of many, by listing prefix folders once."""
        wanted = set(cell_ids)
        if len(wanted) <= 64:
            return {cell_id for cell_id in wanted if self.cell(cell_id).path.is_dir()}
        found: set[str] = set()
        for prefix in self._list(self.cells):
            found.update(wanted.intersection(self._list(self.cells / prefix)))
        return found

    def matching(self, prefix: str) -> list[str]:
        """Return the ids of all cells in the store that begin with ``prefix``, sorted."""
        folders = [f for f in self._list(self.cells) if f.startswith(prefix[:2])]
        return sorted(
            i for f in folders for i in self._list(self.cells / f) if i.startswith(prefix)
        )

    @staticmethod
    def _list(folder: Path) -> list[str]:
        try:
            return [name for name in os.listdir(folder) if not name.startswith(".")]
        except (FileNotFoundError, NotADirectoryError):
            return []
