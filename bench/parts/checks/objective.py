"""The checks of an objective, on random outputs and targets."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.gradcheck import GradcheckError, gradcheck
from torch.nn.functional import one_hot

from bench.data.streams import Stream
from bench.errors import UserError
from bench.models.network import NetworkOutput
from bench.parts.checks.common import (
    Checks,
    Failed,
    Subject,
    bound,
    close,
    expect,
    first_that_takes,
    same,
    twice,
    undrawn,
)
from bench.parts.checks.random_data import RESNET, SENTENCES, Facts, facts_of, random_targets
from bench.parts.checks.trial import Trial, ends_in_one_state
from bench.parts.kinds import Learning, Objective

_ROWS = 24
# More than five, for metrics of the five highest.
_CLASSES = 7
# Finite differences run the loss twice for each output: of wide rows a few will do.
_NUDGED = 1000
# More than any objective masks with or puts in a token's place.
_TOKENS = 1000
# A mean of two halves is summed in another order than that of the whole.
_ROUNDING = 1e-9


def checks(subject: Subject) -> Checks:
    """Return the checks of an objective."""
    return bound(
        subject,
        {
            "width": _width,
            "scalar": _scalar,
            "gradient": _gradient,
            "mean": _mean,
            "learning": _learning,
            "scores": _scores,
            "fractions": _fractions,
            "better side": _better_side,
            "determinism": _determinism,
            "pairing": _pairing,
            "inputs": _inputs,
            "precision": _precision,
            "device": _device,
            "smoke run": _smoke_run,
        },
    )


class _Case:
    """An objective with random outputs ``(24, width)`` in float64, and targets."""

    def __init__(self, subject: Subject, *, scale: float = 1.0) -> None:
        self.objective: Objective = subject.part()
        self.facts = facts_of(self.objective, _CLASSES)
        self.width: Any = self.objective.width(self.facts)
        whole = isinstance(self.width, int) and self.width > 0
        expect(whole, f"is {self.width!r} wide for {self.facts}, not a positive whole number")
        self.targets = random_targets(self.facts, _ROWS, 0)
        generator = torch.Generator().manual_seed(0)
        drawn = torch.randn(_ROWS, self.width, generator=generator, dtype=torch.float64)
        self.outputs = scale * drawn

    def loss(self, outputs: Tensor | None = None, targets: Tensor | None = None) -> Tensor:
        return self.objective.loss(
            self.outputs if outputs is None else outputs,
            self.targets if targets is None else targets,
        )

    def scores(self, outputs: Tensor | None = None) -> dict[str, float]:
        given = self.outputs if outputs is None else outputs
        return self.objective.scores(given.numpy().copy(), self.targets.numpy().copy())

    def perfect(self) -> Tensor | None:
        """Return outputs that say the targets; None where it is not known which do."""
        if self.facts.classes is not None:
            # Not by far: a smoothed loss punishes too much certainty.
            certain = 4.0 * one_hot(self.targets, self.facts.classes).double()
            return certain if self.width == self.facts.classes else None
        as_they_are = self.targets.reshape(_ROWS, -1).double()
        return as_they_are if self.width == as_they_are.shape[1] else None


def _width(subject: Subject) -> str:
    case = _Case(subject)
    other = Facts(None, (2,)) if case.facts.classes else Facts(_CLASSES, ())
    try:
        case.objective.width(other)
    except UserError:
        return "data with other targets are refused"
    except Exception as error:
        return f"data with other targets end in {type(error).__name__}, without a message"
    return "data with other targets are taken too"


def _scalar(subject: Subject) -> None:
    for dtype in (torch.float32, torch.float64):
        case = _Case(subject)
        value: Any = case.loss(case.outputs.to(dtype))
        expect(isinstance(value, Tensor), f"gives a {type(value).__name__}, not a tensor")
        expect(value.ndim == 0, f"gives a tensor of shape {tuple(value.shape)}, not a scalar")
        expect(value.is_floating_point(), f"gives {value.dtype}")
        expect(bool(torch.isfinite(value)), f"gives {value.item()}")


def _gradient(subject: Subject) -> None:
    case = _Case(subject)
    rows = max(2, min(_ROWS, _NUDGED // case.width))
    outputs, targets = case.outputs[:rows].clone().requires_grad_(), case.targets[:rows]
    value = case.loss(outputs, targets)
    expect(value.requires_grad, "depends on no output")
    try:
        gradcheck(
            lambda moved: case.loss(moved, targets),
            [outputs],
            atol=1e-7 * max(1.0, abs(value.item())),
            rtol=1e-5,
        )
    except GradcheckError as error:
        text = " ".join(str(error).split())
        raise Failed(f"differs from finite differences in float64: {text[:300]}") from error
    (gradient,) = torch.autograd.grad(value, outputs)
    expect(bool(gradient.any()), "is zero everywhere")


def _mean(subject: Subject) -> None:
    """Batches of any size weigh the same against penalties, and the rows of one alike."""
    case = _Case(subject)
    once = case.loss().item()
    doubled = case.loss(case.outputs.repeat(2, 1), torch.cat([case.targets] * 2)).item()
    close(doubled, once, _ROUNDING, "the losses of a batch twice over and of the batch")
    order = torch.arange(_ROWS - 1, -1, -1)
    turned = case.loss(case.outputs[order], case.targets[order]).item()
    close(turned, once, _ROUNDING, "the losses of the rows in another order and in this one")


class _Still:
    """A network's average before it has moved."""

    def __init__(
        self, network: Callable[[Tensor], NetworkOutput], modules: nn.Module | None
    ) -> None:
        self._network = network
        self.modules = modules

    def follow(self, momentum: float) -> None:
        """Stay."""

    def __call__(self, inputs: Tensor) -> NetworkOutput:
        with torch.no_grad():
            return self._network(inputs)


