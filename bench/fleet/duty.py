"""What a pilot's runner does beside running: it refuses what is not the fleet's work, and tells."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from bench.errors import UserError
from bench.files import write_whole
from bench.fleet.fleet import Fleets, Work
from bench.records.record import Failure
from bench.scheduling.progress import Progress, Tally
from bench.spec.cell import PlannedCell


@dataclass(frozen=True)
class Report:
    """How a pilot's runner is, in its own words.

    Attributes
    ----------
    job, restart
        Slurm's name of the job, and how often it was put back into the queue.
    host, pid
        Of the runner.
    node
        Slurm's name of the machine.
    done, failed
        Cells that this runner brought to their end.
    ended
        Whether it has left.
    refused
        Why it has computed nothing; empty where it does.
    """

    job: str
    restart: int
    host: str
    pid: int
    node: str
    done: int = 0
    failed: int = 0
    ended: bool = False
    refused: str = ""


def report_here(environment: Mapping[str, str]) -> Report:
    """Return the report of this process, a runner that has just begun."""
    array, task = environment.get("SLURM_ARRAY_JOB_ID"), environment.get("SLURM_ARRAY_TASK_ID")
    return Report(
        job=f"{array}_{task}" if array and task else environment.get("SLURM_JOB_ID", "none"),
        restart=int(environment.get("SLURM_RESTART_COUNT", "0")),
        host=socket.gethostname(),
        pid=os.getpid(),
        node=environment.get("SLURMD_NODENAME", ""),
    )


class Duty(Progress):
    """Tells a fleet how a run goes, beside whoever else is told.

    Parameters
    ----------
    folder
        Where the fleet's pilots say how they are.
    inner
        Who else is told.
    every
        Seconds between reports.
    """

    def __init__(self, folder: Path, inner: Progress, *, every: float = 5.0) -> None:
        self._report = report_here(os.environ)
        self._folder = folder
        self._inner = inner
        self._every = every
        self._next = 0.0

    def begin(self) -> None:
        """Say that the run begins."""
        _tell(self._folder, self._report)
        self._inner.begin()

    def update(self, tally: Callable[[], Tally]) -> None:
        """Say how far it is, if it is time."""
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + self._every
            self._count(tally())
        self._inner.update(tally)

    def failed(self, planned: PlannedCell, attempt: int, failure: Failure, again: bool) -> None:
        """Pass it on."""
        self._inner.failed(planned, attempt, failure, again)

    def note(self, text: str) -> None:
        """Pass it on."""
        self._inner.note(text)

    def end(self, tally: Tally) -> None:
        """Say how it ended."""
        self._count(tally, ended=True)
        self._inner.end(tally)

    def _count(self, tally: Tally, *, ended: bool = False) -> None:
        report = replace(self._report, done=tally.done, failed=tally.failed, ended=ended)
        if report != self._report:
            self._report = report
            _tell(self._folder, report)


def check(folder: Path, expected: Work, here: Work) -> None:
    """Refuse to compute what the submitting side did not mean, and say so in a report.

    Raises
    ------
    UserError
        If code, versions or cells here are others than there.
    """
    if differs := expected.differs(here):
        _tell(folder, replace(report_here(os.environ), ended=True, refused=differs))
        raise UserError(
            f"this pilot computes nothing: it is not what was submitted: {differs}",
            remedy="install the same here as there, or cancel the fleet and submit again",
        )


def _tell(folder: Path, report: Report) -> None:
    # What is told costs no cell.
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"{report.job}.{report.restart}.json"
        write_whole(file, json.dumps(asdict(report)) + "\n", durable=False)


def reports_of(fleets: Fleets, fleet_id: str) -> list[Report]:
    """Return what a fleet's pilots have told, by job and restart."""
    found = []
    for file in fleets.reports(fleet_id).glob("*.json"):
        with contextlib.suppress(OSError, ValueError, TypeError):
            found.append(Report(**json.loads(file.read_text())))
    return sorted(found, key=lambda report: (report.job, report.restart))
