"""What the GPUs of this machine hold and do, asked of ``nvidia-smi`` without waiting for it."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.scheduling.device import Device

_FIELDS = "index,uuid,name,memory.used,memory.total,utilization.gpu"
_MIB = 1024**2
# What has not answered for so long is asked anew.
_PATIENCE = 30.0


@dataclass(frozen=True)
class Gpu:
    """A GPU at a moment.

    Attributes
    ----------
    used, total
        Memory in bytes, of all processes; None where the driver does not say.
    load
        Share of the last moment in which it computed, 0 to 1; None where the driver does not say.
    """

    index: str
    uuid: str
    name: str
    used: int | None
    total: int | None
    load: float | None


class Gpus:
    """The last answer of ``nvidia-smi``, which runs beside us: a slow driver delays nothing.

    Parameters
    ----------
    every
        Seconds between questions.
    command
        What is asked; looked for on the path where it is None.
    """

    def __init__(self, *, every: float = 2.0, command: Sequence[str] | None = None) -> None:
        found = shutil.which("nvidia-smi")
        self._command = command or ([found] if found else [])
        self._every = every
        self._next = 0.0
        self._asked: subprocess.Popen[str] | None = None
        self._known: tuple[Gpu, ...] = ()

    def look(self) -> tuple[Gpu, ...]:
        """Return what is known, and ask again when it is time; none before the first answer."""
        now = time.monotonic()
        if self._asked is not None and self._asked.poll() is not None:
            answer, _ = self._asked.communicate()
            self._known = parse_readings(answer) if self._asked.returncode == 0 else ()
            self._asked = None
        if now >= self._next and self._command:
            self.close()
            self._next = now + (self._every if self._ask() else _PATIENCE)
        return self._known

    def close(self) -> None:
        """Leave no process behind."""
        if self._asked is not None:
            self._asked.kill()
            self._asked.communicate()
            self._asked = None

    def _ask(self) -> bool:
        query = [f"--query-gpu={_FIELDS}", "--format=csv,noheader,nounits"]
        try:
            self._asked = subprocess.Popen(
                [*self._command, *query],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
        except OSError:
            self._known = ()
            return False
        return True


def parse_readings(text: str) -> tuple[Gpu, ...]:
    """Return the GPUs of ``nvidia-smi --query-gpu`` as CSV; lines of another form are left out."""
    rows = [[part.strip() for part in line.split(",")] for line in text.splitlines()]
    return tuple(
        Gpu(index, uuid, name, _bytes(used), _bytes(total), _share(load))
        for index, uuid, name, used, total, load in (row for row in rows if len(row) == 6)
    )


def gpu_of(
    device: Device, gpus: Sequence[Gpu], environment: Mapping[str, str] = os.environ
) -> Gpu | None:
    """Return the GPU that a device is; None where that is not certain.

    Of a divided GPU the driver tells no part's load. CUDA numbers GPUs of several models by speed
    unless it is asked to number them as ``nvidia-smi`` does.
    """
    if device.visible.startswith("GPU-"):
        found = [gpu for gpu in gpus if gpu.uuid.startswith(device.visible)]
    else:
        one_order = environment.get("CUDA_DEVICE_ORDER") == "PCI_BUS_ID"
        numbered = one_order or len({gpu.name for gpu in gpus}) == 1
        found = [gpu for gpu in gpus if numbered and gpu.index == device.visible]
    return found[0] if len(found) == 1 else None


def _bytes(mebibytes: str) -> int | None:
    return int(mebibytes) * _MIB if mebibytes.isdigit() else None


def _share(percent: str) -> float | None:
    return int(percent) / 100 if percent.isdigit() else None
