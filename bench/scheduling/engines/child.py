"""What runs in a worker process: one job, then the end."""

from __future__ import annotations

import faulthandler
import fcntl
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from bench.records.codec import dump_outcome, load_outcome
from bench.records.record import Outcome
from bench.scheduling.engines.call import call, failed
from bench.scheduling.job import Job


@dataclass(frozen=True)
class Report:
    """What a worker sends: plain JSON, so that the runner unpickles nothing."""

    outcome: Outcome
    seconds: float

    def dump(self) -> bytes:
        """Return the message."""
        return f"{self.seconds!r}\n{dump_outcome(self.outcome)}".encode()

    @staticmethod
    def load(message: bytes) -> Report:
        """Return the report in a message."""
        seconds, _, text = message.partition(b"\n")
        return Report(load_outcome(text), float(seconds))


def main(
    job: Job,
    target: str,
    log: Path,
    environment: Mapping[str, str],
    life: Connection,
    report: Connection,
) -> None:
    """Execute a job and send a :class:`Report`.

    Parameters
    ----------
    target
        ``package.module:function``, from a job to an outcome.
    log
        File that gets stdout and stderr.
    environment
        Variables to set before anything touches CUDA.
    life
        Read end of a pipe whose only write end is the runner's: its end is the runner's death.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # A process group of its own: the runner ends it with all that it has started.
    os.setsid()
    die_with_runner(life)
    os.environ.update(environment)
    start = time.monotonic()
    try:
        redirect_output(log)
        outcome = call(target, job)
        seconds = time.monotonic() - start
        message = Report(outcome, seconds).dump()
    except Exception as error:
        seconds = time.monotonic() - start
        told = failed("error", f"{type(error).__name__}: {error}", traceback.format_exc())
        message = Report(told, seconds).dump()
    report.send_bytes(message)
    report.close()


def redirect_output(log: Path) -> None:
    """Send stdout and stderr, also of native code, to a file; dump tracebacks there on signals."""
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o666)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    os.close(handle)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(line_buffering=True)
    faulthandler.enable(file=2)
    # A job that is stopped, by its time limit or by the user, says where it was.
    faulthandler.register(signal.SIGTERM, file=2, chain=True)


def die_with_runner(life: Connection) -> None:
    """Kill this process and all it has started when the runner's end of the pipe closes."""
    _ask_kernel_to_kill_group(life)

    def watch() -> None:
        life.poll(None)
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=watch, name="life", daemon=True).start()


def _ask_kernel_to_kill_group(life: Connection) -> None:
    # The thread needs the GIL, which native code may hold for long. Linux can send a signal of
    # our choice to our group by itself when the pipe closes; the owner belongs to the open file,
    # which all workers share, so each opens its own.
    if not hasattr(fcntl, "F_SETSIG"):
        return
    try:
        own = os.open(f"/proc/self/fd/{life.fileno()}", os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return
    fcntl.fcntl(own, fcntl.F_SETOWN, -os.getpgrp())
    fcntl.fcntl(own, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(own, fcntl.F_SETFL, fcntl.fcntl(own, fcntl.F_GETFL) | os.O_ASYNC)
