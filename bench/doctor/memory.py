"""The machine's memory, and what one worker takes of it."""

from __future__ import annotations

from pathlib import Path

from bench.doctor.finding import Asked, Finding, gigabytes
from bench.scheduling.engines.devices import cores

KEYS = ("total", "available", "limit", "worker", "workers")
KEYS_SHARED = ("total", "free")
_SHARED = Path("/dev/shm")
_SMALL = 64 * 2**20


def memory(asked: Asked) -> Finding:
    """Look at the memory, and at this process's once it has what a worker has."""
    before = _told()
    worker = _a_workers()
    return judge(before, _limit(), worker, cores())


def judge(told: dict[str, int], limit: int | None, worker: int, workers: int) -> Finding:
    """Return whether so many workers have room.

    Parameters
    ----------
    told
        ``MemTotal`` and ``MemAvailable`` in bytes.
    limit
        What a container may take; None where it has no limit.
    worker
        Bytes of a process that has torch and timm, and has taken a step.
    """
    total, available = told.get("MemTotal"), told.get("MemAvailable")
    measured = {
        "total": total,
        "available": available,
        "limit": limit,
        "worker": worker,
        "workers": workers,
    }
    if available is None:
        return Finding("look", "the system does not say", "see that there is enough", measured)
    room = min(available, limit or available)
    fact = f"{gigabytes(room)} free; a worker takes {gigabytes(worker)}, of {workers} at once"
    if room < worker * workers:
        few = max(1, room // worker)
        return Finding("look", fact, f"give `bench run` --workers {few}", measured)
    return Finding("ok", fact, measured=measured)


def _told() -> dict[str, int]:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return {line.split(":")[0]: 1024 * int(line.split()[1]) for line in lines}
    except (OSError, IndexError, ValueError):
        return {}


def _limit(group: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Return what is left of a cgroup's limit; None where it has none."""
    try:
        limit = int((group / "memory.max").read_text())
        return max(0, limit - int((group / "memory.current").read_text()))
    except (OSError, ValueError):
        return None


def _a_workers() -> int:
    """Return the bytes that this process has once it has trained a step of a small backbone."""
    import timm
    import torch

    net = timm.create_model("test_resnet", num_classes=10)
    images, labels = torch.randn(32, 3, 64, 64), torch.zeros(32, dtype=torch.long)
    torch.autograd.backward(torch.nn.functional.cross_entropy(net(images), labels))
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return 1024 * int(line.split()[1])
    raise OSError("the system does not say what a process takes")


def shared(asked: Asked) -> Finding:
    """Look at the shared memory, in which processes keep their semaphores."""
    import shutil

    if not _SHARED.is_dir():
        return Finding("look", f"there is no {_SHARED}", "mount a tmpfs there")
    usage = shutil.disk_usage(_SHARED)
    measured = {"total": usage.total, "free": usage.free}
    fact = f"{_SHARED} has {gigabytes(usage.free)} free of {gigabytes(usage.total)}"
    if usage.free < _SMALL:
        return Finding("look", fact, "start the container with --shm-size 1g", measured)
    return Finding("ok", fact, measured=measured)
