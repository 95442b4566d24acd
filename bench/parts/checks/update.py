"""The checks of an update, in the real training loop."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor

from bench.models.network import Network
from bench.parts.checks.common import Checks, Subject, bound, expect, twice, undrawn
from bench.parts.checks.random_data import RESNET, SMALL
from bench.parts.checks.trial import Trained, Trial, ends_in_one_state
from bench.parts.kinds import GradientFunction, Training, Update
from bench.parts.trainables.head import Head
from bench.spec.budget import gradients_per_step
from bench.spec.parts import find_part

# An update may act only every few steps.
_STEPS = 4


def checks(subject: Subject) -> Checks:
    """Return the checks of an update."""
    return bound(
        subject,
        {
            "gradients": _gradients,
            "parameters": _parameters,
            "zero rate": _zero_rate,
            "frozen": _frozen,
            "curves": _curves,
            "determinism": _determinism,
            "pairing": _pairing,
            "tasks": _tasks,
            "smoke run": _smoke_run,
        },
    )


@dataclass
class _Log:
    """What an update did: gradients and calls of apply by step, notes, where parameters went."""

    gradients: list[int] = field(default_factory=list)
    applied: list[int] = field(default_factory=list)
    notes: list[tuple[str, float]] = field(default_factory=list)
    states: list[dict[str, Tensor]] = field(default_factory=list)


class _Watched:
    """What an update works on, and no more than that, with a log of it."""

    def __init__(self, training: Training, log: _Log, declared: Sequence[str]) -> None:
        self.network: Network = training.network
        self.optimizer: torch.optim.Optimizer = training.optimizer
        self.scaler: torch.amp.GradScaler = training.scaler
        self._training = training
        self._log = log
        self._declared = declared

    def apply(self) -> None:
        self._log.applied[-1] += 1
        self._training.apply()

    def note(self, curve: str, value: float) -> None:
        self._log.notes.append((curve, value))
        # The loop ends at any other, which is for one check to say and not for all of them.
        if curve in self._declared:
            self._training.note(curve, value)


class _Logged:
    """An update as it is, with a log of what it does."""

    def __init__(self, update: Update, log: _Log) -> None:
        self.curves = update.curves
        self._update = update
        self._log = log

    def begin(self, training: Training) -> Callable[[GradientFunction], None]:
        log = self._log
        inner = self._update.begin(_Watched(training, log, self.curves))
        log.states.append(_values(training.network))

        def step(gradient: GradientFunction) -> None:
            def counted() -> Tensor:
                log.gradients[-1] += 1
                return gradient()

            log.gradients.append(0)
            log.applied.append(0)
            inner(counted)
            log.states.append(_values(training.network))

        return step


def _values(network: Network) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in network.named_parameters()}


def _trial(subject: Subject) -> Trial:
    return Trial(SMALL, update=subject.part(), steps=_STEPS)


def _watch(trial: Trial) -> tuple[_Log, Trained]:
    log = _Log()
    logged = cast(Update, _Logged(trial.update, log))
    trained = replace(trial, update=logged).run()
    return log, trained


def _gradients(subject: Subject) -> str:
    log, _ = _watch(_trial(subject))
    none = [i for i, count in enumerate(log.gradients, 1) if count == 0]
    expect(not none, f"takes no gradient in step {none[0] if none else 0}")
    fewest, most = min(log.gradients), max(log.gradients)
    count = str(most) if fewest == most else f"{fewest} to {most}"
    taken, said = f"{count} gradient{'' if most == 1 else 's'} a step", _stated(subject)
    expect(
        said is None or fewest == most == said,
        f"takes {taken}, and states {said}: "
        'say how many by gradients_per_step, or "" where parameters do not tell',
    )
    return taken


def _stated(subject: Subject) -> int | None:
    part = find_part(subject.kind, subject.name, subject.plugins)
    assert part is not None
    return gradients_per_step(part, subject.part().model_dump())


def _parameters(subject: Subject) -> str:
    log, _ = _watch(_trial(subject))
    expect(_moved(log.states) > 0, f"moves no parameter in {_STEPS} steps")
    for number, state in enumerate(log.states):
        for name, value in state.items():
            expect(bool(torch.isfinite(value).all()), f"{name} is not finite after step {number}")
    applied = sum(count > 0 for count in log.applied)
    return f"the optimizer steps in {applied} of {_STEPS} steps"


def _moved(states: list[dict[str, Tensor]]) -> float:
    return max(
        float((later[name] - value).abs().max())
        for earlier, later in pairwise(states)
        for name, value in earlier.items()
    )


def _zero_rate(subject: Subject) -> str:
    log, _ = _watch(replace(_trial(subject), lr=0.0))
    moved = _moved(log.states)
    if moved == 0:
        return "only the optimizer moves parameters"
    return f"moves parameters by up to {moved:.2g} a step at a learning rate of zero"


def _frozen(subject: Subject) -> None:
    log, trained = _watch(replace(_trial(subject), trainable=Head()))
    for name, parameter in trained.network.named_parameters():
        if not parameter.requires_grad:
            still = log.states[0][name].equal(parameter.detach())
            expect(still, f"moves {name}, which is frozen")


def _curves(subject: Subject) -> str:
    log, trained = _watch(_trial(subject))
    declared = set(subject.part().curves)
    noted = {name for name, _ in log.notes}
    expect(noted <= declared, f"notes {sorted(noted - declared)}, and does not declare it")
    expect(declared <= noted, f"declares {sorted(declared - noted)}, and never notes it")
    for name, value in log.notes:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        expect(number, f"notes a {type(value).__name__} as {name}, not a number")
        expect(math.isfinite(value), f"notes {value} as {name}")
    expect(noted <= set(trained.curves), "what it notes does not become a curve")
    return ", ".join(sorted(noted)) or "none"


def _run(trial: Trial) -> tuple[str, list[tuple[str, float]], int]:
    log, trained = _watch(trial)
    return trained.digest, log.notes, trained.gradients


def _determinism(subject: Subject) -> None:
    # One part serves several trainings: what it keeps between steps is the training's.
    trial = _trial(subject)
    twice(lambda: _run(trial), "two runs from the same start differ")


def _pairing(subject: Subject) -> None:
    trial = _trial(subject)
    undrawn(lambda: _run(trial))


def _tasks(subject: Subject) -> None:
    trial = replace(_trial(subject), tasks=("one", "two"))
    ends_in_one_state(lambda: trial)


def _smoke_run(subject: Subject) -> None:
    trial = Trial(RESNET, update=subject.part())
    ends_in_one_state(lambda: trial)
