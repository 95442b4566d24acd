"""The rate of a backbone's parameters of one element, as of Fixup's scales and biases."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from bench.models.network import Network
from bench.parts.kinds import Update
from bench.parts.objectives.classification import Classification
from bench.parts.updates.gradient import Gradient
from bench.parts.updates.lookahead import Lookahead
from bench.parts.updates.profit import Profit
from bench.spec.recipe import SGD, Anytime, Optimizer, Recipe, Schedule, StepSchedule, Warmup
from bench.training.curves import CurveBook
from bench.training.monitor import Monitor, Scores
from bench.training.optimizer import build_optimizer, scale_rates
from tests.training.conftest import CLASSES, ToyBatches, fit

STEPS = 6
RATE, BACKBONE, SCALARS = 0.2, 0.05, 0.1


class Body(nn.Module):
    """A convolution with a scale and a bias of one number each."""

    num_features = 4

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.conv = nn.Conv2d(3, 4, 3)
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, images: Tensor) -> Tensor:
        return (self.conv(images) * self.scale + self.bias).relu().mean((2, 3))


def network(outputs: int = CLASSES) -> Network:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = Network(Body(), {"": outputs}, name="body")
        nn.init.normal_(made.head.weight)
    return made


def recipe(**settings: Any) -> Recipe:
    sgd = SGD(lr=RATE, backbone_lr=BACKBONE, momentum=0.9)
    schedule = Schedule(step=StepSchedule(every=2, factor=0.5))
    return Recipe(steps=STEPS, optimizer=Optimizer(sgd=sgd), schedule=schedule, **settings)


class ByHand:
    """What an update works on: torch's SGD with a group for the scalars."""

    def __init__(self) -> None:
        self.network = made = network()
        body = made.backbone
        groups = [
            {"params": [body.scale, body.bias], "lr": SCALARS * BACKBONE},
            {"params": body.conv.parameters(), "lr": BACKBONE},
            {"params": made.head.parameters(), "lr": RATE},
        ]
        self.optimizer = torch.optim.SGD(groups, momentum=0.9)
        self.scaler = torch.amp.GradScaler("cpu", enabled=False)
        self.draws = 0

    def gradient(self) -> Tensor:
        images, labels = ToyBatches().batch(self.draws)
        self.draws += 1
        self.optimizer.zero_grad()
        loss = cross_entropy(self.network(images).logits, labels)
        loss.backward()
        return loss.detach().reshape(1)

    def apply(self) -> None:
        self.optimizer.step()

    def note(self, curve: str, value: float) -> None:
        """Keep nothing."""


@pytest.mark.parametrize(
    "update", [Gradient(), Lookahead(k=2), Profit(n_ref=2, ratio=4)], ids=lambda u: type(u).__name__
)
def test_scalars_have_a_rate_of_their_own_under_every_update_and_schedule(update: Update) -> None:
    ours = network()
    fit(ours, recipe(scalar_rate=SCALARS), update=update)

    hand = ByHand()
    step = update.begin(hand)
    halves = torch.optim.lr_scheduler.StepLR(hand.optimizer, 2, 0.5)
    for _ in range(STEPS):
        step(hand.gradient)
        halves.step()
    for name, value in hand.network.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], value, msg=name)
    # It is not how they go at the backbone's rate.
    plain = network()
    fit(plain, recipe(), update=update)
    assert not torch.allclose(plain.backbone.scale, ours.backbone.scale)


def names(optimizer: torch.optim.Optimizer) -> list[str]:
    return [group["name"] for group in optimizer.param_groups]


def test_a_rate_of_1_leaves_the_groups_as_they_were() -> None:
    made = network()
    plain = build_optimizer(recipe().optimizer, made)
    assert names(plain) == ["backbone", "head"]
    assert [id(p) for p in plain.param_groups[0]["params"]] == [
        id(p) for p in made.backbone.parameters()
    ]


def test_the_rate_that_is_told_is_still_the_heads() -> None:
    optimizer = build_optimizer(recipe().optimizer, network(), scalar_rate=SCALARS)
    assert names(optimizer) == ["scalars", "backbone", "head"]
    assert scale_rates(optimizer, 0.5) == 0.5 * RATE
    rates = [group["lr"] for group in optimizer.param_groups]
    assert rates == pytest.approx([0.5 * SCALARS * BACKBONE, 0.5 * BACKBONE, 0.5 * RATE])


def test_a_head_of_one_number_is_no_scalar_of_the_backbone_and_a_frozen_one_is_left_out() -> None:
    made = network(outputs=1)
    made.backbone.bias.requires_grad_(False)
    optimizer = build_optimizer(recipe().optimizer, made, scalar_rate=SCALARS)
    assert made.head.bias.numel() == 1
    assert [len(group["params"]) for group in optimizer.param_groups] == [1, 2, 2]


def test_averaged_velocities_scale_the_scalars_rate_too() -> None:
    sgd = SGD(lr=RATE, momentum=0.75, velocity="average")
    optimizer = build_optimizer(Optimizer(sgd=sgd), network(), scalar_rate=SCALARS)
    scale_rates(optimizer, 1.0)
    rates = [group["lr"] for group in optimizer.param_groups]
    assert rates == pytest.approx([0.25 * SCALARS * RATE, 0.25 * RATE, 0.25 * RATE])


def _scale_through_a_warmup(scalar_rate: float) -> list[float]:
    """Return the scale before the first step and after each; the backbone moves from the fourth."""
    made, book, seen = network(), CurveBook(), []
    warm = Recipe(
        steps=4, optimizer=Optimizer(sgd=SGD(lr=RATE)), validation=0.5, anytime=Anytime(),
        scalar_rate=scalar_rate,
    )  # fmt: skip
    scored = Scores(
        validation=lambda network, step: {"validation/top1": 0.5},
        test=lambda network, step: {"test/top1": 0.0},
        objectives={"": Classification()},
    )
    fit(
        made, warm, book=book, warmup=Warmup(patience=3), monitor=Monitor(made, warm, book, scored),
        after=lambda step: seen.append(made.backbone.scale.item()),
    )  # fmt: skip
    return seen


def test_scalars_stand_still_in_a_warmup_and_then_go_at_their_rate() -> None:
    plain, slow = _scale_through_a_warmup(1.0), _scale_through_a_warmup(SCALARS)
    assert plain[:4] == slow[:4] == [1.0] * 4
    assert abs(plain[4] - 1) > 1e-4
    assert slow[4] - 1 == pytest.approx(SCALARS * (plain[4] - 1), rel=1e-3)
