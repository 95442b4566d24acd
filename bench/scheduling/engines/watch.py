"""What this process executes that is neither installed nor in a digest, by Python's audit events.

A look at ``sys.modules`` sees neither what was executed without being put there nor text that was
read from a file. Audit events tell of both; a hook cannot be taken away again, and so listens only
while a user's part may run.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from bench import sources
from bench.scheduling.engines.installed import installed_folders, is_installed

# Executes modules that it has generated, in a cache of its own.
_COMPILER = os.path.join("torch", "_inductor", "")
_OURS = os.path.join(os.path.dirname(sources.__file__), "")


class _Refused(ImportError):
    """Keeps a file from being executed; who began the watch tells the user of it."""


class Watch:
    """Notes the files that are executed though no digest is of them, and refuses them.

    Such a file is one whose code is executed, by ``import`` or otherwise; and, where a user's own
    file executes text (``exec``, ``eval``), each that it has read before.
    """

    def __init__(self) -> None:
        self._listening = False
        self._hooked = False
        self._deciding = False
        self._counted: frozenset[str] = frozenset()
        self._users: frozenset[str] = frozenset()
        self._modules: frozenset[str] | None = None
        # As sets that keep their order.
        self._read: dict[str, None] = {}
        self._strays: dict[str, None] = {}
        self._refused: list[str] = []

    def remember_modules(self) -> None:
        """Take what is imported now, before the first attempt, for the process's own."""
        if self._modules is None:
            self._modules = frozenset(sys.modules)

    def begin(self, counted: Iterable[Path], users: Iterable[Path]) -> None:
        """Begin to listen.

        Parameters
        ----------
        counted
            Files that a digest is of.
        users
            Those among them that are a user's: what they read may be what they execute.
        """
        self.remember_modules()
        # Before a user's part can change the paths that this is made of.
        installed_folders()
        self._counted, self._users = _places(counted), _places(users)
        self._read.clear()
        self._refused.clear()
        if not self._hooked:
            sys.addaudithook(self._hear)
            self._hooked = True
        self._listening = True

    def end(self) -> None:
        """Listen no more."""
        self._listening = False

    def refused(self) -> list[str]:
        """Return the files that were refused since the watch began."""
        return list(dict.fromkeys(self._refused))

    def strays(self) -> list[str]:
        """Return all files that were refused in this process, and those imported otherwise.

        The latter are modules without a source: bytecode, native code, what lies in an archive.
        """
        imported = (file for file in self._imported() if self._is_stray(file))
        return list(dict.fromkeys((*self._strays, *imported)))

    def _imported(self) -> Iterator[str]:
        for name, module in sorted(sys.modules.items()):
            spec = getattr(module, "__spec__", None)
            new = name not in (self._modules or ())
            if new and spec is not None and spec.has_location and spec.origin:
                yield os.path.abspath(spec.origin)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        # Called for each event of the process: most are none of ours.
        if (event != "exec" and event != "open") or not self._listening or self._deciding:
            return
        if event == "open":
            self._opened(arguments[0], arguments[2], sys._getframe(1))
        else:
            self._executed(arguments[0], sys._getframe(1))

    def _opened(self, path: object, flags: object, frame: FrameType | None) -> None:
        reads = not (isinstance(flags, int) and flags & os.O_ACCMODE == os.O_WRONLY)
        if not reads or not isinstance(path, str | bytes):
            return
        file = os.path.abspath(os.fsdecode(path))
        if file in self._read or self._is_counted(file) or file.startswith(installed_folders()):
            return
        # What Retable reads when a part asks for it, such as data, is not read by the part.
        while frame is not None and not frame.f_code.co_filename.startswith(_OURS):
            if frame.f_code.co_filename in self._users:
                self._read[file] = None
                return
            frame = frame.f_back

    def _executed(self, code: CodeType, frame: FrameType) -> None:
        by = frame.f_code.co_filename
        candidates = list(self._read) if by in self._users else []
        generated = by.startswith(tuple(folder + _COMPILER for folder in installed_folders()))
        if not (generated or code.co_filename.startswith("<")):
            candidates.append(os.path.abspath(code.co_filename))
        found = [f for f in candidates if os.path.isfile(f) and self._is_stray(f)]
        if found:
            self._strays |= dict.fromkeys(found)
            self._refused += found
            raise _Refused(f"{', '.join(found)} is in no digest of the cell's code")

    def _is_counted(self, file: str) -> bool:
        return file in self._counted or os.path.realpath(file) in self._counted

    def _is_stray(self, file: str) -> bool:
        if self._is_counted(file):
            return False
        # Looking for what is installed reads files, of which we would hear.
        self._deciding = True
        try:
            return not is_installed(file)
        finally:
            self._deciding = False


def _places(files: Iterable[Path]) -> frozenset[str]:
    return frozenset(place for f in files for place in (os.path.abspath(f), os.path.realpath(f)))


watch = Watch()
"""This process's: a hook is for good."""
