"""A record as JSON text and back: canonical, versioned, plain data only."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from pydantic_core import from_json

from bench.records.record import STATUSES, Artifact, Curve, Failure, Outcome, Provenance, Record
from bench.spec.work import canonical_json

# Records before 2 knew no artifacts by name and no curves over anything but steps.
FORMAT = 2


class BrokenRecord(ValueError):
    """A text is not a record; the message says why."""


class OtherFormat(BrokenRecord):
    """A record is whole, but made by an older or newer Retable."""


def dump_outcome(outcome: Outcome) -> str:
    """Return an outcome as canonical JSON."""
    return canonical_json(_outcome_data(outcome))


def load_outcome(text: str | bytes) -> Outcome:
    """Return the outcome that :func:`dump_outcome` wrote.

    Raises
    ------
    BrokenRecord
        If the text is not one.
    """
    try:
        return _outcome(from_json(text))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BrokenRecord(f"{type(error).__name__}: {error}") from None


def dump_record(record: Record) -> str:
    """Return a record as one line of canonical JSON."""
    data = {
        "format": FORMAT,
        "cell": record.cell,
        "attempt": record.attempt,
        "started": record.started,
        "ended": record.ended,
        "seconds": record.seconds,
        "outcome": _outcome_data(record.outcome),
    }
    return canonical_json(data) + "\n"


def load_record(text: str | bytes) -> Record:
    """Return the record that :func:`dump_record` wrote.

    Raises
    ------
    BrokenRecord
        If the text is not JSON or incomplete; an :class:`OtherFormat` if another Retable made it.
    """
    try:
        data = from_json(text)
        _check_format(data["format"])
        return Record(
            cell=data["cell"],
            attempt=int(data["attempt"]),
            started=data["started"],
            ended=data["ended"],
            seconds=float(data["seconds"]),
            outcome=_outcome(data["outcome"]),
        )
    except BrokenRecord:
        raise
    except KeyError as error:
        raise BrokenRecord(f"{error} is missing") from None
    except (ValueError, TypeError, AttributeError) as error:
        raise BrokenRecord(str(error)) from None


def _outcome_data(outcome: Outcome) -> dict[str, Any]:
    return {
        "status": outcome.status,
        "metrics": {name: _number(value) for name, value in outcome.metrics.items()},
        "curves": {
            name: {
                "axis": curve.axis,
                "at": [_place(a) for a in curve.at],
                "value": [_number(v) for v in curve.value],
            }
            for name, curve in outcome.curves.items()
        },
        "timings": {name: _number(value) for name, value in outcome.timings.items()},
        "provenance": {
            name: _plain(getattr(outcome.provenance, name))
            for name in ("code", "data", "weights", "parents", "versions", "machine")
        },
        "artifacts": {name: asdict(artifact) for name, artifact in outcome.artifacts.items()},
        "failure": asdict(outcome.failure) if outcome.failure is not None else None,
    }


def _outcome(data: Mapping[str, Any]) -> Outcome:
    if data["status"] not in STATUSES:
        raise BrokenRecord(f"status {data['status']!r} is not known")
    failure = data["failure"]
    return Outcome(
        status=data["status"],
        metrics=_floats(data["metrics"]),
        curves={
            name: Curve(tuple(_places(curve["at"])), tuple(_values(curve["value"])), curve["axis"])
            for name, curve in data["curves"].items()
        },
        timings=_floats(data["timings"]),
        provenance=Provenance(**data["provenance"]),
        artifacts={name: Artifact(**artifact) for name, artifact in data["artifacts"].items()},
        failure=Failure(**failure) if failure is not None else None,
    )


def _check_format(number: object) -> None:
    if type(number) is not int:
        raise BrokenRecord(f"format {number!r} is none")
    if number != FORMAT:
        age = "an older" if number < FORMAT else "a newer"
        raise OtherFormat(f"it was made by {age} Retable (format {number}, not {FORMAT})")


def _place(value: float) -> float | int | str:
    # Most curves are over steps, and most steps are whole: they stay short and readable.
    return int(value) if float(value).is_integer() else _number(value)


def _number(value: float) -> float | str:
    # JSON has no infinities; an attempt that ended in NaN must still tell its curve.
    number = float(value)
    return number if math.isfinite(number) else str(number)


def _values(values: Iterable[float | str]) -> Iterable[float]:
    return map(float, values)


def _places(values: Iterable[float | str]) -> Iterable[float]:
    return (float(value) if isinstance(value, str) else value for value in values)


def _floats(data: Mapping[str, float | str]) -> dict[str, float]:
    return {name: float(value) for name, value in data.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value
