"""All checks, in the order in which they are shown."""

from __future__ import annotations

from bench.doctor import disks, gpus, hub, installed, kernels, limits, memory, mounts, writes
from bench.doctor.finding import Check

CHECKS = (
    Check("python", installed.python, installed.KEYS_PYTHON),
    Check("libraries", installed.libraries, installed.KEYS_LIBRARIES),
    # nvidia-smi is asked twice.
    Check("gpus", gpus.gpus, gpus.KEYS, limit=3 * gpus.PATIENCE),
    Check("torch", kernels.wheel, kernels.KEYS_WHEEL, limit=180.0),
    Check("kernels", kernels.kernels, kernels.KEYS_KERNELS, limit=180.0),
    Check("gpu-memory", gpus.memory, gpus.KEYS_MEMORY, limit=2 * gpus.PATIENCE),
    Check("memory", memory.memory, memory.KEYS, limit=120.0),
    Check("shared", memory.shared, memory.KEYS_SHARED),
    Check("threads", limits.threads, limits.KEYS_THREADS),
    Check("open-files", limits.open_files, limits.KEYS_FILES),
    Check("store", disks.store, disks.KEYS),
    Check("cache", disks.cache, disks.KEYS),
    Check("downloads", disks.downloads, disks.KEYS),
    Check("file-system", mounts.file_system, mounts.KEYS),
    Check("names", writes.names, writes.KEYS_NAMES, limit=60.0),
    Check("locks", writes.locks, writes.KEYS_LOCKS),
    Check("clock", writes.clock, writes.KEYS_CLOCK),
    Check("fsync", writes.fsync, writes.KEYS_FSYNC, limit=60.0),
    Check("case", writes.case, writes.KEYS_CASE),
    Check("hub", hub.hub, hub.KEYS),
)


def check_of(name: str) -> Check:
    """Return a check by its name."""
    return next(check for check in CHECKS if check.name == name)
