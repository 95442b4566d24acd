"""The checks of a transform, on random images, vectors, trajectories or tokens."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from bench.data.streams import Stream
from bench.parts.checks.common import (
    Checks,
    Subject,
    bound,
    expect,
    first_that_takes,
    same,
    twice,
    undrawn,
)
from bench.parts.checks.random_data import NETWORKS, RESNET, Inputs
from bench.parts.checks.trial import Trial, ends_in_one_state
from bench.parts.kinds import Transform

_ROWS = 6
# What a row may be, images first: a transform is checked on the first that it takes.
_KINDS = (
    RESNET,
    Inputs("none", (8,)),
    Inputs("none", (16, 6)),
    Inputs("none", (16,), tokens=True),
)


def checks(subject: Subject) -> Checks:
    """Return the checks of a transform."""
    return bound(
        subject,
        {
            "shape": _shape,
            "stream": _stream,
            "rows": _rows,
            "inputs": _inputs,
            "determinism": _determinism,
            "pairing": _pairing,
            "device": _device,
            "smoke run": _smoke_run,
        },
    )


class _Case:
    """A transform with inputs of a kind that it takes."""

    def __init__(self, subject: Subject) -> None:
        self.transform: Transform = subject.part()
        self.kind = first_that_takes(_KINDS, lambda kind: self(kind.draw(0, _ROWS)))
        self.inputs = self.kind.draw(0, _ROWS)

    def __call__(self, inputs: Tensor, key: int = 5) -> Tensor:
        return self.transform(inputs, Stream(key))

    @property
    def random(self) -> bool:
        return self.transform.random


def _shape(subject: Subject) -> str:
    case = _Case(subject)
    for rows in (_ROWS, 1):
        given = case.kind.draw(0, rows)
        changed: Any = case(given)
        expect(isinstance(changed, Tensor), f"gives a {type(changed).__name__}, not a tensor")
        expect(
            changed.shape == given.shape,
            f"gives shape {tuple(changed.shape)} for inputs {tuple(given.shape)}",
        )
        expect(changed.dtype == given.dtype, f"gives {changed.dtype} for {given.dtype}")
        expect(changed.device == given.device, f"gives a tensor on {changed.device}")
        expect(bool(torch.isfinite(changed).all()), "gives numbers that are not finite")
    return f"inputs {tuple(case.inputs.shape)}"


def _stream(subject: Subject) -> str:
    case = _Case(subject)
    twice(lambda: case(case.inputs), "two equal streams give two results")
    first = case(case.inputs, 0)
    differ = any(not same(first, case(case.inputs, key)) for key in range(1, 20))
    if case.random:
        expect(differ, "declares random = True, and gives the same for every stream")
    if not case.transform.draws:
        expect(not differ, "declares draws = False, and gives another result for another stream")
    return "differs by the stream" if differ else "the same for every stream"


def _rows(subject: Subject) -> str | None:
    case = _Case(subject)
    if case.random:
        return "not asked of a random transform"
    whole = case(case.inputs)
    problem = "a fixed transform's result for a row depends on the batch's other rows"
    for row in range(_ROWS):
        alone = case(case.inputs[row : row + 1])
        expect(torch.equal(alone[0], whole[row]), problem)
    turned = torch.arange(_ROWS - 1, -1, -1)
    expect(torch.equal(case(case.inputs[turned]), whole[turned]), problem)
    return None


def _inputs(subject: Subject) -> None:
    case = _Case(subject)
    given = case.inputs.clone()
    case(given)
    expect(torch.equal(given, case.inputs), "changes its inputs in place")


def _determinism(subject: Subject) -> None:
    inputs = _Case(subject).inputs
    twice(lambda: subject.part()(inputs, Stream(5)), "two equal parts give two results")


def _pairing(subject: Subject) -> None:
    case = _Case(subject)
    undrawn(lambda: case(case.inputs), between=lambda: case(case.inputs.flip(0), 6))


def _device(subject: Subject) -> str | None:
    if not torch.cuda.is_available():
        return "no GPU here: not tried on one"
    case = _Case(subject)
    there = case(case.inputs.cuda())
    expect(there.is_cuda, "gives a CPU tensor for inputs on the GPU")
    expect(torch.allclose(there.cpu(), case(case.inputs)), "the GPU's result differs")
    return None


def _smoke_run(subject: Subject) -> str | None:
    part = subject.part()

    def on(inputs: Inputs) -> Tensor:
        changed: Tensor = part(inputs.draw(0), Stream(0))
        return changed

    try:
        inputs = first_that_takes(NETWORKS, on)
    except Exception:
        return f"not run: no small network takes {_Case(subject).kind.shape}"
    ends_in_one_state(lambda: Trial(inputs, transforms={subject.name: part}))
    return None
