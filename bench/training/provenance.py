"""What an attempt was made of, for its record."""

from __future__ import annotations

import platform
import re
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

import bench
from bench.models.weights import LoadedBackbone
from bench.records.code import code_digests, units_of
from bench.records.record import Provenance
from bench.scheduling.job import Job
from bench.training.numeric_settings import told

_cudnn: Any = torch.backends.cudnn
_LIBRARIES = ("torch", "torchvision", "timm", "numpy", "Pillow")


def provenance(
    job: Job,
    data: Mapping[str, Any],
    device: torch.device,
    loaded: Mapping[str, LoadedBackbone],
) -> Provenance:
    """Return the provenance of an attempt: code, data, weights, parents, versions, machine.

    Parameters
    ----------
    loaded
        Role to the network it began with.
    """
    return Provenance(
        code=code_digests(units_of(job.cell, job.resources)),
        data=data,
        weights={role: _origin(network) for role, network in loaded.items()},
        parents={
            role: {
                "id": parent.id,
                "artifact": parent.name,
                "attempt": parent.attempt,
                "sha256": parent.sha256,
            }
            for role, parent in job.parents.items()
        },
        versions=versions(),
        machine=machine(device, job.threads),
        numerics=told(),
    )


def _origin(loaded: LoadedBackbone) -> dict[str, str]:
    found = {"source": loaded.source, "sha256": loaded.sha256}
    return found | ({"file": loaded.file} if loaded.file else {})


def versions() -> dict[str, str]:
    """Return the versions of what can change a number."""
    found = {"python": platform.python_version(), "retable": bench.__version__}
    for name in _LIBRARIES:
        try:
            found[name.lower()] = version(name)
        except PackageNotFoundError:  # an optional build under another name
            continue
    return found


def machine(device: torch.device, threads: int) -> dict[str, str]:
    """Return facts about the machine that hold for any host of its kind."""
    facts = {
        "processor": _processor(),
        "device": "cpu",
        "threads": str(threads),
        "os": f"{platform.system()} {platform.machine()}",
    }
    if device.type == "cuda":
        facts["device"] = torch.cuda.get_device_name(device)
        facts["cuda"] = str(torch.version.cuda)
        facts |= _gpu(device)
    return facts


def _gpu(device: torch.device) -> dict[str, str]:
    """Return what decides a GPU's kernels beside its name: the same bits need the same."""
    major, minor = torch.cuda.get_device_capability(device)
    return {
        "capability": f"{major}.{minor}",
        "cudnn": str(_cudnn.version()),
        "driver": _driver(),
    }


@cache
def _driver() -> str:
    try:
        text = Path("/proc/driver/nvidia/version").read_text(encoding="utf-8")
    except OSError:
        text = ""
    found = re.search(r"\s(\d+\.\d+(?:\.\d+)*)\s", text)
    return found[1] if found else "unknown"


@cache
def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()
