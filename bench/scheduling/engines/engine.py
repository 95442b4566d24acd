"""What every engine offers: start a job where it is told, tell what has ended, stop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from bench.records.record import Failure, Outcome, Usage
from bench.scheduling.device import Device
from bench.scheduling.engines.memory import Memory
from bench.scheduling.job import Job

TARGET = "bench.training.execute:execute"
Choice = Literal["auto", "cpu", "cuda"]


@dataclass(frozen=True)
class EngineOptions:
    """What the user asks of an engine.

    Attributes
    ----------
    device
        ``auto``, or one kind only.
    workers
        Jobs at once on the CPU; None leaves it to the engine.
    slots_per_gpu
        Jobs at once on each GPU; None leaves it to the runner, which packs as many as fit.
    time_limit
        Seconds a job may take; none where it is None.
    address
        Of the cluster, for an engine that connects to one.
    """

    device: Choice = "auto"
    workers: int | None = None
    slots_per_gpu: int | None = None
    time_limit: float | None = None
    address: str | None = None


@dataclass(frozen=True)
class Ended:
    """A job that has ended.

    Attributes
    ----------
    seconds
        Wall time inside the target; for a process that died, since its start.
    memory
        What the job took of its GPU; None of an engine that does not tell.
    usage
        What of its device it is recorded with, which the runner says and not the engine.
    lost
        Whether it was cancelled only because its machine was lost: it is to run again, which is
        none of its retries.
    """

    job: Job
    outcome: Outcome
    seconds: float
    memory: Memory | None = None
    usage: Usage | None = None
    lost: bool = False


class NoRoom(Exception):
    """A job cannot be started now, for want of processes, descriptors or memory; the text says it.

    It is no failure of the job: the runner starts it when something else has ended.
    """


class Engine(Protocol):
    """Executes jobs where the runner puts them.

    The runner keeps count of the slots: it starts no more jobs on a device than it has, and one
    with ``job.alone`` only on an idle device, which then gets no other.
    """

    @property
    def devices(self) -> Sequence[Device]:
        """What jobs can run on now; machines may come and go."""

    @property
    def blocking(self) -> bool:
        """Whether ``start`` returns only when the job has ended."""

    def start(self, job: Job, device: Device) -> None:
        """Start a job on one of the devices; what keeps it from starting is its failure.

        Raises
        ------
        NoRoom
            If it can be started later; nothing of it is left.
        """

    def poll(self, timeout: float) -> list[Ended]:
        """Return what has ended, waiting up to ``timeout`` seconds for the first."""

    def stop(self, hurry: Callable[[], bool] = lambda: False) -> list[Ended]:
        """End all jobs, at once if ``hurry()``; return them, cancelled unless they had ended."""

    def close(self) -> None:
        """Leave nothing behind."""


def cancelled() -> Outcome:
    """Return the outcome of a job that the user stopped."""
    return Outcome("cancelled", failure=Failure("interrupt", "stopped before it ended"))
