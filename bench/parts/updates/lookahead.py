"""Lookahead: slow weights that follow fast ones."""

from __future__ import annotations

from collections.abc import Callable

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
        slow: dict[torch.nn.Parameter, torch.Tensor] = {}
        steps = 0

        def step(gradient: GradientFunction) -> None:
            nonlocal steps
            parameters = [p for group in training.optimizer.param_groups for p in group["params"]]
            for parameter in parameters:
                # Those that began to train after a warm-up too, from where they were.
                slow.setdefault(parameter, parameter.detach().clone())
            gradient()
            training.apply()
            steps += 1
            if steps % self.k == 0:
                with torch.no_grad():
                    for parameter in parameters:
                        parameter.copy_(slow[parameter].lerp_(parameter, self.alpha))

        return step
