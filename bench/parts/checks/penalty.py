"""The checks that every built-in penalty passes, run by ``bench test-method`` on a user's."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import numpy as np
import torch
from bench.methods.compose import penalty_class
from bench.methods.part import Penalty, Step
from bench.methods.synthetic import (
    SHAPES,
    Shape,
    in_float64,
    leaves,
    synthetic_step,
    tensors_of,
    with_leaves,
)
from torch import Tensor
from torch.autograd.gradcheck import GradcheckError, gradcheck

from bench.errors import UserError
from bench.spec.parts import installed_part, known_parts


@dataclass(frozen=True)
class Check:
    """One check's verdict; ``detail`` says what failed, or what was left out and why."""

    name: str
    passed: bool
    detail: str = ""


class _Failed(Exception):
    """What a check found wrong."""


def check_penalty(name: str, plugins: Sequence[str] = ()) -> list[Check]:
    """Run all checks on a penalty with its default parameters; a few seconds, no data needed.

    Parameters
    ----------
    name
        As in YAML: a built-in, one of the ``plugins``' or an installed package's.
    plugins
        Python files.

    Raises
    ------
    SpecError
        If there is no such penalty, or its file cannot be read or imported.
    """
    cls = penalty_class(name, plugins)
    checks: dict[str, Callable[[], str | None]] = {
        "signature": lambda: _signature(cls, name, plugins),
        "scalar": lambda: _scalar(cls),
        "gradient": lambda: _gradient(cls),
        "determinism": lambda: _determinism(cls),
        "pairing": lambda: _pairing(cls),
        "inputs": lambda: _inputs(cls),
        "precision": lambda: _precision(cls),
        "device": lambda: _device(cls),
        "invariants": lambda: _invariants(cls),
        "smoke run": lambda: _smoke_run(name, cls),
    }
    return [_run(check, function) for check, function in checks.items()]


def _run(name: str, function: Callable[[], str | None]) -> Check:
    try:
        return Check(name, True, function() or "")
    except _Failed as error:
        return Check(name, False, str(error))
    except Exception as error:
        # The part's author can do more with the place than with the message alone.
        place = error.__traceback__
        while place is not None and place.tb_next is not None:
            place = place.tb_next
        where = f", line {place.tb_lineno} of {_file_of(place)}" if place else ""
        return Check(name, False, f"{type(error).__name__}: {error}{where}")


def _file_of(place: Any) -> str:
    return Path(place.tb_frame.f_code.co_filename).name


def _expect(condition: bool, problem: str) -> None:
    if not condition:
        raise _Failed(problem)


def _instance(cls: type[Penalty]) -> Penalty:
    """Return the penalty with its defaults, and plain values where there is none."""
    given = {
        name: _plain_value(field.annotation)
        for name, field in cls.model_fields.items()
        if field.is_required()
    }
    return cls(**given)


def _plain_value(annotation: Any) -> object:
    if get_origin(annotation) is Literal:
        return get_args(annotation)[0]
    plain: dict[Any, object] = {float: 0.5, int: 1, bool: True, str: ""}
    return plain.get(annotation, 0.5)


def _step(cls: type[Penalty], shape: Shape = SHAPES[0], **how: Any) -> Step:
    return synthetic_step(shape, cls.needs, **how)


def _signature(cls: type[Penalty], name: str, plugins: Sequence[str]) -> None:
    part = known_parts(tuple(plugins)).get(name) or installed_part(name)
    if part is None:
        raise _Failed(f"{name!r} cannot be read from its file")
    read = {n: f.get_default() for n, f in part.parameters.model_fields.items()}
    real = {n: f.get_default() for n, f in cls.model_fields.items()}
    _expect(read == real, f"the file says {read}, but the class has {real}")
    _expect(tuple(part.needs) == tuple(cls.needs), f"needs is {cls.needs}, not {part.needs}")


def _scalar(cls: type[Penalty]) -> None:
    for shape in SHAPES:
        value = _instance(cls)(_step(cls, shape))
        _expect(isinstance(value, Tensor), f"gives a {type(value).__name__}, not a tensor")
        _expect(value.ndim == 0, f"gives a tensor of shape {tuple(value.shape)}, not a scalar")
        _expect(value.is_floating_point(), f"gives {value.dtype}")
        _expect(bool(torch.isfinite(value)), f"gives {value.item()}")


