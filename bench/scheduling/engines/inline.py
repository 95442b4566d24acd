"""The inline engine: this process, one job after another. For debugging and small runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from bench.errors import UserError
from bench.scheduling.device import Device
from bench.scheduling.engines.call import call, failed
from bench.scheduling.engines.devices import devices
from bench.scheduling.engines.engine import TARGET, Ended, EngineOptions, cancelled
from bench.scheduling.engines.failures import kind_of
from bench.scheduling.engines.local import LocalEngine
from bench.scheduling.engines.memory import allocator_peak, forget_peak
from bench.scheduling.engines.origin import has_users_part
from bench.scheduling.job import Job

# Seconds between looks at a process.
_POLL = 0.2


class InlineEngine:
    """Executes each job in :meth:`start`. A crash ends the run; time limits are not kept.

    A cell with a user's part is executed in a process of its own all the same: what importing and
    running the part changes in a process would change the numbers of the cells after it.
    """

    blocking = True

    def __init__(self, device: Device | None = None, *, target: str = TARGET) -> None:
        self.devices = (replace(device or Device("cpu", "", 1), slots=1),)
        self._target = target
        self._local: LocalEngine | None = None
        self._ended: list[Ended] = []

    def start(self, job: Job, device: Device) -> None:
        """Execute a job; an interrupt makes it cancelled.

        Raises
        ------
        NoRoom
            If it needs a process of its own and the system has no room for one now.
        """
        start = time.monotonic()
        try:
            if has_users_part(job):
                self._ended += self._apart(job, device)
                return
            forget_peak()
            outcome = call(self._target, job)
        except UserError as error:
            outcome = failed(kind_of(error), str(error))
        except KeyboardInterrupt:
            outcome = cancelled()
        seconds = time.monotonic() - start
        self._ended.append(Ended(job, outcome, seconds, allocator_peak()))

    def _apart(self, job: Job, device: Device) -> list[Ended]:
        self._local = self._local or LocalEngine(self.devices, target=self._target)
        self._local.start(job, device)
        try:
            while not (ended := self._local.poll(_POLL)):
                pass
        except KeyboardInterrupt:
            ended = self._local.stop()
        return ended

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
        """End what has been started in a process of its own."""
        if self._local is not None:
            self._local.close()
            self._local = None


def inline_engine(options: EngineOptions) -> InlineEngine:
    """Return the engine on the first device there is.

    Raises
    ------
    UserError
        If a time limit is asked for, or a GPU where there is none.
    """
    if options.time_limit is not None:
        raise UserError("the inline engine has no time limit", remedy="use --engine local")
    return InlineEngine(devices(options.device, workers=1, slots_per_gpu=1)[0])
