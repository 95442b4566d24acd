"""The local engine: one process a cell, forked from a server that has torch imported."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import wait

from bench.records.record import Failure, Outcome
from bench.scheduling.device import Device
from bench.scheduling.engines.call import failed
from bench.scheduling.engines.devices import devices
from bench.scheduling.engines.engine import TARGET, Ended, EngineOptions, cancelled
from bench.scheduling.engines.forking import Nursery
from bench.scheduling.engines.memory import Processes
from bench.scheduling.engines.worker import Worker
from bench.scheduling.job import Job


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
        Seconds a process may take to go on with a report it has begun, and to end after it.
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
        # Of another machine's processes the driver here knows nothing.
        on_gpu = any(device.here for device in self.devices)
        self._processes = Processes() if on_gpu else None
        self._workers: list[Worker] = []
        self._stillborn: list[Ended] = []
        self._time_limit = float("inf") if time_limit is None else time_limit
        self._grace = grace
        self._linger = linger
        self._heard: list[int] = []

    def listen(self, news: int) -> None:
        """Let :meth:`poll` return, with nothing, also when a descriptor is readable."""
        self._heard = [news]

    def start(self, job: Job, device: Device) -> None:
        """Start a job's process; that none can be started is the job's failure.

        Raises
        ------
        NoRoom
            If the system has no room for one now.
        """
        try:
            process = self._nursery.start(job, {"CUDA_VISIBLE_DEVICES": device.visible})
        except OSError as error:
            outcome = failed("exit", f"its process could not be started: {error}")
            self._stillborn.append(Ended(job, outcome, 0.0))
            return
        # The fork server's own start is not the job's time.
        started = time.monotonic()
        if self._processes is not None:
            self._processes.begin(process.pid)
        self._workers.append(Worker(job, process, started, started + self._time_limit))

    def poll(self, timeout: float) -> list[Ended]:
        """Return what has ended, waiting up to ``timeout`` seconds for the first."""
        end = time.monotonic() + timeout
        while True:
            ended = self._collect()
            left = end - time.monotonic()
            if ended or left <= 0 or self._wait(left):
                return ended

    def stop(self, hurry: Callable[[], bool] = lambda: False) -> list[Ended]:
        """End all processes: SIGTERM, after the grace SIGKILL. At once if ``hurry()``."""
        for worker in self._workers:
            if not worker.stopped:
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
        if self._processes is not None:
            self._processes.close()
        self._nursery.close()

    def _wait(self, timeout: float) -> bool:
        """Wait for news of workers, or for what else is listened to; return whether that came."""
        nearest = min((w.deadline for w in self._workers), default=float("inf"))
        timeout = max(0.0, min(timeout, nearest - time.monotonic()))
        pipes = (pipe for worker in self._workers for pipe in worker.pipes)
        found = wait([*self._nursery.news, *pipes, *self._heard], timeout)
        return any(news in found for news in self._heard)

    def _collect(self) -> list[Ended]:
        ended, self._stillborn = self._stillborn, []
        if self._processes is not None:
            self._processes.look()
        for worker in list(self._workers):
            self._look_at(worker)
            code = self._nursery.exit_code(worker.process)
            if code is not None:
                self._workers.remove(worker)
                pid = worker.process.pid
                peak = self._processes.end(pid) if self._processes is not None else None
                ended.append(worker.end(code, peak))
        return ended

    def _look_at(self, worker: Worker) -> None:
        now = time.monotonic()
        if worker.receive() and worker.reporting:
            # Its job has ended: the limit of that is over, if it was not stopped before.
            deadline = now + self._linger
            worker.deadline = min(worker.deadline, deadline) if worker.stopped else deadline
        if now < worker.deadline:
            return
        if worker.reporting or worker.stopped:
            worker.signal(signal.SIGKILL)
            worker.deadline = float("inf")
        else:
            message = f"stopped after {self._time_limit:g} seconds, its time limit"
            self._end(worker, Outcome("timed-out", failure=Failure("time-limit", message)))

    def _end(self, worker: Worker, outcome: Outcome) -> None:
        worker.stop(outcome)
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
