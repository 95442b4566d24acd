"""The checks of a trainable, on small networks of several kinds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, cast

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from bench.models.checkpoint import state_sha256
from bench.models.network import Network
from bench.parts.checks.common import (
    Checks,
    Subject,
    bound,
    expect,
    first_that_takes,
    twice,
    undrawn,
)
from bench.parts.checks.random_data import NETWORKS, RESNET, Inputs
from bench.parts.checks.trial import Trial, awake, ends_in_one_state
from bench.parts.kinds import Patch
from bench.parts.patches.conv_adapter import ConvAdapter
from bench.parts.patches.private_normalisation import PrivateNormalisation
from bench.training.loop import set_trainable


class _Awake(Patch):
    """Moves all parameters before the first step."""

    def __call__(self, network: Network) -> None:
        awake(network)


def checks(subject: Subject) -> Checks:
    """Return the checks of a trainable."""
    return bound(
        subject,
        {
            "flags only": _flags_only,
            "what trains": _what_trains,
            "idempotence": _idempotence,
            "determinism": _determinism,
            "pairing": _pairing,
            "tasks": _tasks,
            "smoke run": _smoke_run,
        },
    )


def _trial(subject: Subject, tasks: tuple[str, ...] = ("",)) -> Trial:
    """Return a trial on the first network on which the part can be used.

    The last has adapters, for a set that needs some.
    """
    patched: tuple[tuple[Inputs, tuple[Patch, ...]], ...] = (
        *((inputs, ()) for inputs in NETWORKS),
        (RESNET, (ConvAdapter(),)),
    )

    def on(number: int) -> Trial:
        inputs, patches = patched[number]
        return Trial(inputs, tasks=tasks, patches=patches, trainable=subject.part())

    def use(number: int) -> None:
        subject.part()(on(number).build())

    return on(first_that_takes(range(len(patched)), use))


def _applied(trial: Trial) -> Network:
    network = trial.build()
    set_trainable(network, trial.trainable)
    return network


def _flags(network: Network) -> tuple[dict[str, bool], dict[str, bool]]:
    trains = {name: p.requires_grad for name, p in network.named_parameters()}
    return trains, {name: module.training for name, module in network.named_modules()}


def _flags_only(subject: Subject) -> None:
    trial = _trial(subject)
    network = trial.build().train()
    before = _identities(network)
    digest = state_sha256(network.state_dict())
    result: Any = cast(Any, trial.trainable)(network)
    expect(result is None, f"returns a {type(result).__name__}; it changes the network in place")
    expect(_identities(network) == before, "replaces, adds or removes modules or parameters")
    expect(state_sha256(network.state_dict()) == digest, "changes values, and not only what trains")
    hooked = [name for name, module in network.named_modules() if _has_hooks(module)]
    expect(not hooked, f"puts hooks on {hooked[:3]}")


def _identities(network: Network) -> dict[str, int]:
    modules = {f"module {name}": id(module) for name, module in network.named_modules()}
    return modules | {name: id(value) for name, value in network.named_parameters()}


def _has_hooks(module: nn.Module) -> bool:
    return bool(module._forward_hooks or module._forward_pre_hooks or module._backward_hooks)


def _what_trains(subject: Subject) -> str:
    trial = _trial(subject)
    network = _applied(trial)
    every = list(network.parameters())
    training = [p for p in every if p.requires_grad]
    expect(bool(training), "nothing trains: no parameter requires a gradient")
    numbers, of = (sum(p.numel() for p in some) for some in (training, every))
    head = any(p.requires_grad for p in network.heads[""].parameters())
    still = sum(not m.training for m in network.modules() if isinstance(m, _BatchNorm))
    return (
        f"{len(training)} of {len(every)} parameters of {trial.inputs.name}, "
        f"{numbers} of {of} numbers; the head {'trains' if head else 'does not'}"
        + (f"; {still} batch normalisations keep their statistics" if still else "")
    )


def _idempotence(subject: Subject) -> None:
    trial = _trial(subject)
    network = _applied(trial)
    once = _flags(network)
    trial.trainable(network)
    expect(_flags(network) == once, "applied twice freezes other things than once")
    set_trainable(network, trial.trainable)
    expect(_flags(network) == once, "freezes other things when training begins anew")


def _determinism(subject: Subject) -> None:
    trial = _trial(subject)
    twice(lambda: _flags(_applied(trial)), "two calls on equal networks differ")


def _pairing(subject: Subject) -> None:
    trial = _trial(subject)
    undrawn(lambda: _flags(_applied(trial)))


def _tasks(subject: Subject) -> None:
    trial = _trial(subject, ("one", "two"))
    network = trial.build()
    PrivateNormalisation()(network)
    set_trainable(network, trial.trainable)
    expect(
        any(p.requires_grad for p in network.parameters()),
        "nothing trains of a network with two tasks",
    )


def _smoke_run(subject: Subject) -> None:
    def anew() -> Trial:
        trial = _trial(subject)
        # As it is drawn, little or nothing passes through a residual network's branches.
        return replace(trial, patches=(*trial.patches, _Awake()))

    trained = ends_in_one_state(anew)
    after = dict(trained.network.state_dict())
    for name, parameter in trained.network.named_parameters():
        still = trained.before[name].equal(after[name])
        if parameter.requires_grad:
            expect(not still, f"{name} is to train, and does not move in two steps")
        else:
            expect(still, f"{name} is frozen, and moves all the same")
    for name in _frozen_statistics(trained.network):
        expect(trained.before[name].equal(after[name]), f"{name} of a frozen module moves")


def _frozen_statistics(network: Network) -> Iterator[str]:
    for name, module in network.named_modules():
        if not module.training:
            yield from (f"{name}.{buffer}" for buffer, _ in module.named_buffers(recurse=False))
