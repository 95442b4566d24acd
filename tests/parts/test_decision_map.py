"""The toy of appendix A.2: units with scales, sets of parameters, maps, and convexity."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import relu

from bench.errors import DataError, UserError
from bench.models.network import Network
from bench.parts.checks.measuring import RandomMeasuring
from bench.parts.checks.random_data import NETWORKS
from bench.parts.checks.trial import Trial
from bench.parts.measurements.decision_map import DecisionMap
from bench.parts.networks.scaled_mlp import ScaledPerceptron
from bench.parts.objectives.independent_classes import IndependentClasses
from bench.parts.trainables.head import Head
from bench.parts.trainables.unit_scales_and_biases import UnitScalesAndBiases

SCALED, MLP = NETWORKS[-2:]


# -- network and sets ----------------------------------------------------------------------------


def test_the_network_is_the_published_one_with_scales_of_1():
    module = ScaledPerceptron(embedding=4).build((2,)).double()
    state = module.state_dict()
    assert [tuple(state[f"{i}.weight"].shape) for i in (1, 3, 5, 7, 9)] == [
        (8, 2), (16, 8), (16, 16), (8, 16), (4, 8),
    ]  # fmt: skip
    assert all((v == 1).all() for n, v in state.items() if n.endswith(".scale"))
    generator = torch.Generator().manual_seed(0)
    for value in state.values():
        value.copy_(torch.randn(value.shape, generator=generator, dtype=torch.float64))
    x = torch.randn(5, 2, generator=generator, dtype=torch.float64)
    expected = x.T
    for i in (1, 3, 5, 7, 9):
        weight, bias, scale = (state[f"{i}.{n}"] for n in ("weight", "bias", "scale"))
        expected = torch.diag(scale) @ weight @ expected + bias[:, None]
        # The embedding is linear.
        expected = relu(expected) if i < 9 else expected
    torch.testing.assert_close(module(x), expected.T)


@pytest.mark.parametrize(
    ("part", "ends", "head"),
    [
        (UnitScalesAndBiases(scales=False), {"bias"}, False),
        (UnitScalesAndBiases(biases=False), {"scale"}, False),
        (UnitScalesAndBiases(), {"bias", "scale"}, False),
        (UnitScalesAndBiases(last_layer=True), {"bias", "scale"}, True),
        (Head(), set(), True),
    ],
    ids=["A", "B", "C", "D", "E"],
)
def test_the_papers_five_sets(part, ends, head):
    network = replace(Trial(SCALED), trainable=part).run().network
    trains = {name for name, p in network.named_parameters() if p.requires_grad}
    body = {n for n in trains if n.startswith("backbone.")}
    assert {n.rpartition(".")[2] for n in body} == ends
    # Five layers, the embedding's too.
    assert len(body) == 5 * len(ends)
    assert trains - body == ({"head.weight", "head.bias"} if head else set())


def test_no_such_units_and_nothing_to_train_are_errors():
    with pytest.raises(UserError, match="mlp has no units with scales"):
        UnitScalesAndBiases()(Trial(MLP).build())
    with pytest.raises(UserError, match="neither scales nor biases"):
        UnitScalesAndBiases(scales=False, biases=False)(Trial(SCALED).build())


# -- the loss ------------------------------------------------------------------------------------


def test_the_loss_is_the_mean_of_each_outputs_cross_entropy():
    outputs = np.array([[0.3, -1.2], [2.0, 0.1], [-0.4, 800.0]])
    targets = np.array([1, 0, 1])
    share = 1 / (1 + np.exp(-outputs))
    wanted = np.eye(2)[targets]
    with np.errstate(divide="ignore", invalid="ignore"):
        each = np.where(wanted == 1, -np.log(share), -np.log(1 - share))
    objective = IndependentClasses()
    found = objective.loss(torch.from_numpy(outputs), torch.from_numpy(targets))
    assert found.item() == pytest.approx(each.mean(), rel=1e-12)
    scores = objective.scores(outputs, targets)
    assert scores["loss"] == pytest.approx(each.mean(), rel=1e-12)
    assert scores["top1"] == pytest.approx(2 / 3)


# -- maps ----------------------------------------------------------------------------------------


def half_plane() -> Network:
    """A network of two classes: 1 where the first coordinate is above the second."""
    backbone = nn.Flatten()
    backbone.num_features = 2
    network = Network(backbone, {"": 2}, name="plain")
    network.load_heads({"": {"weight": torch.tensor([[0.0, 0.0], [1.0, -1.0]])}})
    return network


class Classes(RandomMeasuring):
    """Scores that a head of two outputs can be given."""

    def scores(self, network, split):
        return {"top1": 0.25}


def test_a_map_is_seen_as_a_picture_is():
    part = DecisionMap(side=4, lowest=-2.0, highest=2.0)
    found = part(Classes({"trained": half_plane()}, SCALED, data=True))
    # First row: second coordinate 1.5; columns: first coordinates -1.5, -0.5, 0.5, 1.5.
    assert found.arrays["class"].tolist() == [
        [0, 0, 0, 0],
        [0, 0, 0, 1],
        [0, 0, 1, 1],
        [0, 1, 1, 1],
    ]
    assert found.metrics == {"top1": 0.25}


def test_what_cannot_be_mapped_is_an_error():
    with pytest.raises(DataError, match=r"of the plane, and a row of random has the shape \(8,\)"):
        DecisionMap()(RandomMeasuring({"trained": Trial(MLP).build()}, MLP, data=True))
    with pytest.raises(UserError, match=r"from 1\.0 to 1\.0"):
        DecisionMap(lowest=1.0)(RandomMeasuring({"trained": half_plane()}, SCALED, data=True))


# -- what a linear layer cannot do ---------------------------------------------------------------


@pytest.mark.parametrize("m", [2, 4, 8])
def test_a_convex_combination_of_embeddings_of_one_class_is_of_that_class(m):
    """Appendix A: why logits alone do not part what an embedding has between two regions."""
    generator = torch.Generator().manual_seed(m)

    def draw(*size: int) -> torch.Tensor:
        return torch.randint(-9, 10, size, generator=generator).double()

    same = inside = 0
    for _ in range(40):
        head = nn.Linear(m, 3).double()
        # Whole numbers and quarters: sums are exact, and equal outputs are equal.
        head.load_state_dict({"weight": draw(3, m), "bias": draw(3)})
        first, second = draw(60, m), draw(60, m)
        with torch.no_grad():
            one, other = head(first).argmax(1), head(second).argmax(1)
            for quarter in (1, 2, 3):
                between = head(first * quarter / 4 + second * (4 - quarter) / 4).argmax(1)
                same += int((one == other).sum())
                inside += int((between == one)[one == other].sum())
    assert same > 1000
    assert inside == same
