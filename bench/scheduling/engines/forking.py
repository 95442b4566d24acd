"""Starting worker processes by a fork server that has everything imported."""

from __future__ import annotations

import atexit
import contextlib
import errno
import os
import pickle
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing.connection import wait

from bench.import_path import import_path
from bench.records.owner import start_of
from bench.scheduling.engines import server
from bench.scheduling.engines.child import NUMBER
from bench.scheduling.engines.engine import NoRoom
from bench.scheduling.interrupts import interrupted
from bench.scheduling.job import Job

# More threads than one a worker are many times slower on a busy machine.
_THREADS = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
}
_FULL = {errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM, errno.ENOBUFS}
# What the runner itself opens meanwhile: records, leases, folders.
_SPARE = 32
# Seconds for the server's imports, on a slow disk, before it is taken for stuck.
_PATIENCE = 300.0
# Seconds between looks at whether to stop while they last.
_LOOK = 0.1
_SERVERS = 3
UNSEEN = 256
"""The exit code of a worker whose end nobody saw, since its fork server had been killed."""


@dataclass(frozen=True)
class Process:
    """A worker as the runner sees it.

    Attributes
    ----------
    born
        Start time by the system's clock, which tells it from a later process of the same number;
        empty where the system does not say.
    report, output
        Read ends of its pipes; they do not block, and who reads them closes them.
    heard
        What has been read of the report already.
    """

    pid: int
    born: str
    report: int
    output: int
    heard: bytes = b""


class Nursery:
    """Starts workers, and holds the pipe whose end tells them that the runner is gone.

    Parameters
    ----------
    target
        ``package.module:function`` that workers call with their job.
    preloaded
        Modules that the fork server imports before the first worker.
    """

    def __init__(self, target: str, preloaded: Sequence[str]) -> None:
        self._target = target
        self._server = fork_server(tuple(preloaded))
        self._life_read, self._life_write = os.pipe()

    def start(self, job: Job, environment: Mapping[str, str]) -> Process:
        """Start a worker.

        A fork server that has died is started again; its workers go on.

        Raises
        ------
        NoRoom
            If the system has no room for a process or its pipes now.
        OSError
            If no process can be started for another reason.
        """
        payload = pickle.dumps((job, self._target, dict(environment)))
        try:
            _keep_spare_descriptors()
            for _ in range(_SERVERS):
                process = self._server.fork(payload, self._life_read)
                if process is not None:
                    return process
        except OSError as error:
            if error.errno in _FULL:
                raise NoRoom(os.strerror(error.errno)) from error
            raise
        raise ChildProcessError(
            f"the fork server ended {_SERVERS} times before it had started anything"
        )

    def exit_code(self, process: Process) -> int | None:
        """Return a worker's exit code, negative for a signal; None while it lives."""
        return self._server.exit_code(process)

    @property
    def news(self) -> list[socket.socket]:
        """What becomes readable when a worker has ended."""
        return self._server.news

    def close(self) -> None:
        """Let go of the pipe: workers that still live die."""
        os.close(self._life_write)
        os.close(self._life_read)


@lru_cache(maxsize=8)
def fork_server(preloaded: tuple[str, ...]) -> ForkServer:
    """Return this process's server that has these modules imported; it ends with the process."""
    found = ForkServer(preloaded)
    atexit.register(found.bury)
    return found


