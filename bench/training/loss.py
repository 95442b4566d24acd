"""The loss of a step: each task's own, and the penalties of the method."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from bench.data.streams import Stream
from bench.errors import UserError, WeightsError
from bench.models.network import Network, NetworkOutput
from bench.parts.kinds import Learning, Objective, Penalty, Step, Tensors
from bench.spec.metrics import prefix_of
from bench.spec.parts import SOURCE_LOGITS
from bench.training.average import AveragedNetwork
from bench.training.module_state import PartsState, module_state, restore_module
from bench.training.numerics import autocast, wide

ATTENTION = "channel-attention"
Batch = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Asked:
    """What is asked of one task: its objective, and how much its loss weighs.

    ``key`` is that of the objective's random stream.
    """

    objective: Objective
    weight: float = 1.0
    key: int = 0


class Loss:
    """Computes the terms of the loss, each under its name.

    Made before the first step: the network as it is now is the penalties' start. Only a penalty
    that needs ``source_maps`` or ``source_logits`` costs a second network: a frozen copy of the
    start in evaluation mode, without gradients. An objective that says ``averaged`` costs one
    too. Forward passes run under the recipe's precision;
    objectives and penalties see float32 (float64 of a float64 network) and run outside autocast.

    With several tasks the loss is the mean over them of ``loss + penalties``, by their weights.

    Attributes
    ----------
    names
        Of the terms: each task's loss, then the penalties.
    shares
        What each task's loss is multiplied by, by the term's name; they sum to one.

    Parameters
    ----------
    network
        On its device, ready to train.
    tasks
        By name.
    penalties
        By name, in the order in which they are added.
    measured
        Name of each measurement that a penalty needs to its arrays.

    Raises
    ------
    WeightsError
        If a penalty needs channel weights and those given are of other layers.
    """

    def __init__(
        self,
        network: Network,
        tasks: Mapping[str, Asked],
        penalties: Mapping[str, Penalty],
        *,
        measured: Mapping[str, Tensors] | None = None,
        precision: str = "float32",
    ) -> None:
        total = sum(asked.weight for asked in tasks.values())
        self.shares = {
            f"{prefix_of(name)}{asked.objective.term}": asked.weight / total
            for name, asked in tasks.items()
        }
        self.names = (*self.shares, *penalties)
        self._network = network
        self._tasks = dict(tasks)
        self._penalties = dict(penalties)
        self._precision = precision
        self._device = next(network.parameters()).device
        self._body = body_parameters(network)
        self._heads = {name: dict(network.heads[name].named_parameters()) for name in tasks}
        self._start = (
            {name: p.detach().clone() for name, p in self._body.items()} if penalties else {}
        )
        needs = {need for penalty in penalties.values() for need in penalty.needs}
        self._taps = network.tap_names if "source_maps" in needs else ()
        self._tells = SOURCE_LOGITS in needs
        self._source = _frozen_copy(network) if self._taps or self._tells else None
        self._averages = {
            name: AveragedNetwork(network, name, precision)
            for name, asked in tasks.items()
            if asked.objective.averaged
        }
        self._measured = {
            name: {key: value.to(self._device) for key, value in arrays.items()}
            for name, arrays in (measured or {}).items()
        }
        if self._taps and ATTENTION in self._measured:
            _check_layers(network, self._measured[ATTENTION])

    def terms(
        self, batches: Mapping[str, Batch], *, draw: int = 0, progress: float = 0.0
    ) -> Tensor:
        """Return the terms ``(t,)`` whose sum is the loss, in the order of ``names``.

        Parameters
        ----------
        batches
            Each task's inputs and targets, on the network's device.
        draw
            How many gradients were taken before: an objective draws other numbers for each.
        progress
            How much of the training is done, in [0, 1).

        Raises
        ------
        UserError
            If a penalty does not return a scalar.
        """
        if len(self._tasks) == 1:
            ((name, asked),) = self._tasks.items()
            own, penalties = self._terms_of(name, asked, batches[name], draw, progress)
            return torch.stack([own, *penalties])
        losses, sums = [], [torch.zeros((), device=self._device) for _ in self._penalties]
        for (name, asked), share in zip(self._tasks.items(), self.shares.values(), strict=True):
            own, penalties = self._terms_of(name, asked, batches[name], draw, progress)
            losses.append(share * own)
            sums = [before + share * now for before, now in zip(sums, penalties, strict=True)]
        return torch.stack([*losses, *sums])

    def state(self) -> dict[str, Any]:
        """Return the averages, and what parts and the frozen start keep beside parameters."""
        source = self._source
        return {
            "averages": {name: average.state() for name, average in self._averages.items()},
            "parts": self._parts().state(),
            "source": None if source is None else module_state(source, parameters=False),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Put it back into the loss of the same start."""
        for name, average in self._averages.items():
            average.restore(state["averages"][name])
        self._parts().restore(state["parts"])
        if self._source is not None:
            restore_module(self._source, state["source"])

    def _parts(self) -> PartsState:
        objectives = [asked.objective for asked in self._tasks.values()]
        return PartsState([*objectives, *self._penalties.values()])

    def _terms_of(
        self, task: str, asked: Asked, batch: Batch, draw: int, progress: float
    ) -> tuple[Tensor, list[Tensor]]:
        inputs, targets = batch
        passes = _Passes(self._network, task, self._taps, self._precision, self._device)
        loss = asked.objective.learn(
            Learning(
                inputs=inputs,
                targets=targets,
                network=passes,
                modules=self._network.beside.get(task),
                stream=Stream(asked.key, jump=draw),
                progress=progress,
                head=self._heads[task],
                average=self._averages.get(task),
            )
        )
        if not self._penalties:
            return loss, []
        inputs, output = passes.first()
        source_maps, source_logits = self._of_the_start(inputs, task)
        step = Step(
            features=output.features,
            logits=output.logits,
            labels=targets,
            backbone=self._body,
            head=self._heads[task],
            start=self._start,
            maps=output.maps,
            source_maps=source_maps,
            measured=self._measured,
            source_logits=source_logits,
        )
        return loss, [_scalar(name, part(step)) for name, part in self._penalties.items()]

    def _of_the_start(self, inputs: Tensor, task: str) -> tuple[Tensors, Tensor | None]:
        """Return the maps of the frozen start, and the outputs of its own head, where needed."""
        if self._source is None:
            return {}, None
        with torch.no_grad(), autocast(self._precision, self._device):
            output = self._source(inputs, taps=self._taps, task=task)
            head = self._source.source_head if self._tells else None
            logits = wide(head(output.features)) if head is not None else None
        return {name: wide(value) for name, value in output.maps.items()}, logits


