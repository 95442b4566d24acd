"""What runs on a node: the local engine, fed by parcels. Knows nothing of how these come."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.errors import UserError
from bench.files import file_sha256
from bench.records.record import Outcome
from bench.scheduling.device import Device
from bench.scheduling.engines.call import failed
from bench.scheduling.engines.engine import TARGET, Ended, EngineOptions, NoRoom, cancelled
from bench.scheduling.engines.failures import kind_of
from bench.scheduling.engines.local import LocalEngine
from bench.scheduling.engines.remote.depot import Depot
from bench.scheduling.engines.remote.facts import Facts, facts_here
from bench.scheduling.engines.remote.parcel import Parcel
from bench.scheduling.engines.remote.tree import File, Tree
from bench.scheduling.job import Job

# Seconds: within the engine, which is locked then; and between, for who waits for the lock.
_SLICE, _PAUSE = 0.05, 0.005
# Seconds without room for a single process until a job is given up.
_PATIENCE = 30.0


@dataclass(frozen=True)
class Left:
    """A job that has ended on a node, and the files that lie in its folder there."""

    key: str
    ended: Ended
    files: Tree


@dataclass
class _Waiting:
    job: Job
    device: Device
    since: float


def key_of(job: Job) -> str:
    """Return what names an attempt between the runner and a node."""
    return f"{job.cell.id}.{job.attempt:04d}"


class Node:
    """Executes jobs on its machine. Its methods may be called by several threads.

    Parameters
    ----------
    above
        Where to make the folder for all that comes; the system's for temporary files if None.
    """

    def __init__(
        self, options: EngineOptions, target: str = TARGET, above: str | None = None
    ) -> None:
        self._facts = facts_here(options)
        self._depot = Depot(Path(above) if above else None)
        self._engine = LocalEngine(
            self._facts.devices, target=target, time_limit=options.time_limit
        )
        self._devices = {device.name: device for device in self._facts.devices}
        self._jobs: dict[str, Job] = {}
        self._waiting: list[_Waiting] = []
        self._ended: list[Ended] = []
        self._lock = threading.Lock()
        self._stopping = False
        self._hurry = False

    def facts(self) -> Facts:
        """Return what this machine is."""
        return self._facts

    def start(self, parcel: Parcel, trees: Sequence[Tree], *contents: bytes) -> list[str]:
        """Keep the trees that come with a job, and start it.

        Whatever keeps it from starting is its outcome.

        Returns
        -------
        list
            Digests of the trees that are here now.
        """
        try:
            for tree, content in zip(trees, contents, strict=True):
                self._depot.take(tree, content)
            job = parcel.unpack(self._depot)
        except UserError as error:
            self._refuse(parcel.job, failed(kind_of(error), str(error)))
        except (OSError, ValueError) as error:
            message = f"it could not be brought to {self._facts.host}: {error}"
            self._refuse(parcel.job, failed("error", message))
        else:
            with self._lock:
                self._jobs[key_of(job)] = job
                self._waiting.append(_Waiting(job, self._devices[parcel.device], time.monotonic()))
                self._start_waiting()
        return [tree.digest for tree in trees if self._depot.path(tree).is_dir()]

    def look(self, seconds: float) -> list[Left]:
        """Return what has ended, waiting some seconds for the first."""
        end = time.monotonic() + seconds
        while True:
            with self._lock:
                self._ended += self._engine.poll(_SLICE)
                self._start_waiting()
                ended, self._ended = self._ended, []
            if ended or time.monotonic() > end:
                return [self._left(each) for each in ended]
            time.sleep(_PAUSE)

    def fetch(self, key: str, name: str) -> bytes:
        """Return a file of a job that has ended."""
        return (self._jobs[key].folder / name).read_bytes()

    def discard(self, key: str) -> None:
        """Remove a job's folder: all of it has been fetched."""
        job = self._jobs.pop(key, None)
        if job is not None:
            shutil.rmtree(job.folder, ignore_errors=True)

    def stop(self, hurry: bool) -> None:
        """End all jobs, which are then told of as having ended; at once in a hurry."""
        self._hurry = self._hurry or hurry
        self._stopping = True
        with self._lock:
            self._ended += self._engine.stop(lambda: self._hurry)
            self._start_waiting()

    def close(self) -> None:
        """Leave nothing behind."""
        self._hurry = self._stopping = True
        with self._lock:
            self._engine.close()
            self._depot.close()

    def _start_waiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        for number, each in enumerate(waiting):
            if self._stopping:
                self._ended.append(Ended(each.job, cancelled(), 0.0))
                continue
            try:
                self._engine.start(each.job, each.device)
            except NoRoom as error:
                if time.monotonic() - each.since < _PATIENCE:
                    self._waiting += waiting[number:]
                    return
                told = f"no room for one more process on {self._facts.host}: {error}"
                self._ended.append(Ended(each.job, failed("exit", told), 0.0))

    def _refuse(self, job: Job, outcome: Outcome) -> None:
        folder = self._depot.job_folder(job.cell.id, job.attempt)
        here = replace(job, folder=folder)
        with self._lock:
            self._jobs[key_of(job)] = here
            self._ended.append(Ended(here, outcome, 0.0))

    def _left(self, ended: Ended) -> Left:
        folder = ended.job.folder
        files = {
            entry.name: File(entry.stat().st_size, file_sha256(entry.path))
            for entry in os.scandir(folder)
            if entry.is_file(follow_symlinks=False)
        }
        return Left(key_of(ended.job), ended, Tree(files))
