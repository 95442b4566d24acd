"""What every engine offers: start a job, tell what has ended, stop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from bench.records.record import Outcome
from bench.scheduling.job import Job

TARGET = "bench.training.execute:execute"


@dataclass(frozen=True)
class Ended:
    """A job that has ended.

    Attributes
    ----------
    seconds
        Wall time inside the target; for a process that died, since its start.
    device
        Where it ran, one of the engine's ``devices``.
    """

    job: Job
    outcome: Outcome
    seconds: float
    device: str


class Engine(Protocol):
    """Executes jobs in slots. A job's ``device`` and ``threads`` are set by the engine."""

    @property
    def slots(self) -> int:
        """Number of jobs that run at once."""

    @property
    def devices(self) -> Sequence[str]:
        """Names of what the slots belong to; ``cpu`` is one."""

    @property
    def blocking(self) -> bool:
        """Whether ``start`` returns only when the job has ended."""

    def room(self, avoid: str | None = None) -> bool:
        """Return whether a job could start now, on another device than ``avoid``."""

    def idle(self, device: str) -> bool:
        """Return whether nothing runs on a device."""

    def start(self, job: Job, *, avoid: str | None = None, alone_on: str | None = None) -> None:
        """Start a job; with ``alone_on``, on that idle device, which then takes no other."""

    def poll(self, timeout: float) -> list[Ended]:
        """Return what has ended, waiting up to ``timeout`` seconds for the first."""

    def stop(self, hurry: Callable[[], bool] = lambda: False) -> list[Ended]:
        """End all jobs, at once if ``hurry()``; return them, cancelled unless they had ended."""

    def close(self) -> None:
        """Leave nothing behind."""
