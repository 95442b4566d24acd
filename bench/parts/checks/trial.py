"""A few steps of the real training loop on random data, with any parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from bench.data.batches import Batches
from bench.data.streams import Stream
from bench.data.transforms import in_training
from bench.models.checkpoint import state_sha256
from bench.models.network import Network, state_on_cpu
from bench.models.weights import load_backbone
from bench.parts.checks.common import expect
from bench.parts.checks.measuring import RandomMeasuring
from bench.parts.checks.random_data import RESNET, ROWS, Inputs, facts_of, random_targets
from bench.parts.compose import part_class
from bench.parts.heads.kaiming import Kaiming
from bench.parts.kinds import (
    Head,
    Measurement,
    Objective,
    Patch,
    Penalty,
    Tensors,
    Trainable,
    Transform,
    Update,
)
from bench.parts.objectives.classification import Classification
from bench.parts.trainables.all import All
from bench.parts.updates.gradient import Gradient
from bench.records.record import Curve
from bench.spec.cell import Resources
from bench.spec.parts import OF_THE_START, SOURCE_HEAD
from bench.spec.recipe import SGD, Optimizer, Recipe
from bench.spec.seeds import stream_seed
from bench.training.curves import CurveBook
from bench.training.head import initialise_head, modules_beside
from bench.training.loop import train
from bench.training.loss import Asked, Loss


@dataclass(frozen=True)
class Trained:
    """What a trial's training left."""

    network: Network
    before: Tensors
    digest: str
    gradients: int
    curves: Mapping[str, Curve]


@dataclass(frozen=True)
class Trial:
    """A training in small: parts that are not given are the plainest there are."""

    inputs: Inputs = RESNET
    tasks: tuple[str, ...] = ("",)
    objective: Objective = field(default_factory=Classification)
    transforms: Mapping[str, Transform] = field(default_factory=dict)
    head: Head = field(default_factory=Kaiming)
    patches: tuple[Patch, ...] = ()
    penalties: Mapping[str, Penalty] = field(default_factory=dict)
    trainable: Trainable = field(default_factory=All)
    update: Update = field(default_factory=Gradient)
    plugins: tuple[str, ...] = ()
    steps: int = 2
    lr: float = 0.01
    seed: int = 0

    def build(self) -> Network:
        """Return the network before its first step, patched."""
        loaded = load_backbone(
            self.inputs.network,
            "random",
            seed=self.seed,
            resources=Resources(),
            input_shape=self.inputs.shape,
        )
        width = self.objective.width(facts_of(self.objective))
        network = Network(loaded.module, dict.fromkeys(self.tasks, width), name=self.inputs.name)
        for name, head in network.heads.items():
            initialise_head(head, self.head, self.seed, name)
        network.put_beside(
            {
                name: beside
                for name in self.tasks
                if (beside := modules_beside(network, self.objective, self.seed, name))
            }
        )
        if any(SOURCE_HEAD in penalty.needs for penalty in self.penalties.values()):
            # A start's is of other classes; of which does not matter here.
            network.keep_source_head(network.heads[self.tasks[0]].state_dict())
        for place, patch in enumerate(self.patches):
            patch(network)
            patch.draw(network, Stream(stream_seed(self.seed, "patch", place)))
        return network

    def run(self) -> Trained:
        """Train for the steps; raises NotANumber if a term of the loss is not finite."""
        recipe = Recipe(steps=self.steps, batch_size=ROWS, optimizer=Optimizer(sgd=SGD(lr=self.lr)))
        network = self.build()
        before = state_on_cpu(network)
        asked = {name: Asked(self.objective) for name in self.tasks}
        loss = Loss(network, asked, self.penalties, measured=self._measured(network))
        batches: dict[str, Batches] = {
            name: _RandomBatches(self, 100 * i) for i, name in enumerate(self.tasks)
        }
        book = CurveBook()
        _, gradients = train(
            network, loss, recipe, batches, book, trainable=self.trainable, update=self.update
        )
        digest = state_sha256(network.state_dict())
        return Trained(network, before, digest, gradients, book.curves())

    def _measured(self, network: Network) -> dict[str, Tensors]:
        names = {need for p in self.penalties.values() for need in p.needs} - {*OF_THE_START}
        found: dict[str, Tensors] = {}
        for name in sorted(names):
            cls = part_class("measurement", name, self.plugins)
            assert issubclass(cls, Measurement)
            found[name] = cls()(RandomMeasuring({"start": network}, self.inputs, data=True)).arrays
        return found


class _RandomBatches:
    """The batch of a step, from the step's number and the task alone."""

    def __init__(self, trial: Trial, seed: int) -> None:
        self._trial = trial
        self._seed = seed

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        trial, seed = self._trial, self._seed + step
        inputs = in_training(trial.inputs.draw(seed), trial.transforms, trial.seed, "random", step)
        if trial.objective.views > 1:
            inputs = torch.stack([inputs + 0.1 * view for view in range(trial.objective.views)])
        return inputs, random_targets(facts_of(trial.objective), ROWS, seed)


def awake(network: Network) -> Network:
    """Move a network's parameters: as they are drawn, residual branches end in zeros."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return network


def ends_in_one_state(trial: Callable[[], Trial]) -> Trained:
    """Run a trial twice, fail if two runs from one start differ, and return one of them."""
    first, again = (trial().run() for _ in range(2))
    expect(first.digest == again.digest, "two runs from the same start end in different states")
    return first
