"""The fork server: imports what workers need once, and forks a worker for each request.

Unlike the standard library's it answers a request that cannot be fulfilled, instead of ending, and
it is reached by a pair of sockets without a name: nothing of it stays on the disk.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import importlib
import os
import select
import signal
import socket
import struct
import sys
import traceback
from collections.abc import Sequence

from bench.errors import UserError
from bench.records.code import read_ahead
from bench.scheduling.engines import child
from bench.scheduling.engines.watch import watch

REQUEST = struct.Struct("=Q")
"""Length of the pickled arguments that follow. Comes with three descriptors: those of a worker."""
NEWS = struct.Struct("=cqq")
FORKED, REFUSED, EXITED = b"f", b"r", b"e"
"""Kinds of news: a worker's pid; the error number; a worker's pid and exit code."""


def main(channel: int, modules: Sequence[str]) -> None:
    """Serve until the runner closes its end of the channel.

    Parameters
    ----------
    channel
        Descriptor of a stream socket to the runner.
    modules
        To import before the first worker.
    """
    preload(modules)
    with socket.socket(fileno=channel) as runner, contextlib.suppress(ConnectionError):
        _serve(runner)
    # Tearing down what was imported makes some of it complain on stderr.
    os._exit(0)


def _serve(runner: socket.socket) -> None:
    wake, awake = os.pipe()
    os.set_blocking(wake, False)
    os.set_blocking(awake, False)
    # Without a handler the signal would be ignored, and not wake us.
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    signal.set_wakeup_fd(awake, warn_on_full_buffer=False)
    watched = select.poll()
    watched.register(wake, select.POLLIN)
    watched.register(runner, select.POLLIN)
    while True:
        ready = {descriptor for descriptor, _ in watched.poll()}
        if wake in ready:
            os.read(wake, 65536)
            _tell_of_the_dead(runner)
        if runner.fileno() in ready and not _take(runner, (wake, awake)):
            return


def preload(modules: Sequence[str]) -> None:
    """Import modules for all workers, and read their code's digests.

    It must not initialise CUDA, which no fork survives.
    """
    for name in modules:
        # A module that cannot be imported fails in each worker, where the record can tell of it.
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    # Each worker compares the digests of its cell's code; a fault of ours it reports itself.
    with contextlib.suppress(UserError):
        read_ahead()
    # For all workers at once: each that did it would copy the pages of all names.
    watch.remember_modules()
    # What is here now stays: garbage collection in the workers need not touch, and so copy, it.
    gc.collect()
    gc.freeze()


def _tell_of_the_dead(runner: socket.socket) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        runner.sendall(NEWS.pack(EXITED, pid, os.waitstatus_to_exitcode(status)))


def _take(runner: socket.socket, ours: Sequence[int]) -> bool:
    """Fulfil a request; False if there are no more."""
    head, given, _, _ = socket.recv_fds(runner, REQUEST.size, 3)
    if not head:
        return False
    payload = _read(runner, *REQUEST.unpack(head + _read(runner, REQUEST.size - len(head))))
    try:
        if len(given) < 3:
            # The system drops descriptors that find no place in our table.
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        pid = os.fork()
        if not pid:
            runner.close()
            _become_worker(payload, given, ours)
        news = NEWS.pack(FORKED, pid, 0)
    except OSError as error:
        news = NEWS.pack(REFUSED, 0, error.errno or 0)
    finally:
        for descriptor in given:
            os.close(descriptor)
    runner.sendall(news)
    return True


def _read(runner: socket.socket, size: int) -> bytes:
    content = b""
    while len(content) < size:
        more = runner.recv(size - len(content))
        if not more:
            raise ConnectionResetError("the runner has ended within its request")
        content += more
    return content


def _become_worker(payload: bytes, given: Sequence[int], ours: Sequence[int]) -> None:
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for descriptor in ours:
            os.close(descriptor)
        child.main(payload, *given)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        # Whatever the job has left running ends here; the server's own stack is not unwound.
        os._exit(code)
