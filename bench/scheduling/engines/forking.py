"""Starting worker processes from a fork server that has everything imported."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import time
import types
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from bench.scheduling.engines import child, preload
from bench.scheduling.job import Job

# More threads than one a worker are many times slower on a busy machine.
_THREADS = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
}


# A server that was killed takes connections, and loses them, until the system has buried it.
_PATIENCE = (0.05, 0.25, 1.0)


class Nursery:
    """Starts workers, and holds the pipe whose end tells them that the runner is gone.

    Parameters
    ----------
    target
        ``package.module:function`` that workers call with their job.
    preloaded
        Modules that the fork server imports before the first worker. The standard library has
        one fork server a process: the first nursery of a process decides what it imports.
    """

    def __init__(self, target: str, preloaded: Sequence[str]) -> None:
        self._target = target
        self._preloaded = ",".join(preloaded)
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([child.__name__, preload.__name__])
        self._life_read, self._life_write = self._context.Pipe(duplex=False)

    def start(
        self, job: Job, log: Path, environment: dict[str, str]
    ) -> tuple[ForkServerProcess, Connection]:
        """Start a worker; return its process and the pipe that its report comes by.

        A fork server that has died is started again.

        Raises
        ------
        OSError, EOFError
            If no process can be started.
        """
        for seconds in _PATIENCE:
            try:
                return self._start(job, log, environment)
            except (ConnectionError, EOFError):
                time.sleep(seconds)
        return self._start(job, log, environment)

    def _start(
        self, job: Job, log: Path, environment: dict[str, str]
    ) -> tuple[ForkServerProcess, Connection]:
        receive, send = self._context.Pipe(duplex=False)
        process = self._context.Process(
            target=child.main,
            args=(job, self._target, log, environment, self._life_read, send),
            name=f"{job.cell.id}-{job.attempt}",
        )
        try:
            with _no_main_module(), _without_interrupts(), self._server_environment():
                process.start()
        except BaseException:
            receive.close()
            raise
        finally:
            send.close()
        return process, receive

    def close(self) -> None:
        """Let go of the pipe: workers that still live die."""
        self._life_write.close()
        self._life_read.close()

    @contextlib.contextmanager
    def _server_environment(self) -> Iterator[None]:
        # The server is started, or started again, with the first worker. Not all versions of
        # Python give it the path of imports.
        path = os.pathsep.join(entry for entry in sys.path if entry)
        wanted = {**_THREADS, preload.VARIABLE: self._preloaded, "PYTHONPATH": path}
        before = {name: os.environ.get(name) for name in wanted}
        os.environ.update(wanted)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value


@contextlib.contextmanager
def _no_main_module() -> Iterator[None]:
    # Each worker would import the runner's main module again: the whole command line.
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


@contextlib.contextmanager
def _without_interrupts() -> Iterator[None]:
    # A Ctrl-C at the terminal reaches the server too; blocked signals stay so in what is started.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