class _Learned:
    """The loss of one step by ``learn``, on random images and a linear network, and gradients.

    Or on random tokens, whose states are rows of a table.
    """

    def __init__(self, subject: Subject, draw: int = 0, *, tokens: bool = False) -> None:
        case = _Case(subject)
        generator = torch.Generator().manual_seed(1)
        shape = (case.objective.views, _ROWS)
        self.inputs = (
            torch.randint(10, (*shape, 12), generator=generator)
            if tokens
            else torch.randn(*shape, 3, 4, 4, generator=generator)
        )
        self.given = self.inputs.clone()
        filters = torch.randn(_TOKENS if tokens else 48, 6, generator=generator).requires_grad_()
        head = torch.randn(6, case.width, generator=generator).requires_grad_()
        self.modules = case.objective.modules(6, case.width, Stream(2))
        self.targets = case.targets

        def network(inputs: Tensor) -> NetworkOutput:
            states = filters[inputs] if tokens else None
            features = inputs.flatten(1) @ filters if states is None else states.mean(dim=1)
            return NetworkOutput(features, features @ head, states=states)

        parameters = {"weight": head.T, "bias": torch.zeros(case.width)}
        average = _Still(network, self.modules) if case.objective.averaged else None
        self.value: Any = case.objective.learn(
            Learning(
                self.inputs if case.objective.views > 1 else self.inputs[0],
                self.targets, network, self.modules, Stream(3, jump=draw), 0.5, parameters, average,
            )
        )  # fmt: skip
        found = isinstance(self.value, Tensor) and self.value.ndim == 0
        expect(found, "learn gives no scalar tensor")
        beside = self.modules.named_parameters() if self.modules is not None else ()
        self.trained = {"features": filters, **dict(beside)}
        self.gradients = torch.autograd.grad(
            self.value, list(self.trained.values()), allow_unused=True
        )

    def result(self) -> tuple[Tensor, ...]:
        return self.value.detach(), *self.gradients


def _learns(subject: Subject) -> bool:
    return type(subject.part()).learn is not Objective.learn


def _of_tokens(subject: Subject) -> bool:
    """Whether an objective learns of tokens, and not of images."""
    return _learns(subject) and first_that_takes(
        (False, True), lambda tokens: _Learned(subject, tokens=tokens)
    )


