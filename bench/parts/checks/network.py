"""The checks of a network that is not timm's."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from bench.models.weights import NetworkBuilder
from bench.parts.checks.common import (
    Checks,
    Subject,
    bound,
    expect,
    first_that_takes,
    same,
    shared_streams,
)
from bench.parts.checks.random_data import Inputs
from bench.parts.checks.trial import Trial, ends_in_one_state

_ROWS = 4


class _Kind(NamedTuple):
    """Two shapes of one kind of inputs."""

    name: str
    shapes: tuple[tuple[int, ...], tuple[int, ...]]
    tokens: bool = False


# Whatever is built for the first kind that a network takes is checked.
_KINDS = (
    _Kind("images", ((3, 64, 64), (3, 32, 32))),
    _Kind("vectors", ((12,), (20,))),
    _Kind("trajectories", ((16, 6), (24, 4))),
    _Kind("tokens", ((16,), (24,)), tokens=True),
)


def checks(subject: Subject) -> Checks:
    """Return the checks of a network."""
    return bound(
        subject,
        {
            "features": _features,
            "gradients": _gradients,
            "rows": _rows,
            "state": _state,
            "determinism": _determinism,
            "pairing": _pairing,
            "smoke run": _smoke_run,
        },
    )


def _inputs(subject: Subject) -> tuple[Inputs, ...]:
    """Return inputs of the two shapes of the first kind that the network takes."""
    part = subject.part()
    builder = NetworkBuilder(subject.name, part.build)

    def of(kind: _Kind) -> tuple[Inputs, ...]:
        return tuple(Inputs(builder, shape, kind.tokens) for shape in kind.shapes)

    def run(kind: _Kind) -> None:
        for inputs in of(kind):
            with torch.random.fork_rng(devices=[]):
                part.build(inputs.shape)(inputs.draw(0, _ROWS))

    return of(first_that_takes(_KINDS, run))


def _build(subject: Subject, inputs: Inputs, seed: int = 0) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module: nn.Module = subject.part().build(inputs.shape)
    return module


def _features(subject: Subject) -> str:
    described = []
    for inputs in _inputs(subject):
        module = _build(subject, inputs)
        width: Any = getattr(module, "num_features", None)
        whole = isinstance(width, int) and not isinstance(width, bool) and width > 0
        expect(whole, f"num_features is {width!r}, not the number of features")
        found: Any = module(inputs.draw(0, _ROWS))
        expect(isinstance(found, Tensor), f"gives a {type(found).__name__}, not a tensor")
        expect(
            tuple(found.shape) == (_ROWS, width),
            f"gives shape {tuple(found.shape)}, and num_features says {(_ROWS, width)}",
        )
        expect(found.dtype == torch.float32, f"gives {found.dtype}, not float32")
        expect(bool(torch.isfinite(found).all()), "gives features that are not finite")
        described.append(f"{inputs.shape} to {width}")
    return ", ".join(described)


def _gradients(subject: Subject) -> None:
    for inputs in _inputs(subject):
        module = _build(subject, inputs).train()
        _leave_zero(module)
        weights = torch.linspace(0.5, 1.5, int(module.num_features))  # type: ignore[arg-type]
        torch.autograd.backward((module(inputs.draw(0, 8)) * weights).square().sum())
        for name, parameter in module.named_parameters():
            gradient = parameter.grad
            expect(gradient is not None, f"no gradient reaches {name}")
            assert gradient is not None
            expect(bool(torch.isfinite(gradient).all()), f"the gradient of {name} is not finite")
            expect(bool(gradient.any()), f"the gradient of {name} is zero")


def _leave_zero(module: nn.Module) -> None:
    """Move what begins at zero: before a residual branch that does, no gradient can be seen."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            if not parameter.any():
                parameter.copy_(0.01 * torch.randn(parameter.shape, generator=generator))


def _outputs(module: nn.Module, inputs: Tensor) -> Tensor:
    with torch.no_grad():
        found: Tensor = module.eval()(inputs)
    return found


def _rows(subject: Subject) -> None:
    """When it is scored, a batch's other rows do not matter."""
    for inputs in _inputs(subject):
        module = _build(subject, inputs)
        drawn = inputs.draw(0, _ROWS)
        whole = _outputs(module, drawn)
        alone = torch.cat([_outputs(module, drawn[row : row + 1]) for row in range(_ROWS)])
        near = torch.allclose(alone, whole, rtol=1e-4, atol=1e-5)
        expect(near, "in evaluation mode a row's features depend on the batch's other rows")


def _state(subject: Subject) -> None:
    for inputs in _inputs(subject):
        first, other = _build(subject, inputs), _build(subject, inputs, seed=1)
        other.load_state_dict(first.state_dict())
        drawn = inputs.draw(0, _ROWS)
        expect(
            same(_outputs(first, drawn), _outputs(other, drawn)),
            "its state_dict does not hold all that the function depends on",
        )


def _determinism(subject: Subject) -> None:
    for inputs in _inputs(subject):
        drawn = inputs.draw(0, _ROWS)
        first, again = (_build(subject, inputs) for _ in range(2))
        alike = same(first.state_dict(), again.state_dict())
        expect(alike, "two networks from one state of torch's stream differ")
        expect(
            same(_outputs(first, drawn), _outputs(again, drawn)), "two passes of one batch differ"
        )


def _pairing(subject: Subject) -> str:
    """Weights come from torch's stream, which is the cell's own where networks are built."""
    states = []
    for inputs in _inputs(subject):
        for seed in (1, 2):
            with shared_streams(seed, torch_too=False):
                module = subject.part().build(inputs.shape)
            with shared_streams(seed):
                _outputs(module, inputs.draw(0, _ROWS))
            states.append(module.state_dict())
    if same(states[0], states[1]):
        return "the same weights for every seed"
    return "weights differ by the seed"


def _smoke_run(subject: Subject) -> None:
    inputs = _inputs(subject)[0]
    ends_in_one_state(lambda: Trial(inputs))
