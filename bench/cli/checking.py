"""Runs the checks of parts as cells run: in a process of its own, each with a time limit."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.import_path import with_package

if TYPE_CHECKING:
    from bench.spec.parts import PartKey

# What fails where a part ends its process, or holds it.
_PROCESS = "process"
# Seconds for the imports of torch and timm, on however slow a disk.
_BEGIN = 600.0


@dataclass(frozen=True)
class Verdict:
    """One check of a part; ``detail`` says what failed, or what was found or left out."""

    part: PartKey
    check: str
    passed: bool
    detail: str = ""


def verdicts(
    parts: Sequence[PartKey], plugins: Sequence[str], time_limit: float
) -> Iterator[Verdict]:
    """Yield the verdicts on parts as they come; an end of the process is a failed check.

    Parameters
    ----------
    time_limit
        Seconds a check may take.
    """
    left = list(parts)
    while left:
        ended = None
        for verdict in _of_one_process(left, plugins, time_limit):
            yield verdict
            if verdict.check == _PROCESS:
                ended = verdict.part
        # Those after the one that ended its process have another.
        left = left[left.index(ended) + 1 :] if ended is not None else []


def _of_one_process(
    parts: Sequence[PartKey], plugins: Sequence[str], time_limit: float
) -> Iterator[Verdict]:
    job = json.dumps({"parts": parts, "plugins": plugins})
    reading, writing = os.pipe()
    # -P: a file of the user's in this folder is not taken for a module of that name.
    command = [sys.executable, "-P", "-m", "bench.parts.checks.worker", str(writing), job]
    # Threads as of cells.
    environment = {**with_package(), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, pass_fds=[writing], start_new_session=True, env=environment)
    os.close(writing)
    part, running = parts[0], "import"
    try:
        with os.fdopen(reading, "rb", buffering=0) as lines:
            told = _Lines(lines.fileno())
            limit = _BEGIN
            while (line := told.next(limit)) is not None:
                limit = time_limit
                if "ended" in line:
                    return
                if "part" in line:
                    kind, name = line["part"]
                    part = (kind, name)
                running = line.get("running", running)
                if "check" in line:
                    yield Verdict(part, line["check"], line["passed"], line["detail"])
        if told.late:
            detail = f"{running} has not ended after {limit:g} s"
        else:
            detail = f"the process ended within {running} ({_ending(process.wait())})"
        yield Verdict(part, _PROCESS, False, detail)
    finally:
        # With all that it has started.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


class _Lines:
    """Lines of JSON from a pipe, each within a time limit."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._read = b""
        self.late = False

    def next(self, seconds: float) -> dict[str, Any] | None:
        """Return the next line; None at the end, or if it is late."""
        until = time.monotonic() + seconds
        while b"\n" not in self._read:
            ready, _, _ = select.select(
                [self._descriptor], [], [], max(0, until - time.monotonic())
            )
            if not ready:
                self.late = True
                return None
            more = os.read(self._descriptor, 65536)
            if not more:
                return None
            self._read += more
        line, _, self._read = self._read.partition(b"\n")
        found: dict[str, Any] = json.loads(line)
        return found


def _ending(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"by {signal.Signals(-code).name}"