def _learning(subject: Subject) -> str:
    if not _learns(subject):
        return "by its loss alone"
    tokens = _of_tokens(subject)
    one = _Learned(subject, tokens=tokens)
    for name, gradient in zip(one.trained, one.gradients, strict=True):
        expect(gradient is not None and bool(gradient.any()), f"nothing reaches {name}")
    expect(bool(torch.isfinite(one.value)), f"learn gives {one.value.item()}")
    twice(lambda: _Learned(subject, tokens=tokens).result(), "two steps of one stream differ")
    undrawn(
        lambda: _Learned(subject, tokens=tokens).result(),
        between=lambda: _Learned(subject, 1, tokens=tokens),
    )
    expect(same(one.inputs, one.given), "learn changes what it is given")
    return ""


def _scores(subject: Subject) -> None:
    case = _Case(subject)
    declared = set(case.objective.metric_names())
    for outputs in (case.outputs, case.outputs.float()):
        found: Any = case.scores(outputs)
        expect(isinstance(found, dict), f"gives a {type(found).__name__}, not a dictionary")
        expect(set(found) == declared, f"gives {sorted(found)}, and declares {sorted(declared)}")
        for name, value in found.items():
            expect(isinstance(value, float), f"{name} is a {type(value).__name__}, not a float")
            expect(math.isfinite(value), f"{name} is {value}")


def _fractions(subject: Subject) -> str:
    percent = [n for n, (unit, _) in subject.part().metric_names().items() if unit == "%"]
    for case in (_Case(subject), _Case(subject, scale=100.0), _Case(subject, scale=0.0)):
        perfect = case.perfect()
        tried = (case.outputs, -case.outputs, *(() if perfect is None else (perfect, -perfect)))
        for outputs in tried:
            found = case.scores(outputs)
            for name in percent:
                expect(
                    0 <= found[name] <= 1,
                    f"{name} is recorded as a fraction, and shown times 100: it is {found[name]}",
                )
    return ", ".join(percent) or "none is shown in per cent"


def _better_side(subject: Subject) -> str:
    case = _Case(subject)
    perfect = case.perfect()
    if perfect is None:
        return f"not tried: of {case.width} outputs it is not known which are right"
    right, random = case.scores(perfect), case.scores()
    for name, (_, best) in case.objective.metric_names().items():
        good = right[name] >= random[name] if best == "highest" else right[name] <= random[name]
        expect(
            good,
            f"{name} is {right[name]:.6g} of right outputs and {random[name]:.6g} of random ones, "
            f"and its better side is the {best}",
        )
    return ""


def _all_of(case: _Case) -> tuple[Tensor, Tensor, dict[str, float]]:
    outputs = case.outputs.clone().requires_grad_()
    value = case.loss(outputs)
    return value.detach(), torch.autograd.grad(value, outputs)[0], case.scores()


def _determinism(subject: Subject) -> None:
    twice(lambda: _all_of(_Case(subject)), "two calls on equal outputs differ")


def _pairing(subject: Subject) -> None:
    case = _Case(subject)
    undrawn(lambda: _all_of(case), between=lambda: _all_of(_Case(subject, scale=2.0)))


def _inputs(subject: Subject) -> None:
    case = _Case(subject)
    before = case.outputs.clone(), case.targets.clone()
    case.loss()
    expect(same(before, (case.outputs, case.targets)), "the loss changes what it is given")
    outputs, targets = case.outputs.numpy().copy(), case.targets.numpy().copy()
    case.objective.scores(outputs, targets)
    kept = same((outputs, targets), (case.outputs.numpy(), case.targets.numpy()))
    expect(kept, "scores changes what it is given")


def _precision(subject: Subject) -> None:
    case = _Case(subject)
    single = case.outputs.float()
    close(case.loss(single).item(), case.loss(single.double()).item(), 1e-4, "float32 and float64")
    exact = case.scores(single.double())
    for name, value in case.scores(single).items():
        close(value, exact[name], 1e-4, f"{name} of float32 and of float64 outputs")


def _device(subject: Subject) -> str | None:
    if not torch.cuda.is_available():
        return "no GPU here: not tried on one"
    case = _Case(subject)
    there = case.loss(case.outputs.cuda(), case.targets.cuda())
    expect(there.is_cuda, "gives a CPU tensor for outputs on the GPU")
    close(there.item(), case.loss().item(), 1e-6, "the GPU's and the CPU's loss")
    return None


def _smoke_run(subject: Subject) -> None:
    inputs = SENTENCES if _of_tokens(subject) else RESNET
    ends_in_one_state(lambda: Trial(inputs, objective=subject.part()))
