"""The checks of a penalty, on synthetic steps and two real ones."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd.gradcheck import GradcheckError, gradcheck

from bench.parts.checks.common import (
    Checks,
    Failed,
    Subject,
    bound,
    close,
    expect,
    twice,
    undrawn,
)
from bench.parts.checks.synthetic import (
    SHAPES,
    Shape,
    in_float64,
    leaves,
    synthetic_step,
    tensors_of,
    with_leaves,
)
from bench.parts.checks.trial import Trial, ends_in_one_state
from bench.parts.kinds import Penalty, Step


def checks(subject: Subject) -> Checks:
    """Return the checks of a penalty."""
    return bound(
        subject,
        {
            # First: what it does once only, at its first call in a process, is seen too.
            "pairing": _pairing,
            "scalar": _scalar,
            "gradient": _gradient,
            "determinism": _determinism,
            "inputs": _inputs,
            "precision": _precision,
            "device": _device,
            "invariants": _invariants,
            "smoke run": _smoke_run,
        },
    )


def _class(subject: Subject) -> type[Penalty]:
    return cast(type[Penalty], subject.cls)


def _step(subject: Subject, shape: Shape = SHAPES[0], **how: Any) -> Step:
    return synthetic_step(shape, _class(subject).needs, **how)


def _scalar(subject: Subject) -> None:
    for shape, dtype in product(SHAPES, (torch.float64, torch.float32)):
        step = _step(subject, shape, dtype=dtype)
        value = subject.part()(step)
        expect(isinstance(value, Tensor), f"gives a {type(value).__name__}, not a tensor")
        expect(value.ndim == 0, f"gives a tensor of shape {tuple(value.shape)}, not a scalar")
        expect(value.dtype == dtype, f"gives {value.dtype} for a step of {dtype}")
        expect(bool(torch.isfinite(value)), f"gives {value.item()}")


def _gradient(subject: Subject) -> None:
    term = subject.part()
    for shape in SHAPES:
        step = _step(subject, shape)
        inputs = leaves(step)
        value = term(step)
        expect(value.requires_grad, "depends on nothing that trains")
        tolerance = 1e-7 * max(1.0, abs(value.item()))
        try:
            gradcheck(
                lambda *given, step=step: term(with_leaves(step, given)),
                inputs,
                atol=tolerance,
                rtol=1e-5,
                masked=False,
            )
        except GradcheckError as error:
            text = " ".join(str(error).split())
            raise Failed(f"differs from finite differences in float64: {text[:300]}") from error


def _value_and_gradients(term: Penalty, step: Step) -> list[Tensor]:
    value = term(step)
    # Of what is no scalar too: another check tells of that.
    gradients = torch.autograd.grad(value.sum(), leaves(step), allow_unused=True)
    return [value.detach(), *(g for g in gradients if g is not None)]


def _determinism(subject: Subject) -> None:
    twice(
        lambda: _value_and_gradients(subject.part(), _step(subject)),
        "two calls on equal steps differ",
    )


def _pairing(subject: Subject) -> None:
    """A method may neither see nor move the streams that all methods share."""
    for dtype in (torch.float64, torch.float32):
        _undrawn_in(subject, dtype)


def _undrawn_in(subject: Subject, dtype: torch.dtype) -> None:
    term = subject.part()
    undrawn(
        lambda: _value_and_gradients(term, _step(subject, dtype=dtype)),
        between=lambda: term(_step(subject, seed=1)),
    )


def _inputs(subject: Subject) -> None:
    step = _step(subject)
    before = {name: t.detach().clone() for name, t in tensors_of(step).items()}
    _value_and_gradients(subject.part(), step)
    for name, tensor in tensors_of(step).items():
        expect(torch.equal(before[name], tensor.detach()), f"changes step.{name}")
        expect(tensor.grad is None, f"sets the gradient of step.{name}")


def _precision(subject: Subject) -> None:
    term = subject.part()
    for shape in SHAPES:
        single = _step(subject, shape, dtype=torch.float32)
        _near(term(single), term(in_float64(single)), 1e-3, "float32 and float64")
        half = _step(subject, shape, dtype=torch.float32, activations=torch.bfloat16)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            mixed = term(half)
        _near(mixed, term(in_float64(half)), 0.02, "bfloat16 under autocast and float64")


def _near(value: Tensor, reference: Tensor, tolerance: float, what: str) -> None:
    close(value.item(), reference.item(), tolerance, what)


def _device(subject: Subject) -> str | None:
    if not torch.cuda.is_available():
        return "no GPU here: not tried on one"
    term = subject.part()
    for shape in SHAPES:
        here, there = (
            _value_and_gradients(term, _step(subject, shape, device=device))
            for device in ("cpu", "cuda")
        )
        _agree(here, there)
    return None


def _agree(here: Sequence[Tensor], there: Sequence[Tensor]) -> None:
    alike = all(torch.allclose(a, b.cpu(), rtol=1e-6) for a, b in zip(here, there, strict=True))
    expect(alike, "the GPU's value or gradient differs from the CPU's")
    expect(all(t.is_cuda for t in there), "gives a CPU tensor for a step on the GPU")


def _invariants(subject: Subject) -> str | None:
    held: dict[str, bool] = {}
    for shape in SHAPES:
        for name, holds in _class(subject).invariants(_step(subject, shape)).items():
            expect(bool(holds), f"does not hold for features {shape}: {name}")
            held[name] = True
    return "; ".join(held) or "none stated"


def _smoke_run(subject: Subject) -> None:
    ends_in_one_state(
        lambda: Trial(penalties={subject.name: subject.part()}, plugins=subject.plugins)
    )
