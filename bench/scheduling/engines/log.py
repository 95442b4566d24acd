"""An attempt's log: its first and its last part, however much it prints."""

from __future__ import annotations

import contextlib
import logging
import os
from pathlib import Path

log = logging.getLogger(__name__)

HEAD = TAIL = 1 << 20
"""Bytes kept of the beginning and of the end of an attempt's output."""


class CappedLog:
    """Writes a log as output comes, up to a limit; then keeps the end, and writes it at the close.

    That it cannot be written is said once, and is no failure of the attempt.

    Parameters
    ----------
    path
        Replaced if it is there.
    head, tail
        Bytes to keep of the beginning and of the end.
    """

    def __init__(self, path: Path, *, head: int = HEAD, tail: int = TAIL) -> None:
        self._path = path
        self._room = head
        self._tail = tail
        self._left_out = 0
        self._end = bytearray()
        self._file: int | None = None
        try:
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
        except OSError as error:
            self._give_up(error)

    @property
    def end(self) -> str:
        """The last part of the output, whether or not it could be written."""
        return self._end.decode(errors="replace")

    def write(self, output: bytes) -> None:
        """Add output."""
        self._end += output
        del self._end[: -self._tail]
        head, rest = output[: self._room], output[self._room :]
        self._room -= len(head)
        self._write(head)
        if rest and not self._left_out:
            self._write(b"\n[the log is full: its last part follows when the attempt has ended]\n")
        self._left_out += len(rest)

    def close(self) -> None:
        """Write the end of what was too long."""
        if self._left_out:
            last = bytes(self._end[-self._left_out :])
            self._write(b"[%d bytes are left out]\n%b" % (self._left_out - len(last), last))
        self._close()

    def _write(self, content: bytes) -> None:
        try:
            while content and self._file is not None:
                content = content[os.write(self._file, content) :]
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        log.warning("the log %s is not written: %s", self._path, error.strerror or error)
        self._close()

    def _close(self) -> None:
        if self._file is not None:
            # A network file system may say only now that its disk is full.
            with contextlib.suppress(OSError):
                os.close(self._file)
            self._file = None
