"""What one step of an optimizer costs, beside another's: time, memory, gradients."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from typing import Literal

import torch
from pydantic import PositiveInt
from torch import Tensor
from torch.nn.functional import cross_entropy

from bench.errors import DataError
from bench.models.network import Network
from bench.parts import Measured, Measurement, Measuring, Update, measurement
from bench.parts.updates.gradient import Gradient
from bench.parts.updates.lookahead import Lookahead
from bench.parts.updates.profit import Profit
from bench.spec.recipe import SGD, Adam, AdamW, Adan, Optimizer
from bench.training.memory import LiveTensors, bytes_of
from bench.training.optimizer import build_optimizer

# Steps are not to lead anywhere: what they cost does not depend on the rate.
_RATE = 1e-8
_OPTIMIZERS = {
    "sgd": Optimizer(sgd=SGD(lr=_RATE, momentum=0.9)),
    "adam": Optimizer(adam=Adam(lr=_RATE)),
    "adamw": Optimizer(adamw=AdamW(lr=_RATE)),
    "adan": Optimizer(adan=Adan(lr=_RATE)),
}
_WARMING = 3
_MEGABYTE = 1e6


@measurement("step-cost")
class StepCost(Measurement):
    """Time and memory of a step on one batch that stays, and their ratios to a baseline's.

    A step is as in training: gradients by cross-entropy, ``n_ref`` + 1 of them for ``profit``,
    then the optimizer's step (SGD with momentum). Loading and augmentation are not in it.

    ``machine/step`` is the median over ``blocks`` of the mean time of ``steps`` steps: by the clock
    on a GPU, else the processors' time of this process. A block of the baseline stands beside
    each, the first of the two in turns; ``machine/step/ratio`` is the median of the ratios of
    such pairs, so that what slows the machine down slows both.
    ``machine/memory`` is the most that lives during a step, parameters and batch included: what
    PyTorch's allocator says on a GPU, else the tensors as counted by `LiveTensors`. ``kept`` is
    what optimizer and update keep from one step to the next, and ``gradients`` how many a step
    takes.
    """

    roles = ("network",)
    data = "task"
    metrics = {
        "machine/step": ("ms", "lowest"),
        "machine/step/ratio": ("", "lowest"),
        "machine/memory": ("MB", "lowest"),
        "machine/memory/ratio": ("", "lowest"),
        "kept": ("MB", "lowest"),
        "gradients": ("", "lowest"),
    }
    optimizer: Literal["sgd", "adam", "adamw", "adan"] = "adam"
    update: Literal["gradient", "lookahead", "profit"] = "gradient"
    n_ref: PositiveInt = 1
    baseline: Literal["sgd", "adam", "adamw", "adan"] = "adam"
    batch_size: PositiveInt = 32
    blocks: PositiveInt = 20
    steps: PositiveInt = 2

    def __call__(self, measuring: Measuring) -> Measured:
        """Return the costs; DataError if the targets are no classes."""
        if measuring.classes is None:
            raise DataError(
                f"steps are timed on cross-entropy, and the targets of {measuring.dataset} are "
                "numbers",
                remedy="use a dataset with classes",
            )
        batch = next(iter(measuring.batches("train", self.batch_size)))

        def ours() -> _Steps:
            return _Steps(measuring.network("network"), self.optimizer, self._update(), batch)

        def theirs() -> _Steps:
            return _Steps(measuring.network("network"), self.baseline, Gradient(), batch)

        memory, kept = _memory(ours, batch)
        base_memory, _ = _memory(theirs, batch)
        mine, base = ours(), theirs()
        pairs = _timed_pairs(mine, base, self.blocks, self.steps)
        taken = mine.gradients
        mine.step()
        return Measured(
            {
                "machine/step": 1e3 * statistics.median(own for own, _ in pairs),
                "machine/step/ratio": statistics.median(own / other for own, other in pairs),
                "machine/memory": memory / _MEGABYTE,
                "machine/memory/ratio": memory / base_memory,
                "kept": kept / _MEGABYTE,
                "gradients": float(mine.gradients - taken),
            }
        )

    def _update(self) -> Update:
        if self.update == "profit":
            return Profit(n_ref=self.n_ref, ratio=10)
        return Lookahead(k=1, alpha=0.5) if self.update == "lookahead" else Gradient()


class _Steps:
    """A network with its optimizer, and steps on one batch: what an update works on."""

    def __init__(
        self, network: Network, optimizer: str, update: Update, batch: tuple[Tensor, Tensor]
    ) -> None:
        self.network = network.train().requires_grad_(True)
        self.optimizer = build_optimizer(_OPTIMIZERS[optimizer], network)
        self.device = batch[0].device
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=False)
        self.gradients = 0
        self._batch = batch
        self._step = update.begin(self)

    def step(self) -> None:
        """Make one step."""
        self._step(self._gradient)

    def _gradient(self) -> Tensor:
        self.gradients += 1
        self.optimizer.zero_grad(set_to_none=True)
        inputs, targets = self._batch
        loss = cross_entropy(self.network(inputs).logits, targets)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss.detach().reshape(1)

    def apply(self) -> None:
        """Let the optimizer make its step."""
        self.optimizer.step()

    def note(self, curve: str, value: float) -> None:
        """Pass over what the update notes."""


def _timed_pairs(mine: _Steps, base: _Steps, blocks: int, steps: int) -> list[tuple[float, float]]:
    """Return seconds a step of both in each block."""
    for each in (mine, base):
        _seconds(each, _WARMING)
    pairs = []
    for block in range(blocks):
        # Neither is always the one that finds the caches as the other left them.
        if block % 2:
            other = _seconds(base, steps)
            pairs.append((_seconds(mine, steps), other))
        else:
            pairs.append((_seconds(mine, steps), _seconds(base, steps)))
    return pairs


def _seconds(steps: _Steps, count: int) -> float:
    begin = _now(steps.device)
    for _ in range(count):
        steps.step()
    return (_now(steps.device) - begin) / count


def _now(device: torch.device) -> float:
    """Return seconds: of the clock, all work on a GPU done; else of this process's processors."""
    if device.type != "cuda":
        # What else the machine does would count by the clock.
        return time.process_time()
    torch.cuda.synchronize(device)
    return time.perf_counter()


def _memory(build: Callable[[], _Steps], batch: tuple[Tensor, Tensor]) -> tuple[int, int]:
    """Return the bytes that live at most in a step, and those kept from one to the next."""
    # What was measured before refers to itself, and is only freed so.
    gc.collect()
    if batch[0].device.type == "cuda":
        return _allocated(build, batch)
    with LiveTensors(batch) as live:
        made = build()
        before = live.now
        for _ in range(_WARMING):
            made.step()
        live.forget_peak()
        made.step()
        made.optimizer.zero_grad(set_to_none=True)
        return live.peak + bytes_of(batch), live.now - before


def _allocated(build: Callable[[], _Steps], batch: tuple[Tensor, Tensor]) -> tuple[int, int]:
    device = batch[0].device
    outside = torch.cuda.memory_allocated(device)
    made = build()
    before = torch.cuda.memory_allocated(device)
    for _ in range(_WARMING):
        made.step()
    torch.cuda.reset_peak_memory_stats(device)
    made.step()
    peak = torch.cuda.max_memory_allocated(device) - outside
    made.optimizer.zero_grad(set_to_none=True)
    return peak + bytes_of(batch), torch.cuda.memory_allocated(device) - before