class _Passes:
    """Runs a network for an objective, and keeps the first pass for the penalties."""

    def __init__(
        self,
        network: Network,
        task: str,
        taps: tuple[str, ...],
        precision: str,
        device: torch.device,
    ) -> None:
        self._network = network
        self._task = task
        self._taps = taps
        self._precision = precision
        self._device = device
        self._first: tuple[Tensor, NetworkOutput] | None = None

    def __call__(self, inputs: Tensor) -> NetworkOutput:
        taps = () if self._first is not None else self._taps
        with autocast(self._precision, self._device):
            output = self._network(inputs, taps=taps, task=self._task)
        widened = NetworkOutput(
            wide(output.features),
            wide(output.logits),
            {name: wide(value) for name, value in output.maps.items()},
            None if output.states is None else wide(output.states),
        )
        if self._first is None:
            self._first = inputs, widened
        return widened

    def first(self) -> tuple[Tensor, NetworkOutput]:
        """Return the inputs and outputs of the first pass.

        Raises
        ------
        UserError
            If there was none.
        """
        if self._first is None:
            raise UserError(
                "the objective never ran the network, and penalties look at what it gives",
                remedy="call step.network in its learn",
            )
        return self._first


def body_parameters(network: Network) -> dict[str, nn.Parameter]:
    """Return all parameters but the heads' and those beside, by their names in the backbone.

    Those that are private to a task keep the prefix by which the network knows them. The start's
    own head is among them where it was kept.
    """
    ends = (*network.heads.values(), *network.beside.values())
    heads = {id(p) for end in ends for p in end.parameters()}
    return {
        name.removeprefix("backbone."): parameter
        for name, parameter in network.named_parameters()
        if id(parameter) not in heads
    }


def feature_parameters(network: Network) -> dict[str, nn.Parameter]:
    """Return those of `body_parameters` that features depend on: not the start's own head's."""
    own = network.source_head
    heads = {id(p) for p in own.parameters()} if own is not None else set()
    return {n: p for n, p in body_parameters(network).items() if id(p) not in heads}


def _scalar(name: str, term: object) -> Tensor:
    if not isinstance(term, Tensor) or term.ndim != 0:
        found = f"shape {tuple(term.shape)}" if isinstance(term, Tensor) else type(term).__name__
        raise UserError(
            f"the penalty {name!r} must return a scalar tensor, not {found}",
            remedy="sum it over images and channels; bench test-method FILE checks a penalty",
        )
    return term


def _frozen_copy(network: Network) -> Network:
    return copy.deepcopy(network).requires_grad_(False).eval()


def _check_layers(network: Network, weights: Tensors) -> None:
    if set(weights) != set(network.tap_names):
        raise WeightsError(
            f"the channel weights are of the layers {', '.join(sorted(weights)) or '(none)'}, and "
            f"{network.name} is tapped at {', '.join(network.tap_names)}",
            remedy="run the channel-attention cell again: bench run",
        )
