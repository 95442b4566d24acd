"""What a machine is, as far as cells must find it the same everywhere."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bench.errors import UserError
from bench.files import bytes_sha256
from bench.records.expect import versions_here
from bench.scheduling.device import Device
from bench.scheduling.engines.devices import devices
from bench.scheduling.engines.engine import EngineOptions

_PACKAGE = Path(__file__).parents[3]


@dataclass(frozen=True)
class Facts:
    """What a machine says of itself.

    Attributes
    ----------
    versions
        Library to version, of those that records name.
    code
        Digest of all of Retable's Python files.
    protected
        Whether its Ray asks for a token.
    problem
        Why it has no devices.
    """

    host: str
    versions: Mapping[str, str]
    code: str
    devices: tuple[Device, ...] = ()
    protected: bool = False
    problem: str = ""


def facts_here(options: EngineOptions) -> Facts:
    """Return the facts of this machine and process."""
    found: tuple[Device, ...] = ()
    problem = ""
    try:
        found = devices(
            options.device, workers=options.workers, slots_per_gpu=options.slots_per_gpu
        )
    except UserError as error:
        problem = error.message
    return Facts(
        host=platform.node(),
        versions=versions_here(),
        code=package_digest(),
        devices=found,
        protected=os.environ.get("RAY_AUTH_MODE", "").lower() == "token",
        problem=problem,
    )


@cache
def package_digest() -> str:
    """Return the digest of all Python files of this package."""
    files = sorted(_PACKAGE.rglob("*.py"))
    lines = [f"{file.relative_to(_PACKAGE)}\0{bytes_sha256(file.read_bytes())}" for file in files]
    return bytes_sha256("\n".join(lines).encode())


def differences(there: Facts, here: Facts) -> list[str]:
    """Return what of a node would give its cells other numbers than the runner's machine."""
    names = sorted({*there.versions, *here.versions})
    found = [
        f"{name} {there.versions.get(name, 'is missing')} there, "
        f"{here.versions.get(name, 'missing')} here"
        for name in names
        if there.versions.get(name) != here.versions.get(name)
    ]
    if there.code != here.code:
        found.append("Retable's code is other than here")
    return found
