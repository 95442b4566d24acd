"""The training loop. There is one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from bench.data.batches import Batches
from bench.errors import UserError
from bench.models.network import Network
from bench.parts.kinds import Trainable, Update
from bench.spec.metrics import curve_name
from bench.spec.recipe import Recipe, Warmup
from bench.training.curves import CurveBook, is_report_step
from bench.training.finite import TermWatch
from bench.training.gradients import PenaltyGradients
from bench.training.loss import Loss
from bench.training.module_state import (
    NetworkState,
    PartsState,
    Randomness,
    optimizer_state,
    restore_optimizer,
)
from bench.training.monitor import Monitor
from bench.training.optimizer import build_optimizer, scale_rates
from bench.training.progress import Progress
from bench.training.schedule import rate_factor
from bench.training.warmup import WarmupRule

# Fetching the loss makes a GPU wait, so it is done once in so many steps there.
_CHECK_EVERY_ON_GPU = 10


class _Training:
    """What an update works on: the network, the optimizer, and fresh gradients."""

    def __init__(
        self,
        network: Network,
        loss: Loss,
        recipe: Recipe,
        batches: Mapping[str, Batches],
        curves: Sequence[str],
    ) -> None:
        self.network = network
        self._declared = curves
        self.optimizer = build_optimizer(recipe.optimizer, network, scalar_rate=recipe.scalar_rate)
        self.gradients = 0
        self.step = 0
        device = next(network.parameters()).device
        self.watch = TermWatch(loss.names, 1 if device.type == "cpu" else _CHECK_EVERY_ON_GPU)
        self._loss = loss
        self._steps = recipe.steps
        self._schedule = recipe.schedule
        self._batches = batches
        self.scaler = torch.amp.GradScaler(device.type, enabled=recipe.precision == "float16")
        self._notes: dict[str, list[float]] = {}
        self.look: Callable[[Tensor], None] | None = None
        """Is shown the scaled terms of the next gradient, once."""

    def prepare(self, step: int) -> float:
        """Set the rates of a step, which counts from 1; return the head's."""
        self.step = step
        return scale_rates(self.optimizer, rate_factor(self._schedule, step - 1, self._steps))

    def gradient(self) -> Tensor:
        """Draw the next batch of each task and leave its gradient; return the loss's terms."""
        drawn = {name: batches.batch(self.gradients) for name, batches in self._batches.items()}
        progress = max(self.step - 1, 0) / self._steps
        terms = self._loss.terms(drawn, draw=self.gradients, progress=progress)
        self.gradients += 1
        self.watch.add(terms, self.step)
        if self.look is not None:
            self.look(self.scaler.scale(terms))
            self.look = None
        self.optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(self.scaler.scale(terms.sum()))
        return terms.detach()

    def apply(self) -> None:
        """Let the optimizer make its step."""
        self.scaler.step(self.optimizer)
        self.scaler.update()

    def note(self, curve: str, value: float) -> None:
        """Add to the mean that a curve's next point is.

        Raises
        ------
        UserError
            If the update does not declare the curve.
        """
        if curve not in self._declared:
            raise UserError(
                f"the update notes {curve!r}, and declares {sorted(self._declared) or 'no curve'}",
                remedy="name it in the update's curves",
            )
        self._notes.setdefault(curve, []).append(value)

    def state(self) -> dict[str, Any]:
        """Return what steps have left, but for the network's own state."""
        return {
            "optimizer": optimizer_state(self.optimizer),
            "scaler": self.scaler.state_dict(),
            "watch": self.watch.state(),
            "gradients": self.gradients,
            "notes": self._notes,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        restore_optimizer(self.optimizer, state["optimizer"])
        if state["scaler"]:
            self.scaler.load_state_dict(state["scaler"])
        self.watch.restore(state["watch"])
        self.gradients = state["gradients"]
        self._notes = state["notes"]

    def notes(self) -> dict[str, float]:
        """Return the means of what was noted since the last call, and start anew."""
        means = {name: sum(values) / len(values) for name, values in self._notes.items()}
        self._notes.clear()
        return means


def train(
    network: Network,
    loss: Loss,
    recipe: Recipe,
    batches: Mapping[str, Batches],
    book: CurveBook,
    *,
    trainable: Trainable,
    update: Update,
    warmup: Warmup | None = None,
    monitor: Monitor | None = None,
    gradients: PenaltyGradients | None = None,
    after: Callable[[int], None] = lambda step: None,
    progress: Progress | None = None,
) -> tuple[int | None, int]:
    """Train a network in place for ``recipe.steps`` steps; it is left as the last one left it.

    Batch normalisation is in training mode, statistics included, except where ``trainable``
    freezes it and during a warm-up: then the backbone is frozen and in evaluation mode (or, if
    the warm-up says so, frozen with its statistics updated). A curve's point is the mean over
    the gradients since the point before; ``train/learning_rate`` is the head's.

    Parameters
    ----------
    batches
        By task. Each gradient takes the next batch of every task.
    monitor
        Is shown the network before the first step and after each. A warm-up needs one that
        scores a validation split.
    gradients
        Measures the penalties' in every step that the curves report.
    after
        Called before the first step, with 0, and after each.
    progress
        Saves the training's state, and has perhaps one to go on from: the rest is done then.

    Returns
    -------
    switch
        After how many steps the warm-up ended; None without one, or if it did not end.
    gradients
        How many were taken.

    Raises
    ------
    NotANumber
        If a term of the loss is not finite, naming the term and the step.
    """
    set_trainable(network, trainable)
    training = _Training(network, loss, recipe, batches, update.curves)
    step = update.begin(training)
    phase = _WarmupPhase(network, trainable, warmup, monitor)
    kept = {"loss": loss, "training": training, "update": step, "warm-up": phase, "curves": book}
    kept |= {"monitor": monitor} if monitor is not None else {}
    kept |= {"penalty gradients": gradients} if gradients is not None else {}
    first = _begin(progress, network, update, kept)
    if first == 0:
        after(0)
        if monitor is not None:
            phase.after(0, monitor.after(0, always=phase.watched(0)))
    with progress or nullcontext():
        for done in range(first + 1, recipe.steps + 1):
            reports = is_report_step(done, recipe.steps)
            rate = training.prepare(done)
            if gradients is not None and reports:
                training.look = partial(gradients.measure, step=done, book=book)
            step(training.gradient)
            if reports:
                _report(book, done, rate, training, loss.shares)
            after(done)
            if monitor is not None:
                phase.after(done, monitor.after(done, always=phase.watched(done)))
            if progress is not None:
                progress.after(done)
    return phase.ended_at, training.gradients


def _begin(
    progress: Progress | None, network: Network, update: Update, kept: Mapping[str, object]
) -> int:
    """Go on from what was saved, the network and what it draws among it; return the step."""
    if progress is None:
        return 0
    device = next(network.parameters()).device
    own = {"network": NetworkState(network), "update's part": PartsState([update])}
    return progress.begin({**own, **kept, "random state": Randomness(device)})


def set_trainable(network: Network, trainable: Trainable) -> None:
    """Put a network into training mode, and freeze what does not train."""
    network.train()
    network.requires_grad_(True)
    trainable(network)


class _WarmupPhase:
    """Keeps the backbone frozen until the warm-up's rule says that it ends."""

    def __init__(
        self,
        network: Network,
        trainable: Trainable,
        warmup: Warmup | None,
        monitor: Monitor | None,
    ) -> None:
        self.ended_at: int | None = None
        self._network = network
        self._trainable = trainable
        self._warmup = warmup
        self._monitor = monitor
        self._rule = WarmupRule(warmup) if warmup is not None else None
        if warmup is not None and monitor is None:
            raise ValueError("a warm-up needs a monitor that scores a validation split")
        if warmup is not None:
            body = network.body().requires_grad_(False).eval()
            for module in body.modules() if warmup.statistics == "updated" else ():
                # Nothing else: dropout would be active too.
                if isinstance(module, _BatchNorm):
                    module.train()

    def state(self) -> tuple[int | None, object]:
        """Return when the warm-up ended, and what its rule has seen; the network has the rest."""
        return self.ended_at, self._rule.state() if self._rule is not None else None

    def restore(self, state: tuple[int | None, Any]) -> None:
        """Go on in the phase of then."""
        self.ended_at, seen = state
        if self._rule is not None:
            self._rule.restore(seen)

    def watched(self, step: int) -> bool:
        """Whether a step is to be validated: in the warm-up, and as long as its drop lasts."""
        if self._warmup is None:
            return False
        return self.ended_at is None or step <= self.ended_at + self._warmup.patience

    def after(self, step: int, accuracy: float | None) -> None:
        """Take the validation accuracy after a step, and begin to train all if it is time."""
        warmup, monitor = self._warmup, self._monitor
        if self._rule is None or warmup is None or monitor is None or not self.watched(step):
            return
        if accuracy is None:
            raise ValueError("a warm-up needs a validation split")
        if self.ended_at is None:
            if self._rule.ended(step, accuracy):
                self.ended_at = step
                set_trainable(self._network, self._trainable)
        elif step == self.ended_at + warmup.patience:
            monitor.restart(step)


def _report(
    book: CurveBook, done: int, rate: float, training: _Training, shares: Mapping[str, float]
) -> None:
    means = training.watch.means()
    book.add("train/loss", done, sum(means.values()))
    for name, value in means.items():
        if name in shares:
            *task, term = name.split("/")
            # A task's own loss, not its part of the sum.
            book.add("/".join([*task, "train", curve_name(term)]), done, value / shares[name])
        else:
            book.add(f"penalty/{name}", done, value)
    book.add("train/learning_rate", done, rate)
    for name, value in training.notes().items():
        book.add(name, done, value)
