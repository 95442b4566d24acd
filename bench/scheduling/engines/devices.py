"""Which devices this machine offers, found without importing torch."""

from __future__ import annotations

import math
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from bench.errors import UserError
from bench.scheduling.device import Device
from bench.scheduling.engines.engine import Choice


def devices(
    choice: Choice = "auto", *, workers: int | None = None, slots_per_gpu: int = 1
) -> tuple[Device, ...]:
    """Return the devices to run on: the GPUs if there are any, else the CPU.

    A job has one thread on the CPU, and its share of the cores beside a GPU.

    Parameters
    ----------
    choice
        ``auto``, or one kind only.
    workers
        Slots on the CPU; as many as cores this process may use where it is None.

    Raises
    ------
    UserError
        If ``cuda`` is asked for and there is no GPU.
    """
    gpus = () if choice == "cpu" else visible_gpus(os.environ)
    if gpus:
        threads = max(1, cores() // (len(gpus) * slots_per_gpu))
        return tuple(
            Device(f"cuda:{i}", gpu, slots_per_gpu, threads, here=True)
            for i, gpu in enumerate(gpus)
        )
    if choice == "cuda":
        raise UserError(
            "no GPU is to be seen",
            remedy="check nvidia-smi and CUDA_VISIBLE_DEVICES, or use --device cpu",
        )
    return (Device("cpu", "", workers or cores()),)


def visible_gpus(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return what may stand in ``CUDA_VISIBLE_DEVICES``, one entry a GPU.

    An inherited list is respected as it is, up to its first invalid entry, as CUDA does.
    """
    present = _present_gpus()
    inherited = environment.get("CUDA_VISIBLE_DEVICES")
    if not present or inherited is None:
        return present
    allowed = []
    for entry in (part.strip() for part in inherited.split(",")):
        if not (entry.isdigit() or entry.startswith(("GPU-", "MIG-"))):
            break
        allowed.append(entry)
    return tuple(allowed)


def _present_gpus() -> tuple[str, ...]:
    command = shutil.which("nvidia-smi")
    if command is not None:
        try:
            listing = subprocess.run(
                [command, "-L"], capture_output=True, text=True, timeout=30, check=False
            )
        except (OSError, subprocess.TimeoutExpired):
            return ()
        return parse_listing(listing.stdout) if listing.returncode == 0 else ()
    driver = Path("/proc/driver/nvidia/gpus")
    return tuple(str(i) for i, _ in enumerate(driver.iterdir())) if driver.is_dir() else ()


def parse_listing(text: str) -> tuple[str, ...]:
    """Return the GPUs of ``nvidia-smi -L``; of one that is divided, its MIG devices."""
    gpus: list[list[str]] = []
    for line in text.splitlines():
        if found := re.match(r"GPU (\d+):", line):
            gpus.append([found[1]])
        elif gpus and (found := re.match(r"\s+MIG .*UUID: (MIG-[^)\s]+)", line)):
            gpus[-1].append(found[1])
    return tuple(entry for gpu in gpus for entry in (gpu[1:] or gpu))


def cores() -> int:
    """Return the number of cores this process may use: affinity and the cgroup's quota."""
    if hasattr(os, "sched_getaffinity"):
        count = len(os.sched_getaffinity(0))
    else:
        count = os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        count = min(count, math.ceil(int(quota) / int(period)))
    except (OSError, ValueError):
        # No cgroup, or no quota ("max").
        pass
    return max(count, 1)
