"""A pilot: one job of a fleet, which keeps an ordinary runner at work.

It is the function that submitit calls in the job. The runner is a process of its own, so that
Slurm's warning reaches the pilot, and the runner is stopped as Ctrl-C stops it: its cells are
recorded, its leases are let go, and then the job goes back to Slurm's queue.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

_POLL = 0.2
# The exit code of a runner that was stopped before its end.
INTERRUPTED = 130


class Pilot:
    """What a job of a fleet does.

    Parameters
    ----------
    fleets
        The store's folder of fleets.
    command
        What the runner's ``bench run`` is given.
    """

    # Slurm's own time to end a job by SIGKILL is 30 s, unless a site has changed it.
    wait_for_slurm = 60.0

    def __init__(self, fleets: str, fleet: str, command: tuple[str, ...]) -> None:
        self.fleets = fleets
        self.fleet = fleet
        self.command = command
        self._runner: subprocess.Popen[bytes] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_runner": None}

    @property
    def cancelled(self) -> bool:
        """Whether the fleet was cancelled."""
        return Path(self.fleets, f"{self.fleet}.cancelled").exists()

    def __call__(self) -> int:
        """Keep the runner at work until it ends; return its exit code."""
        if self.cancelled:
            return 0
        line = [sys.executable, "-m", "bench", "run", *self.command, "--pilot-of", self.fleet]
        # Slurm warns every process of a job; whoever does not know the signal dies of it.
        self._runner = subprocess.Popen(line, preexec_fn=_deaf)
        code = self._wait(self._runner)
        if code == INTERRUPTED and not self.cancelled:
            # Slurm has told all of the job to end: it, not we, says whether it comes back.
            time.sleep(self.wait_for_slurm)
        return code

    def checkpoint(self) -> Any:
        """Stop the runner; return what submitit requeues, None where nothing is left to do."""
        from submitit.helpers import DelayedSubmission

        runner = self._runner
        if runner is None:
            return None if self.cancelled else DelayedSubmission(self)
        if _status(runner) is None:
            runner.send_signal(signal.SIGTERM)
        code = self._wait(runner)
        again = code == INTERRUPTED and not self.cancelled
        return DelayedSubmission(self) if again else None

    @staticmethod
    def _wait(runner: subprocess.Popen[bytes]) -> int:
        while (code := _status(runner)) is None:
            time.sleep(_POLL)
        return code


def _deaf() -> None:
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    signal.signal(signal.SIGCONT, signal.SIG_DFL)


def _status(runner: subprocess.Popen[bytes]) -> int | None:
    """Return the exit code of a process that has ended.

    It is left a zombie: a signal may come amid ``Popen.wait``, whose lock is not to be had twice.
    """
    found = os.waitid(os.P_PID, runner.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    if found is None:
        return None
    code = found.si_status if found.si_code == os.CLD_EXITED else -found.si_status
    runner.returncode = code
    return code