def _gradient(cls: type[Penalty]) -> None:
    term = _instance(cls)
    for shape in SHAPES:
        step = _step(cls, shape)
        inputs = leaves(step)
        value = term(step)
        _expect(value.requires_grad, "depends on nothing that trains")
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
            raise _Failed(f"differs from finite differences in float64: {text[:300]}") from error


def _value_and_gradients(term: Penalty, step: Step) -> list[Tensor]:
    value = term(step)
    gradients = torch.autograd.grad(value, leaves(step), allow_unused=True)
    return [value.detach(), *(g for g in gradients if g is not None)]


def _equal(first: Sequence[Tensor], second: Sequence[Tensor]) -> bool:
    return len(first) == len(second) and all(map(torch.equal, first, second))


def _determinism(cls: type[Penalty]) -> None:
    first, again = (_value_and_gradients(_instance(cls), _step(cls)) for _ in range(2))
    _expect(_equal(first, again), "two calls on equal steps differ")


def _pairing(cls: type[Penalty]) -> None:
    """A method may neither see nor move the streams that all methods share."""
    state = torch.get_rng_state(), random.getstate(), np.random.get_state()  # noqa: NPY002
    term = _instance(cls)
    first = _value_and_gradients(term, _step(cls))
    _expect(torch.equal(state[0], torch.get_rng_state()), "draws from torch's random stream")
    _expect(state[1] == random.getstate(), "draws from Python's random stream")
    drawn = np.random.get_state()  # noqa: NPY002
    _expect(repr(state[2]) == repr(drawn), "draws from NumPy's random stream")
    term(_step(cls, seed=1))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(12345)
        later = _value_and_gradients(term, _step(cls))
    _expect(_equal(first, later), "depends on more than its step: on earlier calls or a seed")


def _inputs(cls: type[Penalty]) -> None:
    step = _step(cls)
    before = {name: t.detach().clone() for name, t in tensors_of(step).items()}
    _value_and_gradients(_instance(cls), step)
    for name, tensor in tensors_of(step).items():
        _expect(torch.equal(before[name], tensor.detach()), f"changes step.{name}")
        _expect(tensor.grad is None, f"sets the gradient of step.{name}")


def _precision(cls: type[Penalty]) -> None:
    term = _instance(cls)
    for shape in SHAPES:
        single = _step(cls, shape, dtype=torch.float32)
        _close(term(single), term(in_float64(single)), 1e-3, "float32 and float64")
        half = _step(cls, shape, dtype=torch.float32, activations=torch.bfloat16)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            mixed = term(half)
        _close(mixed, term(in_float64(half)), 0.02, "bfloat16 under autocast and float64")


def _close(value: Tensor, reference: Tensor, tolerance: float, what: str) -> None:
    given, true = value.item(), reference.item()
    near = abs(given - true) <= tolerance * max(abs(true), 1e-6)
    _expect(near, f"{what} differ: {given!r} and {true!r}")


def _device(cls: type[Penalty]) -> str | None:
    if not torch.cuda.is_available():
        return "no GPU here: not tried on one"
    term = _instance(cls)
    for shape in SHAPES:
        here, there = (
            _value_and_gradients(term, _step(cls, shape, device=device))
            for device in ("cpu", "cuda")
        )
        same = all(torch.allclose(a, b.cpu(), rtol=1e-6) for a, b in zip(here, there, strict=True))
        _expect(same, "the GPU's value or gradient differs from the CPU's")
        _expect(all(t.is_cuda for t in there), "gives a CPU tensor for a step on the GPU")
    return None


def _invariants(cls: type[Penalty]) -> str | None:
    held: dict[str, bool] = {}
    for shape in SHAPES:
        for name, holds in cls.invariants(_step(cls, shape)).items():
            _expect(bool(holds), f"does not hold for features {shape}: {name}")
            held[name] = True
    return "; ".join(held) or "none stated"


def _smoke_run(name: str, cls: type[Penalty]) -> None:
    # The only check that needs the loop; the others must run without it.
    from bench.methods.smoke import smoke_run

    try:
        first, again = (smoke_run(name, _instance(cls)) for _ in range(2))
    except UserError as error:
        raise _Failed(str(error)) from error
    _expect(first == again, "two runs from the same start end in different states")
