"""PROFIT (GOODFIT): a short walk first, and a gradient that does not undo it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar, Literal

import torch
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from bench.errors import UserError
from bench.methods.profit import PROFIT, Reference
from bench.models.network import Network
from bench.parts import Training, Update, update
from bench.parts.kinds import GradientFunction

_REFERENCES: dict[str, Reference] = {
    "sgd": lambda tensors: torch.optim.SGD(tensors, lr=0.0),
    "adam": lambda tensors: torch.optim.Adam(tensors, lr=0.0),
    "rmsprop": lambda tensors: torch.optim.RMSprop(tensors, lr=0.0),
}


@update("profit")
class Profit(Update):
    """Algorithm 1 of the PROFIT paper around the recipe's optimizer; see `bench.methods.PROFIT`.

    A step takes n_ref + 1 gradients. ``ratio`` is λ_main / λ_ref, ``lr_ref`` λ_ref itself, and
    ``follows`` whether λ_ref follows the schedule: by default a ratio does, and ``lr_ref`` does
    not. Averaged velocities need ``lr_ref`` that does not: torch's rate is not the recipe's
    there. ``statistics``: whether the running statistics of
    batch normalisation follow ``all`` gradients or the last of a step alone (``main``); the paper
    does not say.
    """

    curves = ("profit/cosine", "profit/projected", "profit/displacement")
    gradients_per_step: ClassVar[str] = "n_ref + 1"

    n_ref: PositiveInt = 1
    ratio: PositiveFloat | None = None
    lr_ref: PositiveFloat | None = None
    follows: bool | None = None
    reference: Literal["sgd", "adam", "rmsprop"] = "sgd"
    guard: bool = True
    products: Literal["global", "tensor"] = "global"
    statistics: Literal["all", "main"] = "all"

    def begin(self, training: Training) -> Callable[[GradientFunction], None]:
        """Return the step; it keeps what O_ref keeps."""
        if self.lr_ref is None or self.follows:
            _check_rates(training.optimizer)
        buffers = list(_statistics(training.network)) if self.statistics == "main" else []
        optimizer = PROFIT(
            training.optimizer,
            n_ref=self.n_ref,
            ratio=self.ratio,
            lr_ref=self.lr_ref,
            follows=self.follows,
            reference=_REFERENCES[self.reference],
            guard=self.guard,
            products=self.products,
            buffers=buffers,
        )
        return _Step(training, optimizer)


class _Step:
    def __init__(self, training: Training, optimizer: PROFIT) -> None:
        self._training = training
        self._optimizer = optimizer

    def __call__(self, gradient: GradientFunction) -> None:
        training = self._training
        self._optimizer.step(gradient, scaler=training.scaler, apply=training.apply)
        look = self._optimizer.look
        assert look is not None
        training.note("profit/cosine", look.cosine)
        training.note("profit/projected", look.projected)
        training.note("profit/displacement", look.displacement)

    def state(self) -> Any:
        """Return what O_ref keeps; O is the training's own."""
        return self._optimizer.state_dict()["reference"]

    def restore(self, state: Any) -> None:
        """Put back what O_ref kept."""
        own = self._optimizer.optimizer.state_dict()
        self._optimizer.load_state_dict({"optimizer": own, "reference": state})


def _check_rates(optimizer: torch.optim.Optimizer) -> None:
    """See that a group's rate is the recipe's, which λ_ref is told by.

    Raises
    ------
    UserError
        If it is not.
    """
    if any(group.get("step_scale", 1.0) != 1.0 for group in optimizer.param_groups):
        raise UserError(
            "profit's ratio, or lr_ref that follows the schedule, is told by the recipe's rate, "
            "and with averaged velocities the optimizer has 1 - momentum times that",
            field="recipe.optimizer.sgd.velocity",
            remedy="use velocity: sum, or profit's lr_ref without follows, instead of its ratio",
        )


def _statistics(network: Network) -> Iterator[Tensor]:
    for module in network.modules():
        if isinstance(module, _BatchNorm):
            yield from module.buffers(recurse=False)
