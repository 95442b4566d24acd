"""A terminal of 80 columns and 24 lines that remembers what it showed."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence

import pytest
from rich.console import Console

pyte = pytest.importorskip("pyte", reason="pyte is not installed")
COLUMNS, LINES = 80, 24
# Sequences that move the cursor, colour or erase.
_STEERING = re.compile(r"\x1b(?:\[[0-9;?]*[A-Za-z]|[()][A-Z0-9]|[78=>])")


class Terminal(io.StringIO):
    """What is written to it moves a cursor, as in a terminal; what leaves it at the top is kept."""

    def __init__(self, columns: int = COLUMNS, lines: int = LINES) -> None:
        super().__init__()
        self._screen = pyte.HistoryScreen(columns, lines, history=5000)
        self._stream = pyte.Stream(self._screen)
        self._written: list[str] = []

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self._written.append(text)
        # A terminal's line discipline returns the carriage.
        self._stream.feed(text.replace("\r\n", "\n").replace("\n", "\r\n"))
        return len(text)

    def console(self) -> Console:
        return Console(
            file=self, force_terminal=True, width=self._screen.columns, height=self._screen.lines
        )

    @property
    def lines(self) -> list[str]:
        """What was written, line by line, as long as each was before the screen broke it."""
        return re.split(r"[\r\n]+", _STEERING.sub("", "".join(self._written)))

    @property
    def screen(self) -> str:
        """What is on the screen now, without the blanks at its lines' ends."""
        return "\n".join(line.rstrip() for line in self._screen.display).rstrip()

    @property
    def scrolled(self) -> str:
        """What has scrolled away at the top, and the screen."""
        above = (
            "".join(line[i].data for i in range(self._screen.columns)).rstrip()
            for line in self._screen.history.top
        )
        return "\n".join([*above, self.screen])


def watch(
    command: Sequence[object],
    cwd: os.PathLike[str],
    environment: Mapping[str, str],
    seconds: float = 120,
) -> tuple[int, list[str], Terminal]:
    """Run a command in a terminal; return its exit code, each screen that it drew, and the last."""
    terminal, screens = Terminal(), []
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    environment = {**environment, "TERM": "xterm-256color"}
    environment.pop("COLUMNS", None)
    process = subprocess.Popen(
        [str(word) for word in command],
        cwd=cwd,
        env=environment,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    end = time.monotonic() + seconds
    try:
        while time.monotonic() < end:
            if select.select([ours], [], [], 0.1)[0]:
                try:
                    data = os.read(ours, 65536)
                except OSError:
                    # The other side is closed: the command has ended.
                    break
                terminal.write(data.decode(errors="replace"))
                screens.append(terminal.screen)
        return process.wait(timeout=max(end - time.monotonic(), 1)), screens, terminal
    finally:
        process.kill()
        os.close(ours)
