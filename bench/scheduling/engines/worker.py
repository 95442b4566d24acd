"""A worker as the local engine sees it: what has come from it, without ever waiting for more."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from dataclasses import replace

from bench.records.layout import CellFolder
from bench.records.record import Outcome
from bench.scheduling.engines.call import failed
from bench.scheduling.engines.child import NUMBER, Report
from bench.scheduling.engines.engine import Ended
from bench.scheduling.engines.forking import UNSEEN, Process
from bench.scheduling.engines.log import CappedLog
from bench.scheduling.engines.memory import Memory
from bench.scheduling.job import Job

# Of one worker at a time, so that one that prints without end leaves time for the others.
_CHUNK = 1 << 20
_TAIL = 4000


class Worker:
    """A process that executes a job, and what is known of it.

    Attributes
    ----------
    deadline
        Monotonic time of the next signal.
    report
        The outcome, once all of it has come.
    """

    def __init__(self, job: Job, process: Process, started: float, deadline: float) -> None:
        self.job = job
        self.process = process
        self.deadline = deadline
        self.report: Report | None = None
        self._log = CappedLog(CellFolder(str(job.folder)).log(job.attempt))
        self._started = started
        self._heard = process.heard
        self._pipes = {"report": process.report, "output": process.output}
        self._stopped: Outcome | None = None

    @property
    def pipes(self) -> list[int]:
        """The pipes from which something may still come."""
        return list(self._pipes.values())

    @property
    def reporting(self) -> bool:
        """Whether the job has ended and a part of its report has come, or all of it."""
        return len(self._heard) > NUMBER.size

    @property
    def stopped(self) -> bool:
        """Whether it has been asked to end."""
        return self._stopped is not None

    def receive(self) -> bool:
        """Take in what has come; return whether some of the report has."""
        self._log.write(self._read("output"))
        news = self._read("report")
        self._heard += news
        start = 2 * NUMBER.size
        if self.report is None and len(self._heard) >= start:
            (size,) = NUMBER.unpack_from(self._heard, NUMBER.size)
            if len(self._heard) >= start + size:
                # What is no report, whoever wrote it, is none.
                with contextlib.suppress(ValueError):
                    self.report = Report.load(self._heard[start : start + size])
        return bool(news)

    def stop(self, outcome: Outcome) -> None:
        """Ask the process to end; ``outcome`` is the job's unless it has reported another."""
        self._stopped = outcome
        self.signal(signal.SIGTERM)

    def signal(self, number: int) -> None:
        """Signal the process and all it has started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, number)

    def end(self, code: int, process: int | None = None) -> Ended:
        """Return the job with its outcome, after the process has ended with an exit code.

        Parameters
        ----------
        process
            The most bytes of its GPU that the driver saw the process have.
        """
        # Whatever it has started and left behind goes with it.
        self.signal(signal.SIGKILL)
        while self.receive():
            pass
        for name in list(self._pipes):
            self._close(name)
        self._log.close()
        if self.report is not None:
            # What was reported before a stop came is the outcome.
            memory = self.report.memory
            told = memory if process is None else replace(memory or Memory(), process=process)
            return Ended(self.job, self.report.outcome, self.report.seconds, told)
        told = Memory(process=process) if process is not None else None
        seconds = time.monotonic() - self._started
        return Ended(self.job, self._without_report(code), seconds, told)

    def _without_report(self, code: int) -> Outcome:
        if self._stopped is None:
            return _died(code, self.reporting, self._log.end[-_TAIL:])
        failure = self._stopped.failure
        if self._stopped.status == "timed-out" and failure is not None:
            return replace(self._stopped, failure=replace(failure, detail=self._log.end[-_TAIL:]))
        return self._stopped

    def _read(self, name: str) -> bytes:
        if name not in self._pipes:
            return b""
        try:
            content = os.read(self._pipes[name], _CHUNK)
        except BlockingIOError:
            return b""
        if not content:
            self._close(name)
        return content

    def _close(self, name: str) -> None:
        os.close(self._pipes.pop(name))


def _died(code: int, reporting: bool, tail: str) -> Outcome:
    if code == UNSEEN:
        message = "it ended without an outcome, and its fork server had been killed"
        return failed("signal", message, tail)
    if code < 0:
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        hint = " (by the system, if it ran out of memory)" if -code == signal.SIGKILL else ""
        when = " within its report" if reporting else ""
        return failed("signal", f"killed by {name}{when}{hint}", tail)
    return failed("exit", f"exited with code {code} and no outcome", tail)
