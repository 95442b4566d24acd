"""The checks of an initialisation of the head."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.data.streams import Stream
from bench.parts.checks.common import Checks, Subject, bound, expect, same, twice, undrawn
from bench.parts.checks.trial import Trial, ends_in_one_state
from bench.parts.kinds import Array

# Outputs and features: more of either, and as few as there can be.
_SIZES = ((3, 16), (16, 3), (1, 5), (4, 1))


def checks(subject: Subject) -> Checks:
    """Return the checks of an initialisation of the head."""
    return bound(
        subject,
        {
            "shape": _shape,
            "stream": _stream,
            "determinism": _determinism,
            "pairing": _pairing,
            "smoke run": _smoke_run,
        },
    )


def _weights(part: Any, key: int = 0) -> list[Array]:
    return [part.weights(outputs, features, Stream(key)) for outputs, features in _SIZES]


def _shape(subject: Subject) -> None:
    for size, weights in zip(_SIZES, _weights(subject.part()), strict=True):
        given: Any = weights
        expect(isinstance(given, np.ndarray), f"gives a {type(given).__name__}, not an array")
        expect(given.shape == size, f"gives shape {given.shape} for (outputs, features) {size}")
        expect(given.dtype == np.float64, f"gives {given.dtype}, not float64")
        expect(bool(np.isfinite(given).all()), f"gives numbers that are not finite for {size}")


def _stream(subject: Subject) -> str:
    part = subject.part()
    twice(lambda: _weights(part), "two equal streams give two heads")
    if same(_weights(part), _weights(part, 1)):
        return "the same for every stream"
    return "differs by the stream"


def _determinism(subject: Subject) -> None:
    twice(lambda: _weights(subject.part()), "two equal parts give two heads")


def _pairing(subject: Subject) -> None:
    part = subject.part()
    undrawn(lambda: _weights(part), between=lambda: _weights(part, 1))


def _smoke_run(subject: Subject) -> None:
    ends_in_one_state(lambda: Trial(head=subject.part()))
