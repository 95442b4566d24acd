"""Lookahead: slow weights that follow fast ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from pydantic import NonNegativeFloat, PositiveInt

from bench.errors import UserError
from bench.parts import Training, Update, update
from bench.parts.kinds import GradientFunction


@update("lookahead")
class Lookahead(Update):
    """Every k steps φ ← φ + α (θ − φ) and θ ← φ (Zhang et al. 2019, Algorithm 1).

    θ are the parameters that train, stepped by the recipe's optimizer, whose own state stays.
    """

    k: PositiveInt = 6
    alpha: NonNegativeFloat = 0.5

    def begin(self, training: Training) -> Callable[[GradientFunction], None]:
        """Return the step; it keeps the slow weights and counts the steps.

        Raises
        ------
        UserError
            If alpha is above 1.
        """
        if self.alpha > 1:
            raise UserError(f"lookahead's alpha goes from 0 to 1: {self.alpha}")
        return _Step(training, self.k, self.alpha)


class _Step:
    def __init__(self, training: Training, k: int, alpha: float) -> None:
        self._training = training
        self._k = k
        self._alpha = alpha
        self._slow: dict[torch.nn.Parameter, torch.Tensor] = {}
        self._steps = 0

    def __call__(self, gradient: GradientFunction) -> None:
        parameters = self._parameters()
        for parameter in parameters:
            # Those that began to train after a warm-up too, from where they were.
            self._slow.setdefault(parameter, parameter.detach().clone())
        gradient()
        self._training.apply()
        self._steps += 1
        if self._steps % self._k == 0:
            with torch.no_grad():
                for parameter in parameters:
                    parameter.copy_(self._slow[parameter].lerp_(parameter, self._alpha))

    def state(self) -> dict[str, Any]:
        """Return the slow weights, in the order of the optimizer's parameters, and the steps."""
        return {"slow": [self._slow.get(p) for p in self._parameters()], "steps": self._steps}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        pairs = zip(self._parameters(), state["slow"], strict=True)
        self._slow = {parameter: slow for parameter, slow in pairs if slow is not None}
        self._steps = state["steps"]

    def _parameters(self) -> list[torch.nn.Parameter]:
        return [p for group in self._training.optimizer.param_groups for p in group["params"]]
