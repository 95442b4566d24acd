"""A target whose fork server is refused every other process, as where their number is limited."""

from __future__ import annotations

import errno
import os

from bench.records.record import Outcome
from bench.scheduling.job import Job

_fork = os.fork
_asked = 0


def _fork_every_other_time() -> int:
    global _asked
    _asked += 1
    if _asked % 2:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    return _fork()


os.fork = _fork_every_other_time


def done(job: Job) -> Outcome:
    """Say which server has forked this process."""
    return Outcome("done", metrics={"server": float(os.getppid())})
