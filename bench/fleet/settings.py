"""What a user says of the cluster: ``slurm.yaml`` beside a suite, or a section of their own."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from bench.errors import SpecError
from bench.spec.loader import load_yaml
from bench.spec.problems import Source, validate
from bench.spec.recipe import Frozen

NAME = "slurm.yaml"
SECTION = "slurm"
# `[days-]hours:minutes:seconds`, and `days-hours[:minutes]`; minutes alone are a number.
_CLOCK = re.compile(r"(?:(\d+)-)?(\d+):([0-5]\d):([0-5]\d)\Z")
_DAYS = re.compile(r"(\d+)-(\d+)(?::([0-5]\d))?\Z")
_MEMORY = re.compile(r"\d+(?:\.\d+)?[KMGT]B?\Z")
_OPTION = re.compile(r"[a-z][a-z0-9-]*\Z")
# What a fleet itself says to sbatch: its parts would not find one another, or not requeue.
_OURS = frozenset({
    "account", "array", "comment", "cpus-per-task", "error", "gpus", "gpus-per-node", "job-name",
    "mem", "nodes", "ntasks", "ntasks-per-node", "open-mode", "output", "partition", "requeue",
    "no-requeue", "signal", "time", "wckey",
})  # fmt: skip


def _minutes(value: Any) -> Any:
    """Return Slurm's ways to write a time as whole minutes, rounded up."""
    if not isinstance(value, str):
        return value
    if found := _CLOCK.match(value):
        days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
        return (days * 24 + hours) * 60 + minutes + (seconds > 0)
    if found := _DAYS.match(value):
        days, hours, minutes = (int(part or 0) for part in found.groups())
        return (days * 24 + hours) * 60 + minutes
    raise ValueError("is a number of minutes, or HOURS:MINUTES:SECONDS, or DAYS-HOURS")


def _memory(value: str) -> str:
    if not _MEMORY.match(value):
        raise ValueError("is a number with a unit, such as 32G")
    return value


def _options(value: dict[str, Any]) -> dict[str, Any]:
    for name in value:
        if not _OPTION.match(name):
            raise ValueError(f"{name!r} is no option: write it as sbatch's, without the dashes")
        if name in _OURS:
            raise ValueError(f"{name!r} is set by the fleet, or by a setting of its own")
    return value


class SlurmSettings(Frozen):
    """How each pilot is asked for; no part of a cell's id.

    Attributes
    ----------
    gpus, cpus, memory
        Of one pilot; without GPUs it runs cells on its ``cpus``.
    time
        Minutes until Slurm ends a pilot; it then goes on in another job.
    notice
        Seconds before that at which the pilot lets its cells go.
    max_pilots
        Pilots at a time.
    setup
        Lines of shell that each job runs first.
    sbatch
        Further options of ``sbatch`` by name; ``true`` for one that has no value.
    """

    partition: str | None = None
    account: str | None = None
    gpus: int = Field(default=1, ge=0)
    cpus: int = Field(default=1, ge=1)
    memory: Annotated[str, AfterValidator(_memory)] | None = None
    time: Annotated[int, BeforeValidator(_minutes), Field(ge=1)] = 240
    notice: int = Field(default=120, ge=1)
    max_pilots: int = Field(default=4, ge=1)
    setup: list[str] = []
    sbatch: Annotated[dict[str, str | int | bool], AfterValidator(_options)] = {}


def slurm_settings(file: Path | None, suites: Sequence[Path]) -> SlurmSettings:
    """Return the settings in a file, else beside the suites, else the user's own.

    Parameters
    ----------
    file
        A file that was named; None where it is to be found.
    suites
        Files of the suites that are to run.

    Raises
    ------
    SpecError
        If a file is not valid, or two suites have different ones beside them.
    """
    if file is not None:
        return _read(file, ())
    beside = {suite.parent / NAME for suite in suites if (suite.parent / NAME).is_file()}
    if len(beside) > 1:
        several = ", ".join(map(str, sorted(beside)))
        raise SpecError(f"these suites have several: {several}", remedy="name one by --settings")
    if beside:
        return _read(beside.pop(), ())
    home = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    own = Path(home) / "retable.yaml"
    return _read(own, (SECTION,)) if own.is_file() else SlurmSettings()


def _read(file: Path, section: tuple[str, ...]) -> SlurmSettings:
    document = load_yaml(file)
    data = document.data
    for key in section:
        if not isinstance(data, dict):
            raise SpecError("must be a mapping", file=file, line=1)
        data = data.get(key, {})
    if not isinstance(data, dict):
        raise SpecError("must be a mapping", file=file, line=1)
    return validate(SlurmSettings, data, [Source(document, section)])
