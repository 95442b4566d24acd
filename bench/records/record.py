"""The record: the immutable outcome of an attempt, as written to the store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from bench.spec.cell import CHOICE
from bench.spec.metrics import of_machine

# The metric of a choice that is the number of the candidate.
CHOSEN = "choice/candidate"

Status = Literal["done", "failed", "timed-out", "cancelled"]
FailureKind = Literal[
    "error", "user-error", "signal", "exit", "out-of-memory", "not-a-number", "time-limit",
    "parent", "interrupt", "network",
]  # fmt: skip
STATUSES: tuple[Status, ...] = get_args(Status)
FAILURE_KINDS: tuple[FailureKind, ...] = get_args(FailureKind)


@dataclass(frozen=True)
class Failure:
    """Why an attempt did not end as done.

    ``detail`` is a traceback, or the log's tail of a process that died.
    """

    kind: FailureKind
    message: str
    detail: str = ""


@dataclass(frozen=True)
class Curve:
    """A metric over an axis: ``value[i]`` at ``at[i]``.

    Attributes
    ----------
    at, value
        Of one length.
    axis
        What ``at`` counts: ``step``, ``task``, ``epsilon``.

    Raises
    ------
    ValueError
        If the lengths differ.
    """

    at: tuple[float, ...]
    value: tuple[float, ...]
    axis: str = "step"

    def __post_init__(self) -> None:
        if len(self.at) != len(self.value):
            raise ValueError(f"{len(self.at)} places for {len(self.value)} values")


@dataclass(frozen=True)
class Artifact:
    """A file an attempt left in its cell's folder; ``sha256`` is of the bytes written."""

    file: str
    sha256: str


@dataclass(frozen=True)
class Provenance:
    """What an attempt was made of.

    Attributes
    ----------
    code
        Unit of code to its digest: ``train``, ``measure``, …, ``KIND:NAME`` of each part used,
        ``data:SOURCE`` of each dataset's source.
    data
        Digests: ``dataset`` (all splits as loaded), ``subset`` (the rows trained on), ``test``;
        and plain facts (``revision``, ``train_images``, …). Of several tasks ``TASK/dataset``, ….
        ``sources``: dataset to digest of what the cell was tested on for forgetting.
    weights
        Role to ``source`` and ``sha256`` of the state begun with, and ``file``, the digest of the
        bytes of a file that was named. A training has the role ``start``.
    parents
        Role to ``{"id", "artifact", "attempt", "sha256"}`` of the artifact used; of a choice also
        ``candidate``, the number of what it has chosen.
    versions
        Library to version.
    machine
        Host-independent facts: processor, device, threads, operating system; of a GPU also its
        capability, driver and cuDNN. With the versions they say on what kind of machine it was.
    numerics
        Torch's settings while it ran: how float32 was multiplied, determinism. Older records say
        nothing of them.
    """

    code: Mapping[str, str] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)
    weights: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    parents: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    machine: Mapping[str, str] = field(default_factory=dict)
    numerics: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What an engine returns for an attempt; the store turns it into a record.

    ``metrics`` maps names such as ``test/top1`` to fractions in [0, 1] (losses to nats); names
    that begin with ``machine/`` tell of the machine, and another run gives other numbers;
    ``timings`` maps phases to seconds; ``artifacts`` maps names such as ``checkpoint`` to files.
    """

    status: Status
    metrics: Mapping[str, float] = field(default_factory=dict)
    curves: Mapping[str, Curve] = field(default_factory=dict)
    timings: Mapping[str, float] = field(default_factory=dict)
    provenance: Provenance = field(default_factory=Provenance)
    artifacts: Mapping[str, Artifact] = field(default_factory=dict)
    failure: Failure | None = None


def earlier_seconds(outcome: Outcome) -> float:
    """Return the seconds of attempts before that count, of one that went on from a saved state."""
    return outcome.timings.get("earlier_s", 0.0)


def candidate_of(outcome: Outcome) -> int | None:
    """Return the number of the candidate by which an attempt trained; None of other attempts."""
    number = outcome.provenance.parents.get(CHOICE, {}).get("candidate")
    return None if number is None else int(number)


def chosen_in(outcome: Outcome) -> int | None:
    """Return the number of the candidate that an attempt at a choice has chosen."""
    number = outcome.metrics.get(CHOSEN)
    return None if number is None else int(number)


@dataclass(frozen=True)
class Usage:
    """What an attempt took of its GPU; memory in bytes, None where nobody could tell.

    Attributes
    ----------
    device
        The GPU's name, as the driver has it; empty where it is not known.
    total
        Memory of the device.
    reserved, allocated
        Peaks of torch's allocator in the attempt's process. 0 where it never touched the device.
    process
        Peak of the process as the driver tells it, its context included.
    beside
        Ids of this runner's cells that were on the device at the same time, be it for a moment.
    seconds
        Seconds of the device: while n cells share it, each is given an n-th of the time.
    """

    device: str = ""
    total: int | None = None
    reserved: int | None = None
    allocated: int | None = None
    process: int | None = None
    beside: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def alone(self) -> bool:
        """Whether no other cell of its runner was on the device."""
        return not self.beside


@dataclass(frozen=True)
class Record:
    """An outcome with its place: which cell, which attempt, when (UTC, ISO 8601), for how long.

    ``usage`` tells of the machine and not of the cell; it is None on a CPU, and of older records.
    """

    cell: Mapping[str, Any]
    attempt: int
    started: str
    ended: str
    seconds: float
    outcome: Outcome
    usage: Usage | None = None

    @property
    def id(self) -> str:
        """Id of the cell."""
        return str(self.cell["id"])

    @property
    def done(self) -> bool:
        """Whether the attempt ended as done."""
        return self.outcome.status == "done"


def same_numbers(one: Outcome, other: Outcome) -> bool:
    """Return whether two outcomes measured the same, bit for bit.

    What tells of the machine, such as seconds, does not count.
    """
    # As text a NaN is what it is, and -0 is not 0.
    ours, theirs = (
        repr((_of_the_cell(outcome.metrics), _of_the_cell(outcome.curves)))
        for outcome in (one, other)
    )
    return ours == theirs


def _of_the_cell(values: Mapping[str, Any]) -> list[tuple[str, Any]]:
    return sorted((name, value) for name, value in values.items() if not of_machine(name))
