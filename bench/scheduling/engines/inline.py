"""The inline engine: this process, one job after another. For debugging and small runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from bench.errors import UserError
from bench.scheduling.device import Device
from bench.scheduling.engines.call import call
from bench.scheduling.engines.devices import devices
from bench.scheduling.engines.engine import TARGET, Ended, EngineOptions, cancelled
from bench.scheduling.job import Job


class InlineEngine:
    """Executes each job in :meth:`start`. A crash ends the run; time limits are not kept."""

    blocking = True

    def __init__(self, device: Device | None = None, *, target: str = TARGET) -> None:
        self.devices = (replace(device or Device("cpu", "", 1), slots=1),)
        self._target = target
        self._ended: list[Ended] = []

    def start(self, job: Job, device: Device) -> None:
        """Execute a job; an interrupt makes it cancelled."""
        start = time.monotonic()
        try:
            outcome = call(self._target, job)
        except KeyboardInterrupt:
            outcome = cancelled()
        self._ended.append(Ended(job, outcome, time.monotonic() - start))

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


def inline_engine(options: EngineOptions) -> InlineEngine:
    """Return the engine on the first device there is.

    Raises
    ------
    UserError
        If a time limit is asked for, or a GPU where there is none.
    """
    if options.time_limit is not None:
        raise UserError("the inline engine has no time limit", remedy="use --engine local")
    return InlineEngine(devices(options.device, workers=1)[0])
