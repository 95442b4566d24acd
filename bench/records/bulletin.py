"""Bulletins: each runner tells the others which cells it is done with; that decides nothing.

Who reads one spares itself a look at a cell's folder: at a cell that another has it looks when that
one tells of it, and a cell that it would begin is looked at later, if somebody else has done it.
"""

from __future__ import annotations

import contextlib
import os
import random

from bench.records.layout import Layout

SUFFIX = ".done"
_LONGEST = 64
# Of very many only so many are read at a time: else all together cost the square of their number.
_AT_ONCE = 64


class Bulletin:
    """A runner's own bulletin, and what it has read of the others'.

    The file lies beside the owner file, and goes when the runner ends: its cells are then looked
    at as those of a runner that is gone. It is never waited for to reach the disk. That it cannot
    be written or read costs looks, and nothing else.

    Parameters
    ----------
    run
        Id of the run.
    """

    def __init__(self, layout: Layout, run: str) -> None:
        self._folder = layout.runners
        self._name = f"{run}{SUFFIX}"
        self._read: dict[str, int] = {}
        self._file: int | None = None
        with contextlib.suppress(OSError):
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            self._file = os.open(self._folder / self._name, flags, 0o666)

    def tell(self, cell_id: str) -> None:
        """Tell that this runner is done with a cell, however that ended."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                os.write(self._file, f"{cell_id}\n".encode())

    def news(self) -> tuple[set[str], set[str]]:
        """Return the cells of which others have told since the last call, and all that tell.

        Of more than 64 others it is any 64: the rest is told by a later call.
        """
        told: set[str] = set()
        runs: set[str] = set()
        with contextlib.suppress(OSError):
            names = [name for name in os.listdir(self._folder) if name.endswith(SUFFIX)]
            names = [name for name in names if name != self._name]
            runs.update(name.removesuffix(SUFFIX) for name in names)
            for name in random.sample(names, min(len(names), _AT_ONCE)):
                told.update(self._new_lines(name))
        return told, runs

    def _new_lines(self, name: str) -> list[str]:
        with contextlib.suppress(OSError), open(self._folder / name, "rb") as file:
            file.seek(self._read.get(name, 0))
            content = file.read()
            whole = content.rfind(b"\n") + 1
            self._read[name] = self._read.get(name, 0) + whole
            lines = content[:whole].decode(errors="replace").split()
            return [line for line in lines if line.isalnum() and len(line) <= _LONGEST]
        return []

    def close(self) -> None:
        """Take it away."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
            with contextlib.suppress(OSError):
                (self._folder / self._name).unlink()
