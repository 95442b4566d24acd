from __future__ import annotations

import math

import pytest
import timm
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from bench.errors import UserError, WeightsError
from bench.models.network import Network
from bench.parts.kinds import Penalty, Step
from bench.training.loss import ATTENTION
from tests.training.conftest import CLASSES, ToyBatches, loss_of, toy_network


class Looks(Penalty):
    """Keeps the step it was shown."""

    needs = ()

    def __call__(self, step: Step) -> Tensor:
        SEEN.append(step)
        return step.features.square().sum()


class LooksAtMaps(Looks):
    """The same, with the source's maps."""

    needs = ("source_maps",)


class Vector(Penalty):
    """Forgets to sum."""

    def __call__(self, step: Step) -> Tensor:
        return step.features.sum(1)


SEEN: list[Step] = []


@pytest.fixture(autouse=True)
def _nothing_seen() -> None:
    SEEN.clear()


def _resnet() -> Network:
    torch.manual_seed(0)
    return Network(
        timm.create_model("test_resnet", num_classes=0), {"": CLASSES}, name="test_resnet"
    )


def test_the_loss_is_the_cross_entropy_and_every_penalty() -> None:
    network, batch = toy_network(), ToyBatches().batch(0)
    loss = loss_of(network, {"a": Looks(), "b": Looks()})
    output = network(batch[0])
    terms = loss.terms({"": batch})
    assert loss.names == ("cross-entropy", "a", "b")
    expected = [cross_entropy(output.logits, batch[1]), *[output.features.square().sum()] * 2]
    torch.testing.assert_close(terms, torch.stack(expected))


def test_a_zero_head_has_the_loss_of_guessing() -> None:
    network = toy_network()
    torch.nn.init.zeros_(network.head.weight)
    torch.nn.init.zeros_(network.head.bias)
    terms = loss_of(network).terms({"": ToyBatches().batch(0)})
    assert terms[0].item() == pytest.approx(math.log(CLASSES))


def test_the_start_stays_while_the_parameters_move() -> None:
    network = toy_network()
    loss = loss_of(network, {"looks": Looks()})
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 1
    loss.terms({"": ToyBatches().batch(0)})
    (step,) = SEEN
    assert set(step.start) == set(step.backbone) == {
        "conv.weight", "conv.bias", "norm.weight", "norm.bias",
    }  # fmt: skip
    for name, value in step.backbone.items():
        torch.testing.assert_close(step.start[name], value.detach() - 1)
        assert not step.start[name].requires_grad


def test_source_maps_are_the_starts_in_evaluation_mode() -> None:
    network = _resnet().train()
    start = _resnet().eval()
    loss = loss_of(network, {"looks": LooksAtMaps()})
    images = torch.randn(4, 3, 32, 32)
    for _ in range(2):
        loss.terms({"": (images, torch.zeros(4, dtype=torch.long))})
        with torch.no_grad():
            network.backbone.conv1[0].weight += 0.1
    expected = start(images, taps=start.tap_names).maps
    for step in SEEN:
        assert set(step.source_maps) == set(step.maps) == set(start.tap_names)
        for name, value in step.source_maps.items():
            assert not value.requires_grad
            torch.testing.assert_close(value, expected[name].detach())
    assert all(value.requires_grad for value in SEEN[0].maps.values())


def test_without_need_there_is_no_second_network_and_no_map() -> None:
    loss = loss_of(_resnet(), {"looks": Looks()})
    loss.terms({"": (torch.randn(2, 3, 32, 32), torch.zeros(2, dtype=torch.long))})
    assert SEEN[0].maps == SEEN[0].source_maps == {}
    assert loss._source is None


def test_under_bfloat16_penalties_see_float32_outside_autocast() -> None:
    network = _resnet()
    loss = loss_of(network, {"looks": LooksAtMaps()}, precision="bfloat16")
    terms = loss.terms({"": (torch.randn(2, 3, 32, 32), torch.zeros(2, dtype=torch.long))})
    (step,) = SEEN
    seen = [step.features, step.logits, *step.maps.values(), *step.source_maps.values(), terms]
    assert {value.dtype for value in seen} == {torch.float32}
    full = loss_of(network).terms({"": (torch.randn(2, 3, 32, 32), torch.zeros(2).long())})
    assert torch.isfinite(terms).all()
    assert terms[0].item() == pytest.approx(full[0].item(), rel=0.05)


def test_a_penalty_that_is_no_scalar_is_the_users_to_mend() -> None:
    loss = loss_of(toy_network(), {"vector": Vector()})
    with pytest.raises(UserError, match=r"'vector' must return a scalar tensor, not shape \(6,\)"):
        loss.terms({"": ToyBatches().batch(0)})


def test_channel_weights_of_other_layers_are_refused() -> None:
    class Attends(Looks):
        """Needs weights."""

        needs = ("source_maps", "channel-attention")

    with pytest.raises(WeightsError, match=r"layer9"):
        loss_of(_resnet(), {"a": Attends()}, measured={ATTENTION: {"layer9": torch.ones(3)}})
