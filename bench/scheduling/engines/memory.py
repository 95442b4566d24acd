"""What a process took of a GPU: by torch's allocator in the process, by the driver from outside."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_QUERY = ("--query-compute-apps=pid,gpu_uuid,used_memory", "--format=csv,noheader,nounits")
_MIB = 1024**2
# What has not answered for so long is asked anew.
_PATIENCE = 30.0


@dataclass(frozen=True)
class Memory:
    """Memory that a job took of its GPU, in bytes; None where nobody could tell.

    Attributes
    ----------
    device
        The GPU's name; empty where the job did not touch it.
    total
        Memory of the device.
    reserved, allocated
        Peaks of torch's allocator; 0 where the job did not touch the device.
    process
        Peak of the process as the driver tells it.
    """

    device: str = ""
    total: int | None = None
    reserved: int | None = None
    allocated: int | None = None
    process: int | None = None


def allocator_peak() -> Memory | None:
    """Return what torch's allocator took in this process; None where torch was not imported.

    It begins nothing: where CUDA was not begun with, nothing was taken. Nothing is told of a device
    that answers no more: what the job has come to counts all the same.
    """
    torch = sys.modules.get("torch")
    cuda = getattr(torch, "cuda", None)
    if cuda is None:
        return None
    if not cuda.is_initialized():
        return Memory(reserved=0, allocated=0)
    try:
        known = cuda.get_device_properties(0)
        return Memory(
            device=str(known.name),
            total=int(known.total_memory),
            reserved=int(cuda.max_memory_reserved(0)),
            allocated=int(cuda.max_memory_allocated(0)),
        )
    except RuntimeError:
        return None


def forget_peak() -> None:
    """Let the allocator's peak begin anew, in a process that executes several jobs."""
    cuda = getattr(sys.modules.get("torch"), "cuda", None)
    if cuda is not None and cuda.is_initialized():
        cuda.reset_peak_memory_stats(0)


class Processes:
    """The most memory that each process had, by ``nvidia-smi``, which is never waited for.

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
        self._peaks: dict[int, int] = {}

    def look(self) -> None:
        """Take in what was answered, and ask again when it is time."""
        now = time.monotonic()
        if self._asked is not None and self._asked.poll() is not None:
            answer, _ = self._asked.communicate()
            if self._asked.returncode == 0:
                for pid, used in parse_processes(answer).items():
                    self._peaks[pid] = max(used, self._peaks.get(pid, 0))
            self._asked = None
        if now >= self._next and self._command:
            self.close()
            self._next = now + (self._every if self._ask() else _PATIENCE)

    def begin(self, pid: int) -> None:
        """Forget an earlier process of the same number."""
        self._peaks.pop(pid, None)

    def end(self, pid: int) -> int | None:
        """Return the peak of a process that has ended, in bytes; None where none was told."""
        return self._peaks.pop(pid, None)

    def close(self) -> None:
        """Leave no process behind."""
        if self._asked is not None:
            self._asked.kill()
            self._asked.communicate()
            self._asked = None

    def _ask(self) -> bool:
        try:
            self._asked = subprocess.Popen(
                [*self._command, *_QUERY],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
        except OSError:
            return False
        return True


def parse_processes(text: str) -> Mapping[int, int]:
    """Return process to bytes of ``nvidia-smi --query-compute-apps`` as CSV.

    A process on several GPUs counts with the sum; one whose memory is not told is left out.
    """
    found: dict[int, int] = {}
    for line in text.splitlines():
        row = [part.strip() for part in line.split(",")]
        if len(row) == 3 and row[0].isdigit() and row[2].isdigit():
            found[int(row[0])] = found.get(int(row[0]), 0) + int(row[2]) * _MIB
    return found
