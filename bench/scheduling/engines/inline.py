"""The inline engine: this process, one job after another. For debugging and small runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from bench.records.record import Failure, Outcome
from bench.scheduling.engines.call import call
from bench.scheduling.engines.devices import Device
from bench.scheduling.engines.engine import TARGET, Ended
from bench.scheduling.job import Job


class InlineEngine:
    """Executes each job in :meth:`start`. A crash ends the run; time limits are not kept."""

    slots = 1
    blocking = True

    def __init__(self, device: Device | None = None, *, target: str = TARGET) -> None:
        self._device = device or Device("cpu", "", 1)
        self._target = target
        self._ended: list[Ended] = []

    @property
    def devices(self) -> tuple[str, ...]:
        """Return the one device."""
        return (self._device.name,)

    def room(self, avoid: str | None = None) -> bool:
        """Return whether the last job has been told of."""
        return not self._ended and avoid != self._device.name

    def idle(self, device: str) -> bool:
        """Return whether the last job has been told of."""
        return not self._ended

    def start(self, job: Job, *, avoid: str | None = None, alone_on: str | None = None) -> None:
        """Execute a job; an interrupt makes it cancelled."""
        job = replace(job, device=self._device.kind, threads=1)
        start = time.monotonic()
        try:
            outcome = call(self._target, job)
        except KeyboardInterrupt:
            outcome = cancelled()
        self._ended.append(Ended(job, outcome, time.monotonic() - start, self._device.name))

    def poll(self, timeout: float) -> list[Ended]:
        """Return the last job."""
        ended, self._ended = self._ended, []
        if not ended:
            time.sleep(timeout)
        return ended

    def stop(self, hurry: Callable[[], bool] = lambda: False) -> list[Ended]:
        """Return the last job if it has not been told of."""
        return self.poll(0)

    def close(self) -> None:
        """Nothing is left behind."""


def cancelled() -> Outcome:
    """Return the outcome of a job that the user stopped."""
    return Outcome("cancelled", failure=Failure("interrupt", "stopped before it ended"))
