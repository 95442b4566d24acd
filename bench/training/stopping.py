"""SIGTERM while a training may be saved: the step ends first."""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import threading
from types import FrameType


class Stopping:
    """Notes SIGTERM in a process that it would end, such as a worker's.

    Where somebody else listens to it, or in another thread than the main one, nothing changes.
    """

    def __init__(self) -> None:
        self.asked = False
        self._listens = False
        self._tells = False

    def begin(self) -> None:
        """Begin to listen."""
        if threading.current_thread() is not threading.main_thread():
            return
        if signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
            return
        # What dumps tracebacks goes on to whoever listened when it was registered.
        told = faulthandler.unregister(signal.SIGTERM)  # type: ignore[func-returns-value]
        self._tells = bool(told)
        signal.signal(signal.SIGTERM, self._note)
        if self._tells:
            faulthandler.register(signal.SIGTERM, file=2, chain=True)
        self._listens = True

    def end(self) -> None:
        """Let SIGTERM end the process again; one that has come meanwhile does."""
        if not self._listens:
            return
        self._listens = False
        if self._tells:
            faulthandler.unregister(signal.SIGTERM)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if self.asked:
            self.end_process()
        if self._tells:
            faulthandler.register(signal.SIGTERM, file=2, chain=True)

    def end_process(self) -> None:
        """End as the signal would have ended the process."""
        sys.stdout.flush()
        faulthandler.unregister(signal.SIGTERM)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTERM)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
