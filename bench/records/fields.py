"""What a record's JSON holds, field by field: types and ranges, checked as it is parsed."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    GetPydanticSchema,
    TypeAdapter,
    with_config,
)
from typing_extensions import TypedDict

from bench.records.record import FailureKind, Status

_STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)
# JSON has no infinities; an attempt that ended in NaN must still tell its curve.
_NotFinite = Annotated[Literal["nan", "inf", "-inf"], AfterValidator(float)]
# The first kind that fits is it: trying all of them for each point takes twice as long.
_IN_TURN = Field(union_mode="left_to_right")
_Number = Annotated[float | _NotFinite, _IN_TURN]
_Place = Annotated[int | float | _NotFinite, _IN_TURN]
# However it was written, a number is read as one.
Number = Annotated[float, GetPydanticSchema(lambda _, schema_of: schema_of(_Number))]
Place = Annotated[float, GetPydanticSchema(lambda _, schema_of: schema_of(_Place))]
Seconds = Annotated[float, Field(ge=0)]
Bytes = Annotated[int, Field(ge=0)]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
CellId = Annotated[str, Field(pattern="^[0-9a-f]{20}$")]
# A name in the cell's own folder, and no path to anywhere else.
FileName = Annotated[str, Field(pattern=r"^[^/\\\x00]+$", min_length=3)]


@with_config(_STRICT)
class ParentFields(TypedDict):
    """A cell that another one starts from."""

    id: CellId
    artifact: str


@with_config(_STRICT)
class CellFields(TypedDict):
    """A cell as :meth:`bench.spec.cell.Cell.to_json` tells it."""

    id: CellId
    kind: str
    seed: int
    parents: dict[str, ParentFields]
    work: dict[str, Any]
    settings: dict[str, Any]


@with_config(_STRICT)
class CurveFields(TypedDict):
    """A curve; that it is not ragged :class:`bench.records.record.Curve` says."""

    axis: str
    at: list[Place]
    value: list[Number]


@with_config(_STRICT)
class ProvenanceFields(TypedDict):
    """What an attempt was made of."""

    code: dict[str, str]
    data: dict[str, Any]
    weights: dict[str, dict[str, str]]
    parents: dict[str, dict[str, str | int]]
    versions: dict[str, str]
    machine: dict[str, str]
    numerics: NotRequired[dict[str, str]]


@with_config(_STRICT)
class ArtifactFields(TypedDict):
    """A file an attempt left."""

    file: FileName
    sha256: str


@with_config(_STRICT)
class FailureFields(TypedDict):
    """Why an attempt did not end as done."""

    kind: FailureKind
    message: str
    detail: str


@with_config(_STRICT)
class OutcomeFields(TypedDict):
    """An outcome."""

    status: Status
    metrics: dict[str, Number]
    curves: dict[str, CurveFields]
    timings: dict[str, Seconds]
    provenance: ProvenanceFields
    artifacts: dict[str, ArtifactFields]
    failure: FailureFields | None


@with_config(_STRICT)
class UsageFields(TypedDict):
    """What an attempt took of its GPU."""

    device: str
    total: Annotated[int, Field(ge=1)] | None
    reserved: Bytes | None
    allocated: Bytes | None
    process: Bytes | None
    beside: list[CellId]
    seconds: Seconds


@with_config(_STRICT)
class AttemptFields(TypedDict):
    """A record without its cell."""

    attempt: Annotated[int, Field(ge=1, le=9999)]
    ended: str
    outcome: OutcomeFields
    seconds: Seconds
    started: str
    usage: NotRequired[UsageFields]


@with_config(_STRICT)
class RecordFields(AttemptFields):
    """A record."""

    cell: CellFields


_attempt = TypeAdapter(AttemptFields)
_record = TypeAdapter(RecordFields)
_outcome = TypeAdapter(OutcomeFields)


def read_record(text: bytes) -> RecordFields:
    """Return a record's fields; pydantic's ValidationError, a ValueError, names what is wrong."""
    return _record.validate_json(text)


def read_attempt(text: bytes) -> AttemptFields:
    """Return the fields of a record without its cell; raises as :func:`read_record` does."""
    return _attempt.validate_json(text)


def read_outcome(text: bytes | str) -> OutcomeFields:
    """Return an outcome's fields; raises as :func:`read_record` does."""
    return _outcome.validate_json(text)
