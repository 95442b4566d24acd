"""Whether the system has room for one more job; what to do when it has not."""

from __future__ import annotations

import time

from bench.errors import UserError
from bench.scheduling.engines.engine import NoRoom


class Room:
    """Is closed after a refusal, until something ends here or a moment has passed.

    Parameters
    ----------
    again
        Seconds after which to try anyhow: others may have made room.
    patience
        Seconds of refusals, while nothing runs here that could make room, until it is given up.
    """

    def __init__(self, *, again: float = 1.0, patience: float = 30.0) -> None:
        self._again = again
        self._patience = patience
        self._next = 0.0
        self._since: float | None = None
        self._told = False

    @property
    def open(self) -> bool:
        """Whether to try."""
        return time.monotonic() >= self._next

    def taken(self) -> None:
        """A job was started."""
        self._since = None

    def freed(self) -> None:
        """A job has ended: there may be room."""
        self._next = 0.0
        self._since = None

    def refused(self, error: NoRoom, running: int) -> bool:
        """There is no room for a job beside so many that run; return whether that is new.

        Raises
        ------
        UserError
            If nothing has run for so long.
        """
        now = time.monotonic()
        self._next = now + self._again
        new, self._told = not self._told, True
        if running:
            self._since = None
            return new
        self._since = self._since or now
        if now - self._since >= self._patience:
            raise UserError(
                f"no process can be started: {error}",
                remedy="raise the limits (ulimit -n, ulimit -u) or free memory; "
                "the same command goes on where it was",
            )
        return new