class ForkServer:
    """The runner's side of :mod:`bench.scheduling.engines.server`, which is started when needed."""

    def __init__(self, preloaded: tuple[str, ...]) -> None:
        self._preloaded = preloaded
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None
        self._unread = b""
        # Whether it has told anything yet, and so has imported what it should.
        self._ready = False
        self._living: set[int] = set()
        self._codes: dict[int, int] = {}
        self._orphans: set[int] = set()

    @property
    def news(self) -> list[socket.socket]:
        """What becomes readable when a worker has ended."""
        return [self._channel] if self._channel is not None else []

    def fork(self, payload: bytes, life: int) -> Process | None:
        """Return a new worker; None if the server died before it had forked.

        Raises
        ------
        OSError
            If there is no room for it, or the server cannot be started.
        NoRoom
            If the run is to stop while the server is still importing.
        """
        with contextlib.ExitStack() as ours, contextlib.ExitStack() as theirs:
            report, output = (_pipe(ours, theirs) for _ in range(2))
            heard = b""
            try:
                channel = self._channel or self._launch()
                head = server.REQUEST.pack(len(payload))
                socket.send_fds(channel, [head], [report[1], output[1], life])
                channel.sendall(payload)
                pid = self._answer()
            except (ConnectionError, TimeoutError):
                self.bury()
                # It may have forked, and died before it could say so: a worker begins by telling
                # its number, and where there is none the pipe is at its end.
                theirs.close()
                heard = os.read(report[0], NUMBER.size)
                if not heard:
                    return None
                (pid,) = NUMBER.unpack(heard)
                self._orphans.add(pid)
            ours.pop_all()
            for descriptor in (report[0], output[0]):
                os.set_blocking(descriptor, False)
            self._living.add(pid)
            return Process(pid, start_of(pid), report[0], output[0], heard)

    def exit_code(self, process: Process) -> int | None:
        """Return a worker's exit code, negative for a signal; None while it lives."""
        self._hear()
        if process.pid in self._orphans and _gone(process):
            self._codes[process.pid] = UNSEEN
        if process.pid not in self._codes:
            return None
        self._living.discard(process.pid)
        self._orphans.discard(process.pid)
        return self._codes.pop(process.pid)

    def bury(self) -> None:
        """End the server; its workers go on, and are looked after by their number."""
        if self._channel is not None:
            self._channel.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._channel = self._process = None
        self._unread = b""
        self._orphans |= self._living - self._codes.keys()

    def _launch(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        path = [str(entry) for entry in import_path()]
        arguments = (theirs.fileno(), self._preloaded)
        code = (
            f"import sys; sys.path[:] = {path!r}; "
            f"from {server.__name__} import main; main(*{arguments!r})"
        )
        try:
            with theirs:
                self._process = subprocess.Popen(
                    [sys.executable, "-P", "-c", code],
                    env={**os.environ, **_THREADS},
                    stdin=subprocess.DEVNULL,
                    pass_fds=[theirs.fileno()],
                    # What the terminal sends to its processes is for the runner.
                    start_new_session=True,
                )
        except BaseException:
            ours.close()
            raise
        ours.settimeout(_PATIENCE)
        self._channel, self._ready = ours, False
        return ours

    def _answer(self) -> int:
        """Return the number of the process that was asked for."""
        self._await_imports()
        while True:
            for kind, pid, value in self._receive():
                if kind == server.FORKED:
                    return pid
                if kind == server.REFUSED:
                    raise OSError(value, os.strerror(value))

    def _await_imports(self) -> None:
        """Wait for the server's first word, unless the run is to stop: nothing is forked yet."""
        end = time.monotonic() + _PATIENCE
        while not self._ready and not wait(self.news, _LOOK):
            if interrupted():
                self.bury()
                raise NoRoom("interrupted while the fork server was importing")
            if time.monotonic() > end:
                raise TimeoutError("the fork server is stuck in its imports")

    def _hear(self) -> None:
        """Take in what the server has told meanwhile."""
        try:
            while self._channel is not None and wait([self._channel], 0):
                self._receive()
        except ConnectionError:
            self.bury()

    def _receive(self) -> list[tuple[bytes, int, int]]:
        assert self._channel is not None
        content = self._channel.recv(65536)
        if not content:
            raise ConnectionResetError("the fork server has ended")
        self._ready = True
        self._unread += content
        whole = len(self._unread) // server.NEWS.size * server.NEWS.size
        news = list(server.NEWS.iter_unpack(self._unread[:whole]))
        self._unread = self._unread[whole:]
        self._codes.update((pid, value) for kind, pid, value in news if kind == server.EXITED)
        return news


def _pipe(ours: contextlib.ExitStack, theirs: contextlib.ExitStack) -> tuple[int, int]:
    read, write = os.pipe()
    ours.callback(os.close, read)
    theirs.callback(os.close, write)
    return read, write


def _keep_spare_descriptors() -> None:
    # One file of the system's table, and as many places in our own.
    spare = [os.open(os.devnull, os.O_RDONLY)]
    try:
        spare += (os.dup(spare[0]) for _ in range(_SPARE - 1))
    finally:
        for descriptor in spare:
            os.close(descriptor)


def _gone(process: Process) -> bool:
    return not process.born or start_of(process.pid) != process.born
