"""The training loop. There is one."""

from __future__ import annotations

from typing import Literal, Protocol

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from bench.models.network import Network
from bench.spec.cell import Method
from bench.spec.recipe import Recipe
from bench.training.curves import CurveBook, is_report_step
from bench.training.finite import TermWatch
from bench.training.monitor import Monitor
from bench.training.objective import CROSS_ENTROPY, Objective
from bench.training.optimizer import build_optimizer, scale_rates
from bench.training.schedule import rate_factor
from bench.training.warmup import WarmupRule

# Fetching the loss makes a GPU wait, so it is done once in so many steps there.
_CHECK_EVERY_ON_GPU = 10
PLAIN = Method()


class Batches(Protocol):
    """Gives the training batch of a step."""

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """Return images ``(b, 3, s, s)`` and labels ``(b,)`` of a step that counts from 0."""


def train(
    network: Network,
    objective: Objective,
    recipe: Recipe,
    batches: Batches,
    book: CurveBook,
    *,
    method: Method = PLAIN,
    monitor: Monitor | None = None,
) -> int | None:
    """Train a network in place for ``recipe.steps`` steps; it is left as the last one left it.

    Batch normalisation is in training mode, statistics included, except under ``trainable``
    ``head`` and during a warm-up: then the backbone is frozen and in evaluation mode (or, if
    the warm-up says so, frozen with its statistics updated). A curve's point is the mean over
    the steps since the point before; ``train/learning_rate`` is the head's.

    Parameters
    ----------
    method
        What trains, from when on, and by which optimizer if not the recipe's.
    monitor
        Is shown the network before the first step and after each. A warm-up needs one that
        scores a validation split.

    Returns
    -------
    int or None
        After how many steps the warm-up ended; None without one, or if it did not end.

    Raises
    ------
    NotANumber
        If a term of the loss is not finite, naming the term and the step.
    """
    set_trainable(network, method.trainable)
    optimizer = build_optimizer(
        method.optimizer or recipe.optimizer,
        network.backbone.parameters(),
        network.head.parameters(),
    )
    phase = _WarmupPhase(network, method, monitor)
    device = next(network.parameters()).device
    scaler = torch.amp.GradScaler(device.type, enabled=recipe.precision == "float16")
    terms_watch = TermWatch(objective.names, 1 if device.type == "cpu" else _CHECK_EVERY_ON_GPU)
    if monitor is not None:
        phase.after(0, monitor.after(0, always=phase.watched(0)))
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
        if monitor is not None:
            phase.after(done, monitor.after(done, always=phase.watched(done)))
    return phase.ended_at


def set_trainable(
    network: Network, trainable: Literal["all", "head"], *, update_statistics: bool = False
) -> None:
    """Put a network into training mode, its backbone frozen under ``head``.

    A frozen backbone is in evaluation mode, unless its statistics are to be updated.
    """
    network.train()
    network.requires_grad_(True)
    if trainable == "head":
        network.backbone.requires_grad_(False).eval()
        for module in network.backbone.modules() if update_statistics else ():
            # Nothing else: dropout would be active too.
            if isinstance(module, _BatchNorm):
                module.train()


class _WarmupPhase:
    """Keeps the backbone frozen until the warm-up's rule says that it ends."""

    def __init__(self, network: Network, method: Method, monitor: Monitor | None) -> None:
        self.ended_at: int | None = None
        self._network = network
        self._method = method
        self._monitor = monitor
        self._rule = WarmupRule(method.warmup) if method.warmup is not None else None
        if method.warmup is not None and monitor is None:
            raise ValueError("a warm-up needs a monitor that scores a validation split")
        if method.warmup is not None:
            updated = method.warmup.statistics == "updated"
            set_trainable(network, "head", update_statistics=updated)

    def watched(self, step: int) -> bool:
        """Whether a step is to be validated: in the warm-up, and as long as its drop lasts."""
        warmup = self._method.warmup
        if warmup is None:
            return False
        return self.ended_at is None or step <= self.ended_at + warmup.patience

    def after(self, step: int, accuracy: float | None) -> None:
        """Take the validation accuracy after a step, and begin to train all if it is time."""
        warmup, monitor = self._method.warmup, self._monitor
        if self._rule is None or warmup is None or monitor is None or not self.watched(step):
            return
        if accuracy is None:
            raise ValueError("a warm-up needs a validation split")
        if self.ended_at is None:
            if self._rule.ended(step, accuracy):
                self.ended_at = step
                set_trainable(self._network, self._method.trainable)
        elif step == self.ended_at + warmup.patience:
            monitor.restart(step)


def _report(book: CurveBook, done: int, rate: float, means: dict[str, float]) -> None:
    book.add("train/loss", done, sum(means.values()))
    for name, value in means.items():
        curve = "train/cross_entropy" if name == CROSS_ENTROPY else f"penalty/{name}"
        book.add(curve, done, value)
    book.add("train/learning_rate", done, rate)
