"""The checks of a patch, on small networks of several kinds."""

from __future__ import annotations

import copy
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from bench.data.streams import Stream
from bench.models.checkpoint import load_checkpoint, read_tensors, save_checkpoint
from bench.models.network import Network
from bench.parts.checks.common import (
    Checks,
    Subject,
    bound,
    expect,
    first_that_takes,
    same,
    undrawn,
)
from bench.parts.checks.random_data import CLASSES, NETWORKS
from bench.parts.checks.trial import Trial, awake, ends_in_one_state

_TASKS = ("one", "two")


def checks(subject: Subject) -> Checks:
    """Return the checks of a patch."""
    return bound(
        subject,
        {
            "function": _function,
            "determinism": _determinism,
            "pairing": _pairing,
            "checkpoint": _checkpoint,
            "copies": _copies,
            "tasks": _tasks,
            "smoke run": _smoke_run,
        },
    )


def _trial(subject: Subject, tasks: tuple[str, ...] = ("",)) -> Trial:
    """Return a trial on the first network on which the part can be used."""

    def on(number: int) -> Trial:
        return Trial(NETWORKS[number], tasks=tasks, patches=(subject.part(),))

    return on(first_that_takes(range(len(NETWORKS)), lambda number: on(number).build()))


def _outputs(trial: Trial, network: Network) -> dict[str, Tensor]:
    """Return each task's outputs in evaluation mode, features first."""
    inputs = trial.inputs.draw(0)
    found: dict[str, Tensor] = {}
    with torch.no_grad():
        for task in network.tasks:
            output = network.eval()(inputs, task=task)
            found |= {
                f"features of {task!r}": output.features,
                f"outputs of {task!r}": output.logits,
            }
    return found


def _function(subject: Subject) -> str:
    apart = 0.0
    for trial in (_trial(subject), _trial(subject, _TASKS)):
        plain = awake(replace(trial, patches=()).build())
        before = _outputs(trial, plain)
        patch = trial.patches[0]
        result: Any = cast(Any, patch)(plain)
        patch.draw(plain, Stream(0))
        expect(result is None, f"returns a {type(result).__name__}: it changes a network in place")
        after = _outputs(trial, plain)
        for name, value in after.items():
            shape, asked = tuple(value.shape), tuple(before[name].shape)
            expect(shape == asked, f"{name} have shape {shape}, and without it {asked}")
            expect(bool(torch.isfinite(value).all()), f"{name} are not finite")
            apart = max(apart, float((value - before[name]).abs().max()))
    where = f"before the first step of {trial.inputs.name}"
    return f"changed by up to {apart:.2g} {where}" if apart else f"unchanged {where}"


def _patched(trial: Trial) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    network = trial.build()
    return _outputs(trial, network), dict(network.state_dict())


def _determinism(subject: Subject) -> None:
    trial = _trial(subject)
    expect(same(_patched(trial), _patched(trial)), "two equal networks are patched differently")


def _pairing(subject: Subject) -> None:
    trial = _trial(subject)
    undrawn(lambda: _patched(trial))


def _checkpoint(subject: Subject) -> str:
    """A network of another start, patched too, takes the state that was kept."""
    return max(_kept(_trial(subject, tasks)) for tasks in (("",), _TASKS))


def _kept(trial: Trial) -> str:
    trained = trial.run().network
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "checkpoint.safetensors"
        save_checkpoint(trained, file)
        tensors, _ = read_tensors(file)
        checkpoint = load_checkpoint(file)
    other = replace(trial, seed=1).build()
    other.load_state_dict(tensors)
    expect(
        same(_outputs(trial, trained), _outputs(trial, other)),
        "a checkpoint does not hold all that the function depends on",
    )
    bare = replace(trial, patches=()).build()
    try:
        bare.backbone.load_state_dict(checkpoint.backbone_of(trial.tasks[0]))
    except RuntimeError:
        return "a network without the patch cannot start from its checkpoints"
    return ""


def _copies(subject: Subject) -> None:
    """Penalties compare with a frozen copy of the start: it must not follow the network."""
    for trial in (_trial(subject), _trial(subject, _TASKS)):
        network = awake(trial.build())
        copied = copy.deepcopy(network)
        before = _outputs(trial, copied)
        alike = same(before, _outputs(trial, network))
        expect(alike, "a copy of the network computes something else")
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(0.5)
        expect(same(before, _outputs(trial, copied)), "a copy of the network changes with it")


def _tasks(subject: Subject) -> None:
    trial = _trial(subject, _TASKS)
    for name, value in _outputs(trial, ends_in_one_state(lambda: trial).network).items():
        expect(bool(torch.isfinite(value).all()), f"{name} are not finite after two steps")
        expect(
            not name.startswith("outputs") or value.shape[1:] == (CLASSES,),
            f"{name} have shape {tuple(value.shape)}",
        )


def _smoke_run(subject: Subject) -> None:
    trial = _trial(subject)
    ends_in_one_state(lambda: trial)
