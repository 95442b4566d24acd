"""What runs in a worker process: one job, then the end."""

from __future__ import annotations

import faulthandler
import fcntl
import json
import os
import pickle
import select
import signal
import struct
import sys
import threading
import time
import traceback
from dataclasses import asdict, dataclass

from bench.records.codec import dump_outcome, load_outcome
from bench.records.record import Outcome
from bench.scheduling.engines.call import call, failed
from bench.scheduling.engines.memory import Memory, allocator_peak

NUMBER = struct.Struct("=Q")
"""A worker writes its pid first, then its report's length, then its report."""


@dataclass(frozen=True)
class Report:
    """What a worker sends: plain JSON, so that the runner unpickles nothing."""

    outcome: Outcome
    seconds: float
    memory: Memory | None = None

    def dump(self) -> bytes:
        """Return the message."""
        memory = asdict(self.memory) if self.memory is not None else None
        head = json.dumps([self.seconds, memory])
        return f"{head}\n{dump_outcome(self.outcome)}".encode()

    @staticmethod
    def load(message: bytes) -> Report:
        """Return the report in a message."""
        head, _, text = message.partition(b"\n")
        try:
            seconds, memory = json.loads(head)
            taken = Memory(**memory) if memory is not None else None
        except TypeError as error:
            raise ValueError(f"no report: {error}") from None
        return Report(load_outcome(text), float(seconds), taken)


def main(payload: bytes, report: int, output: int, life: int) -> None:
    """Execute a job and send a :class:`Report`.

    Parameters
    ----------
    payload
        Pickled: the job; the target, ``package.module:function``, from a job to an outcome;
        variables to set before anything touches CUDA.
    report
        Write end of the pipe for the report.
    output
        Write end of the pipe that gets stdout and stderr.
    life
        Read end of a pipe whose only write end is the runner's: its end is the runner's death.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # A process group of its own: the runner ends it with all that it has started.
    os.setsid()
    for descriptor in (report, life):
        os.set_inheritable(descriptor, False)
    os.write(report, NUMBER.pack(os.getpid()))
    die_with_runner(life)
    redirect_output(output)
    start = time.monotonic()
    try:
        job, target, environment = pickle.loads(payload)
        os.environ.update(environment)
        outcome = call(target, job)
        seconds = time.monotonic() - start
        message = Report(outcome, seconds, allocator_peak()).dump()
    except Exception as error:
        seconds = time.monotonic() - start
        told = failed("error", f"{type(error).__name__}: {error}", traceback.format_exc())
        message = Report(told, seconds).dump()
    with open(report, "wb") as pipe:
        pipe.write(NUMBER.pack(len(message)) + message)


def redirect_output(output: int) -> None:
    """Send stdout and stderr, also of native code, to a pipe; dump tracebacks there on signals."""
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(line_buffering=True)
    faulthandler.enable(file=2)
    # A job that is stopped, by its time limit or by the user, says where it was.
    faulthandler.register(signal.SIGTERM, file=2, chain=True)


def die_with_runner(life: int) -> None:
    """Kill this process and all it has started when the runner's end of the pipe closes."""
    if not _ask_kernel_to_kill_group(life):
        threading.Thread(target=_watch, args=(life,), name="life", daemon=True).start()
    elif _closed(life):
        # The kernel tells of what comes, not of what has come before it was asked.
        os.killpg(0, signal.SIGKILL)


def _closed(life: int) -> bool:
    watched = select.poll()
    watched.register(life, select.POLLIN)
    return bool(watched.poll(0))


def _watch(life: int) -> None:
    os.read(life, 1)
    os.killpg(0, signal.SIGKILL)


def _ask_kernel_to_kill_group(life: int) -> bool:
    # A thread would need the GIL, which native code may hold for long. Linux can send a signal of
    # our choice to our group by itself when the pipe closes; the owner belongs to the open file,
    # which all workers share, so each opens its own.
    if not hasattr(fcntl, "F_SETSIG"):
        return False
    try:
        own = os.open(f"/proc/self/fd/{life}", os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return False
    fcntl.fcntl(own, fcntl.F_SETOWN, -os.getpgrp())
    fcntl.fcntl(own, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(own, fcntl.F_SETFL, fcntl.fcntl(own, fcntl.F_GETFL) | os.O_ASYNC)
    return True
