"""Which devices this machine offers, found without importing torch."""

from __future__ import annotations

import math
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from bench.errors import UserError
from bench.scheduling.device import Device
from bench.scheduling.engines.engine import Choice

_PATIENCE = 30.0
_DRIVER = Path("/proc/driver/nvidia/gpus")
_NODES = Path("/dev")
# Jobs at once on a packed GPU, at most: each has a share of the cores.
_MOST = 8


def devices(
    choice: Choice = "auto", *, workers: int | None = None, slots_per_gpu: int | None = None
) -> tuple[Device, ...]:
    """Return the devices to run on: the GPUs if there are any, else the CPU.

    A job has one thread on the CPU, and its share of the cores beside a GPU.

    Parameters
    ----------
    choice
        ``auto``, or one kind only.
    workers
        Slots on the CPU; as many as cores this process may use where it is None.
    slots_per_gpu
        Jobs at once on each GPU; None leaves it to the runner, up to a job a core.

    Raises
    ------
    UserError
        If ``cuda`` is asked for and there is no GPU, or one is announced that cannot be listed.
    """
    gpus = () if choice == "cpu" else visible_gpus(os.environ)
    if gpus:
        slots = slots_per_gpu or max(1, min(_MOST, cores() // len(gpus)))
        # The same for all jobs of a run, however many there are beside one.
        threads = max(1, cores() // (len(gpus) * slots))
        models = visible_models(gpus, os.environ)
        return tuple(
            Device(f"cuda:{i}", gpu, slots, threads, True, model, packed=slots_per_gpu is None)
            for i, (gpu, model) in enumerate(zip(gpus, models, strict=True))
        )
    if choice == "cuda":
        raise UserError(
            "no GPU is to be seen",
            remedy="check nvidia-smi and CUDA_VISIBLE_DEVICES, or run on the CPU: --device cpu",
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


def visible_models(gpus: Sequence[str], environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return the name of each of these GPUs; empty where it is not certain which one it is."""
    names = parse_models(listing())
    # CUDA numbers GPUs of several models by speed, unless it is asked to do as the driver does.
    in_order = environment.get("CUDA_DEVICE_ORDER") == "PCI_BUS_ID" or len(set(names.values())) == 1
    found = []
    for gpu in gpus:
        fit = {name for known, name in names.items() if known == gpu or _is_uuid_of(gpu, known)}
        certain = len(fit) == 1 and (in_order or not gpu.isdigit())
        found.append(fit.pop() if certain else "")
    return tuple(found)


def _is_uuid_of(start: str, uuid: str) -> bool:
    return start.startswith("GPU-") and uuid.startswith(start)


def _present_gpus() -> tuple[str, ...]:
    if shutil.which("nvidia-smi") is not None:
        return parse_listing(listing())
    return tuple(str(i) for i, _ in enumerate(_of_driver()))


@lru_cache(maxsize=1)
def listing() -> str:
    """Return what ``nvidia-smi -L`` lists, asked once; nothing where there is no such command.

    Raises
    ------
    UserError
        If it fails, is too slow or lists none, and yet a GPU is announced: a run on the CPU in
        its place would go unnoticed.
    """
    command = shutil.which("nvidia-smi")
    if command is None:
        return ""
    try:
        answer = subprocess.run(
            [command, "-L"], capture_output=True, text=True, timeout=_PATIENCE, check=False
        )
    except subprocess.TimeoutExpired:
        return _without_list(f"nvidia-smi -L gave no answer within {_PATIENCE:g} s")
    except OSError as error:
        return _without_list(f"nvidia-smi cannot be executed: {error.strerror}")
    if answer.returncode:
        said = (answer.stderr.strip() or answer.stdout.strip()).partition("\n")[0]
        return _without_list(f"nvidia-smi -L failed ({answer.returncode}): {said}")
    if not parse_listing(answer.stdout):
        return _without_list("nvidia-smi -L lists none")
    return answer.stdout


def _without_list(why: str) -> str:
    signs = announced(os.environ)
    if not signs:
        return ""
    raise UserError(
        f"a GPU is announced ({signs}), but cannot be listed: {why}",
        remedy="see to the driver and the GPU, or run on the CPU: --device cpu",
    )


def announced(environment: Mapping[str, str]) -> str:
    """Return what announces a GPU on this machine; empty where nothing does."""
    asked = environment.get("CUDA_VISIBLE_DEVICES", "")
    if _of_driver():
        return str(_DRIVER)
    nodes = sorted(path.name for path in _NODES.glob("nvidia[0-9]*"))
    if nodes:
        return f"{_NODES}/{nodes[0]}"
    named = asked.split(",")[0].strip()
    is_one = named.isdigit() or named.startswith(("GPU-", "MIG-"))
    return f"CUDA_VISIBLE_DEVICES={asked}" if is_one else ""


def _of_driver() -> list[Path]:
    return sorted(_DRIVER.iterdir()) if _DRIVER.is_dir() else []


def parse_listing(text: str) -> tuple[str, ...]:
    """Return the GPUs of ``nvidia-smi -L``; of one that is divided, its MIG devices."""
    gpus: list[list[str]] = []
    for line in text.splitlines():
        if found := re.match(r"GPU (\d+):", line):
            gpus.append([found[1]])
        elif gpus and (found := re.match(r"\s+MIG .*UUID: (MIG-[^)\s]+)", line)):
            gpus[-1].append(found[1])
    return tuple(entry for gpu in gpus for entry in (gpu[1:] or gpu))


def parse_models(text: str) -> dict[str, str]:
    """Return number and UUID of each GPU of ``nvidia-smi -L`` to its name, but of divided ones."""
    found: dict[str, str] = {}
    whole: tuple[str, str] = ("", "")
    for line in text.splitlines():
        if row := re.match(r"GPU (\d+): (.*) \(UUID: (GPU-[^)\s]+)\)", line):
            whole = (row[1], row[3])
            found.update(dict.fromkeys(whole, row[2]))
        elif re.match(r"\s+MIG ", line):
            for name in whole:
                found.pop(name, None)
    return found


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
