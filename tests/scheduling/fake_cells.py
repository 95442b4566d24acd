"""Targets that stand in for training: fast, and as badly behaved as a cell's method name says."""

from __future__ import annotations

import ctypes
import io
import os
import signal
import sys
import time

from bench.errors import DataError
from bench.records import code
from bench.records.artifacts import place, read_artifact
from bench.records.record import Failure, Outcome, Provenance
from bench.scheduling.engines import child
from bench.scheduling.job import Job
from bench.spec.cell import Train


class OutOfMemoryError(RuntimeError):
    """Named as torch's is."""


class Diverged(ArithmeticError):
    """Says what kind of failure it is, as the training loop's does."""

    kind = "not-a-number"


def noop(job: Job) -> Outcome:
    return Outcome("done")


def scripted(job: Job) -> Outcome:
    """Do what the cell's penalties are called; say so in ``journal`` beside the store."""
    _journal(job, os.getpid())
    metrics = {}
    for use in job.cell.work.penalties if isinstance(job.cell.work, Train) else ():
        metrics.update(ACTS[use.name](job, **use.settings) or {})
    for parent in job.parents.values():
        read_artifact(parent.path, parent.sha256)
    artifacts = {}
    for name in job.keep:
        text = f"{job.cell.id} {name} {sorted((p.id, p.sha256) for p in job.parents.values())}"
        artifacts[name] = place(
            job.folder, job.attempt, name, ".txt", lambda part, text=text: part.write_text(text)
        )
    parents = {
        role: {"id": p.id, "artifact": p.name, "attempt": p.attempt, "sha256": p.sha256}
        for role, p in job.parents.items()
    }
    return Outcome(
        "done", metrics=metrics, artifacts=artifacts, provenance=Provenance(parents=parents)
    )


def _journal(job: Job, pid: int) -> None:
    with open(job.folder.parents[2] / "journal", "a") as journal:
        journal.write(f"{job.cell.id} {job.attempt} {pid}\n")


def _sleep(job: Job, seconds: float) -> None:
    time.sleep(seconds)


def _raise(job: Job, until: int = 99) -> None:
    if job.attempt <= until:
        raise RuntimeError("the third layer went wrong")


def _crash(job: Job, until: int = 99) -> None:
    if job.attempt <= until:
        print("about to touch address zero", flush=True)
        ctypes.string_at(0)


def _die(job: Job, until: int = 99) -> None:
    if job.attempt <= until:
        os.kill(os.getpid(), signal.SIGKILL)


def _exit(job: Job, code: int, until: int = 99) -> None:
    if job.attempt <= until:
        os._exit(code)


def _oom(job: Job, until: int = 99) -> None:
    if job.attempt <= until:
        raise OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")


def _user(job: Job) -> None:
    raise DataError("the folder is empty", file="photos", remedy="put images there")


def _nan(job: Job) -> None:
    raise Diverged("the loss is NaN at step 3")


def _hang(job: Job) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(600)


def _hold_gil(job: Job) -> None:
    """Hang in native code that keeps the GIL, as no Python thread could notice anything."""
    ctypes.PyDLL(None).sleep(600)


def _linger(job: Job) -> None:
    import threading

    threading.Thread(target=time.sleep, args=(600,)).start()


def _litter(job: Job, seconds: float = 0.0) -> dict[str, float]:
    """Start a process and leave it; end after so many seconds."""
    child = os.fork()
    if child == 0:
        time.sleep(600)
    _journal(job, child)
    time.sleep(seconds)
    return {"grandchild": float(child)}


def _stall(job: Job) -> None:
    """Stop within the report."""

    class Half(io.FileIO):
        def write(self, content: bytes) -> int:  # type: ignore[override]
            super().write(content[: len(content) // 2])
            time.sleep(600)
            return 0

    vars(child)["open"] = Half


def _chatter(job: Job, lines: int) -> None:
    for number in range(lines):
        print(f"line {number:07d}")


def _look(job: Job) -> dict[str, float]:
    print("to stdout")
    print("to stderr", file=sys.stderr)
    os.write(1, b"to descriptor one\n")
    main = sys.modules["__main__"]
    return {
        "pid": float(os.getpid()),
        "threads": float(os.environ.get("OMP_NUM_THREADS", "0")),
        "job_threads": float(job.threads),
        "gpu": float(os.environ["CUDA_VISIBLE_DEVICES"] or "-1"),
        "main_is_bare": float(not hasattr(main, "__file__")),
        "digested": float(code._digest.cache_info().currsize),
        "preloaded": float(os.getppid() == _IMPORTED_IN),
    }


def _alone(job: Job, seconds: float) -> dict[str, float]:
    """Tell how many others ran at the same time on the same device."""
    here = job.folder.parents[2] / "here"
    here.mkdir(exist_ok=True)
    device = os.environ["CUDA_VISIBLE_DEVICES"] or "cpu"
    mine = here / f"{device}.{os.getpid()}"
    mine.touch()
    most = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        most = max(most, len([p for p in here.iterdir() if p.name.startswith(f"{device}.")]))
        time.sleep(0.01)
    mine.unlink()
    return {"most": float(most)}


def _crowded_oom(job: Job, seconds: float) -> dict[str, float]:
    """Run out of memory whenever another runs on the same device."""
    told = _alone(job, seconds)
    if told["most"] > 1:
        raise OutOfMemoryError("CUDA out of memory")
    return told


def _weigh(job: Job, kilograms: float) -> dict[str, float]:
    return {"kilograms": kilograms}


ACTS = {
    "sleep": _sleep, "raise": _raise, "crash": _crash, "die": _die, "exit": _exit, "oom": _oom,
    "user": _user, "nan": _nan, "hang": _hang, "hold-gil": _hold_gil, "linger": _linger,
    "litter": _litter, "look": _look, "stall": _stall, "chatter": _chatter,
    "alone": _alone, "crowded-oom": _crowded_oom, "weigh": _weigh,
}  # fmt: skip
_IMPORTED_IN = os.getpid()
TARGET = f"{__name__}:scripted"


def failing(job: Job) -> Outcome:
    return Outcome("failed", failure=Failure("not-a-number", "loss is nan at step 7"))
