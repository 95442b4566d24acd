"""Networks of each task's own, in one cell: each trains as it would alone."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor, nn

from bench.errors import UserError
from bench.models.network import Network
from bench.parts.objectives.classification import Classification
from bench.parts.patches.private_network import PrivateNetwork
from bench.parts.trainables.all import All
from bench.parts.updates.gradient import Gradient
from bench.spec.recipe import SGD, Optimizer, Recipe, RMSprop
from bench.training.curves import CurveBook
from bench.training.loop import train
from bench.training.loss import Asked, Loss
from bench.training.norms import counts
from tests.training.conftest import ToyBatches, toy_network

WIDTHS = {"a": 3, "b": 2}


class DoubleBatches(ToyBatches):
    """Toy batches in float64."""

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        images, labels = super().batch(step)
        return images.double(), labels


BATCHES = {"a": DoubleBatches(3), "b": DoubleBatches(2, first=50)}


def trained(network: Network, optimizer: Optimizer) -> dict[str, Tensor]:
    tasks = {name: Asked(Classification()) for name in network.tasks}
    train(
        network, Loss(network, tasks, {}), Recipe(steps=5, optimizer=optimizer),
        {name: BATCHES[name] for name in tasks}, CurveBook(), trainable=All(), update=Gradient(),
    )  # fmt: skip
    return network.state_dict()


@pytest.mark.parametrize(
    ("alone", "together"),
    [
        (SGD(lr=0.1, momentum=0.9), SGD(lr=0.2, momentum=0.9)),
        (
            RMSprop(lr=0.045, alpha=0.9, momentum=0.9, eps=1.0),
            RMSprop(lr=0.045, alpha=0.9, momentum=0.9, eps=0.5),
        ),
    ],
)
def test_each_network_trains_as_it_does_alone(
    alone: SGD | RMSprop, together: SGD | RMSprop
) -> None:
    """Half the gradient is made up for by twice SGD's rate, and by half RMSProp's epsilon."""
    name = "sgd" if isinstance(alone, SGD) else "rmsprop"
    network = toy_network(widths=WIDTHS).double()
    heads = {task: head.state_dict() for task, head in network.heads.items()}
    expected = {}
    for task, head in heads.items():
        own = toy_network(widths={task: WIDTHS[task]}).double()
        own.heads[task].load_state_dict(head)
        expected[task] = trained(own, Optimizer(**{name: alone}))
    PrivateNetwork()(network)
    found = trained(network, Optimizer(**{name: together}))
    for task, state in expected.items():
        own = own_state(found, task)
        assert own.keys() == state.keys()
        for key, value in own.items():
            torch.testing.assert_close(value, state[key], rtol=0, atol=1e-12)
    assert not torch.allclose(
        expected["a"]["backbone.conv.weight"], expected["b"]["backbone.conv.weight"]
    )


def own_state(state: Mapping[str, Tensor], task: str) -> dict[str, Tensor]:
    """Return a task's own part of a state, named as in a network of its own."""
    found = {}
    for key, value in state.items():
        if key.startswith(f"private.{task}."):
            found["backbone." + key.removeprefix(f"private.{task}.")] = value
        if key.startswith(f"head.{task}."):
            found[key] = value
    return found


def test_there_are_as_many_parameters_as_in_networks_of_their_own() -> None:
    network = toy_network(widths=WIDTHS)
    alone = [counts(toy_network(widths={t: n}))["parameters/total"] for t, n in WIDTHS.items()]
    PrivateNetwork()(network)
    found = counts(network)
    assert found["parameters/total"] == found["parameters/private"] == sum(alone)


def test_parameters_in_no_module_would_be_shared() -> None:
    network = toy_network(widths=WIDTHS)
    network.backbone.position = nn.Parameter(torch.zeros(3))
    with pytest.raises(UserError, match=r"parameters in no module.*position"):
        PrivateNetwork()(network)
