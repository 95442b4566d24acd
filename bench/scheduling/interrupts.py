"""Ctrl-C, SIGTERM and SIGHUP as a count that the run looks at."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType

_entered: list[Interrupts] = []


def interrupted() -> bool:
    """Return whether a run of this process has been asked to stop."""
    return any(each.count for each in _entered)


class Interrupts:
    """Counts SIGINT, SIGTERM and SIGHUP while entered; the first stops the run, the next harder.

    Parameters
    ----------
    raises
        Raise ``KeyboardInterrupt`` too: for an engine that executes jobs in this thread.
    """

    def __init__(self, raises: bool = False) -> None:
        self.count = 0
        self._raises = raises
        self._before: dict[signal.Signals, object] = {}

    def __enter__(self) -> Interrupts:
        _entered.append(self)
        # Python lets only the main thread set handlers; elsewhere nobody interrupts.
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                # `nohup` asks that the end of the terminal be ignored.
                if number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN:
                    continue
                self._before[number] = signal.signal(number, self._count)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _entered.remove(self)
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _count(self, number: int, frame: FrameType | None) -> None:
        self.count += 1
        if self._raises:
            raise KeyboardInterrupt
