"""Does torch compute on the GPU here, before any cell is given to it?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.doctor.examine import examine
from bench.doctor.finding import Asked
from bench.doctor.registry import check_of
from bench.errors import UserError
from bench.scheduling.device import Device
from bench.scheduling.engines.failures import kind_of


def gpu_problem(devices: Sequence[Device], store: Path) -> UserError | None:
    """Return why no cell would run on this machine's GPUs; None where one computes, or none is.

    A process of its own takes a step with a convolution's gradient and an eigh on the first of
    them: a wheel that the driver is too old for fails here, and not once a cell.
    """
    if not any(device.here for device in devices):
        return None
    ((_, finding),) = examine(Asked(store, "cuda"), [check_of("torch")])
    # One that others have filled for now is no GPU that cannot be used.
    full = kind_of(RuntimeError(finding.fact)) == "out-of-memory"
    if finding.mark != "fails" or full:
        return None
    return UserError(f"the GPU cannot be used: {finding.fact}", remedy=finding.remedy or None)
