"""The local engine: one process a cell, forked from a server that has torch imported."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from bench.records.layout import CellFolder
from bench.records.record import Failure, Outcome
from bench.scheduling.device import Device
from bench.scheduling.engines.call import failed
from bench.scheduling.engines.child import Report
from bench.scheduling.engines.devices import devices
from bench.scheduling.engines.engine import TARGET, Ended, EngineOptions, cancelled
from bench.scheduling.engines.forking import Nursery
from bench.scheduling.job import Job

_TAIL = 4000


@dataclass
class _Worker:
    """A process and what is known of it."""

    job: Job
    log: Path
    process: ForkServerProcess
    pipe: Connection | None
    started: float
    deadline: float
    """Monotonic time of the next signal."""
    report: Report | None = None
    stopped: Outcome | None = None
    """What the job ends as because it was stopped."""
    signals: list[int] = field(default_factory=list)

    def receive(self) -> None:
        """Read the report if it has come; forget the pipe once it is of no more use."""
        if self.pipe is None or not self.pipe.poll(0):
            return
        with contextlib.suppress(EOFError, OSError, ValueError):
            self.report = Report.load(self.pipe.recv_bytes())
        self.pipe.close()
        self.pipe = None

    def send(self, number: int) -> None:
        """Signal the process and all it has started."""
        self.signals.append(number)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            assert self.process.pid is not None
            os.killpg(self.process.pid, number)

    def ended(self) -> Ended:
        """Return the job with its outcome, after the process is gone."""
        self.receive()
        if self.pipe is not None:
            self.pipe.close()
        seconds = time.monotonic() - self.started
        # An outcome that was reported before a stop came is one.
        outcome = self.stopped
        if self.report is not None:
            outcome, seconds = self.report.outcome, self.report.seconds
        if outcome is None:
            outcome = _died(self.process.exitcode, self.log)
        elif outcome.status == "timed-out" and outcome.failure is not None:
            outcome = replace(outcome, failure=replace(outcome.failure, detail=_tail(self.log)))
        return Ended(self.job, outcome, seconds)


class LocalEngine:
    """Executes jobs in processes of this machine.

    A job's process has its own ``CUDA_VISIBLE_DEVICES`` and log, ends with the runner, and is
    ended when it exceeds its time.

    Parameters
    ----------
    devices
        Such as :func:`bench.scheduling.engines.devices.devices` finds.
    target
        ``package.module:function``, from a job to an outcome.
    preloaded
        Modules to import once for all workers; the target's where it is None.
    time_limit
        Seconds a job may take; none where it is None.
    grace
        Seconds between asking a process to end and killing it.
    linger
        Seconds a process may take to end after its report.
    """

    blocking = False

    def __init__(
        self,
        devices: Sequence[Device],
        *,
        target: str = TARGET,
        preloaded: Sequence[str] | None = None,
        time_limit: float | None = None,
        grace: float = 3.0,
        linger: float = 10.0,
    ) -> None:
        modules = [target.partition(":")[0]] if preloaded is None else preloaded
        self._nursery = Nursery(target, modules)
        self.devices = tuple(devices)
        self._workers: list[_Worker] = []
        self._stillborn: list[Ended] = []
        self._time_limit = float("inf") if time_limit is None else time_limit
        self._grace = grace
        self._linger = linger

    def start(self, job: Job, device: Device) -> None:
        """Start a job's process; that none can be started is the job's failure."""
        log = CellFolder(str(job.folder)).log(job.attempt)
        started = time.monotonic()
        environment = {"CUDA_VISIBLE_DEVICES": device.visible}
        try:
            process, pipe = self._nursery.start(job, log, environment)
        except (OSError, EOFError) as error:
            outcome = failed("exit", f"its process could not be started: {error!r}")
            self._stillborn.append(Ended(job, outcome, 0.0))
            return
        deadline = started + self._time_limit
        self._workers.append(_Worker(job, log, process, pipe, started, deadline))

    def poll(self, timeout: float) -> list[Ended]:
        """Return what has ended, waiting up to ``timeout`` seconds for the first."""
        end = time.monotonic() + timeout
        while True:
            ended = self._collect()
            left = end - time.monotonic()
            if ended or left <= 0:
                return ended
            self._wait(left)

    def stop(self, hurry: Callable[[], bool] = lambda: False) -> list[Ended]:
        """End all processes: SIGTERM, after the grace SIGKILL. At once if ``hurry()``."""
        for worker in self._workers:
            if worker.stopped is None:
                self._end(worker, cancelled())
        ended = self._collect()
        while self._workers:
            if hurry():
                for worker in self._workers:
                    worker.deadline = 0.0
            self._wait(0.1)
            ended += self._collect()
        return ended

    def close(self) -> None:
        """Kill what still runs, and let the fork server go."""
        self.stop(lambda: True)
        self._nursery.close()

    def _wait(self, timeout: float) -> None:
        nearest = min((w.deadline for w in self._workers), default=float("inf"))
        timeout = max(0.0, min(timeout, nearest - time.monotonic()))
        pipes = [w.pipe for w in self._workers if w.pipe is not None]
        wait([*pipes, *(w.process.sentinel for w in self._workers)], timeout)

    def _collect(self) -> list[Ended]:
        ended, self._stillborn = self._stillborn, []
        for worker in list(self._workers):
            self._look_at(worker)
            if worker.process.exitcode is not None:
                # Whatever it has started and left behind goes with it.
                worker.send(signal.SIGKILL)
                self._workers.remove(worker)
                ended.append(worker.ended())
                worker.process.close()
        return ended

    def _look_at(self, worker: _Worker) -> None:
        now = time.monotonic()
        if worker.report is None:
            worker.receive()
            if worker.report is not None:
                worker.deadline = min(worker.deadline, now + self._linger)
        if now < worker.deadline:
            return
        if worker.report is not None or worker.stopped is not None:
            worker.send(signal.SIGKILL)
            worker.deadline = float("inf")
        else:
            message = f"stopped after {self._time_limit:g} seconds, its time limit"
            self._end(worker, Outcome("timed-out", failure=Failure("time-limit", message)))

    def _end(self, worker: _Worker, outcome: Outcome) -> None:
        worker.stopped = outcome
        worker.send(signal.SIGTERM)
        worker.deadline = time.monotonic() + self._grace


def local_engine(options: EngineOptions) -> LocalEngine:
    """Return the engine on the GPUs of this machine, or its CPU.

    Raises
    ------
    UserError
        If a GPU is asked for and there is none.
    """
    found = devices(options.device, workers=options.workers, slots_per_gpu=options.slots_per_gpu)
    return LocalEngine(found, time_limit=options.time_limit)


def _died(code: int | None, log: Path) -> Outcome:
    if code is not None and code < 0:
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        hint = " (by the system, if it ran out of memory)" if -code == signal.SIGKILL else ""
        return failed("signal", f"killed by {name}{hint}", _tail(log))
    return failed("exit", f"exited with code {code} and no outcome", _tail(log))


def _tail(log: Path) -> str:
    try:
        with open(log, "rb") as file:
            file.seek(max(0, os.path.getsize(log) - _TAIL))
            return file.read().decode(errors="replace")
    except OSError:
        return ""
