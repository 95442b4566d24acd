"""The training loop. There is one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

import torch
from torch import Tensor

from bench.models.network import Network
from bench.records.record import Curve
from bench.spec.recipe import Recipe
from bench.training.curves import CurveBook, is_report_step
from bench.training.finite import TermWatch
from bench.training.objective import CROSS_ENTROPY, Objective
from bench.training.optimizer import build_optimizer, scale_rates
from bench.training.schedule import rate_factor
from bench.training.selection import BestState

Score = Callable[[], Mapping[str, float]]
# Fetching the loss makes a GPU wait, so it is done once in so many steps there.
_CHECK_EVERY_ON_GPU = 10


class Batches(Protocol):
    """Gives the training batch of a step."""

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """Return images ``(b, 3, s, s)`` and labels ``(b,)`` of a step that counts from 0."""


@dataclass(frozen=True)
class Watch:
    """A split scored while training: its curve's name, and whether the best state is kept."""

    split: str
    score: Score
    select: bool


@dataclass(frozen=True)
class Trained:
    """What the loop gives: the curves, and the step whose state the network now has."""

    curves: Mapping[str, Curve]
    step: int


def train(
    network: Network,
    objective: Objective,
    recipe: Recipe,
    batches: Batches,
    *,
    trainable: Literal["all", "head"] = "all",
    watches: tuple[Watch, ...] = (),
) -> Trained:
    """Train a network in place for ``recipe.steps`` steps.

    Batch normalisation is in training mode, statistics included, except under ``trainable``
    ``head``: then the backbone is frozen and in evaluation mode. A curve's point is the mean
    over the steps since the point before; ``train/learning_rate`` is the head's, and
    ``SPLIT/top1`` is a watched split's after that many steps.

    Raises
    ------
    NotANumber
        If a term of the loss is not finite, naming the term and the step.
    """
    set_trainable(network, trainable)
    optimizer = build_optimizer(
        recipe.optimizer, network.backbone.parameters(), network.head.parameters()
    )
    device = next(network.parameters()).device
    scaler = torch.amp.GradScaler(device.type, enabled=recipe.precision == "float16")
    terms_watch = TermWatch(objective.names, 1 if device.type == "cpu" else _CHECK_EVERY_ON_GPU)
    book, best = CurveBook(), BestState()
    selecting = any(watch.select for watch in watches)
    for done in range(1, recipe.steps + 1):
        rate = scale_rates(optimizer, rate_factor(recipe.schedule, done - 1, recipe.steps))
        terms = objective.terms(*batches.batch(done - 1))
        terms_watch.add(terms)
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(scaler.scale(terms.sum()))
        scaler.step(optimizer)
        scaler.update()
        if is_report_step(done, recipe.steps):
            _report(book, done, rate, terms_watch.means())
        if recipe.validate_every and (done % recipe.validate_every == 0 or done == recipe.steps):
            for watch in watches:
                top1 = watch.score()["top1"]
                book.add(f"{watch.split}/top1", done, top1)
                if watch.select:
                    best.offer(network, done, top1)
    return Trained(book.curves(), best.restore(network) if selecting else recipe.steps)


def set_trainable(network: Network, trainable: Literal["all", "head"]) -> None:
    """Put a network into training mode, its backbone frozen under ``head``."""
    network.train()
    network.requires_grad_(True)
    if trainable == "head":
        network.backbone.requires_grad_(False).eval()


def _report(book: CurveBook, done: int, rate: float, means: dict[str, float]) -> None:
    book.add("train/loss", done, sum(means.values()))
    for name, value in means.items():
        curve = "train/cross_entropy" if name == CROSS_ENTROPY else f"penalty/{name}"
        book.add(curve, done, value)
    book.add("train/learning_rate", done, rate)
