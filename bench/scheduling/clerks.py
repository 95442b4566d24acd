"""Clerks: threads that ask and write the store, so that a run never waits for its disk."""

from __future__ import annotations

import contextlib
import os
import resource
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing.connection import wait
from types import TracebackType
from typing import Any, TypeVar

T = TypeVar("T")

# A record takes two waits for the disk: 32 threads make 300 a second where each lasts 50 ms.
_WRITING = 32
_ASKING = 8
# Ended cells whose records may wait for the disk before no further cell is begun.
IN_FLIGHT = 2 * _WRITING


class Clerks:
    """Does errands in threads; what has come of them is handed out in the caller's thread.

    Claims are handed out in the order in which they were asked for, so that cells begin in the
    plan's order; records as they are written. An error of an errand is raised where its outcome
    is handed out.

    Attributes
    ----------
    news
        Read end of a pipe that is readable when there is something to hand out.
    """

    def __init__(self) -> None:
        self._writers = ThreadPoolExecutor(_threads(_WRITING), thread_name_prefix="writer")
        self._askers = ThreadPoolExecutor(_threads(_ASKING), thread_name_prefix="asker")
        self._asked: deque[tuple[Future[Any], Callable[[Any], None]]] = deque()
        self._written: deque[tuple[Future[Any], Callable[[Any], None]]] = deque()
        self._writing = 0
        self._lock = threading.Lock()
        self.news, self._wake = os.pipe()
        os.set_blocking(self.news, False)
        os.set_blocking(self._wake, False)

    def __enter__(self) -> Clerks:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for pool in (self._askers, self._writers):
            pool.shutdown(wait=True, cancel_futures=True)
        os.close(self._wake)
        os.close(self.news)

    def ask(self, errand: Callable[[], T], take: Callable[[T], None]) -> None:
        """Do an errand before a cell begins; ``take`` its outcome."""
        future = self._askers.submit(errand)
        self._asked.append((future, take))
        future.add_done_callback(self._ring)

    def write(self, errand: Callable[[], T], take: Callable[[T], None]) -> None:
        """Do an errand after a cell has ended; ``take`` its outcome."""
        future = self._writers.submit(errand)
        self._writing += 1

        def ended(future: Future[T]) -> None:
            self._written.append((future, take))
            self._ring(future)

        future.add_done_callback(ended)

    @property
    def asking(self) -> int:
        """Number of claims that have not been handed out."""
        return len(self._asked)

    @property
    def writing(self) -> int:
        """Number of records that have not been handed out."""
        return self._writing

    @property
    def busy(self) -> bool:
        """Whether anything has not been handed out."""
        return bool(self._asked) or self._writing > 0

    def hand_out(self) -> bool:
        """Give what has come of errands to whoever asked; return whether there was any.

        Raises
        ------
        StoreError
            If an errand has failed so: the rest is handed out at the next call.
        """
        with contextlib.suppress(BlockingIOError):
            os.read(self.news, 65536)
        any_yet = False
        while self._written:
            future, take = self._written.popleft()
            self._writing -= 1
            take(future.result())
            any_yet = True
        while self._asked and self._asked[0][0].done():
            future, take = self._asked.popleft()
            take(future.result())
            any_yet = True
        return any_yet

    def wait(self, timeout: float) -> None:
        """Wait for something to hand out, unless nothing is under way."""
        if self.busy:
            wait([self.news], timeout)

    def wait_for_claims(self, timeout: float) -> None:
        """Wait for all claims that were asked for."""
        end = time.monotonic() + timeout
        while not all(future.done() for future, _ in self._asked) and time.monotonic() < end:
            time.sleep(0.001)

    def _ring(self, _future: Future[Any]) -> None:
        # A full pipe is news enough.
        with self._lock, contextlib.suppress(BlockingIOError, OSError):
            os.write(self._wake, b".")


def _threads(most: int) -> int:
    """Return how many threads may have files open: few where the table of descriptors is small."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return most if limit == resource.RLIM_INFINITY else max(2, min(most, (limit - 64) // 24))
