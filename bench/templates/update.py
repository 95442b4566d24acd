"""An update: what one step of training does with gradients."""

from collections.abc import Callable
from typing import ClassVar

import torch
from pydantic import PositiveInt

from bench.parts import Training, Update, update
from bench.parts.kinds import GradientFunction


@update("my-part")
class MyPart(Update):
    """One step from the mean gradient of several batches: say here what it is, and whose."""

    # Gradients that a step takes, by the parameters: claims of equal budgets are checked by it.
    gradients_per_step: ClassVar[str] = "batches"

    # Annotated fields are parameters: `update: {my-part: {batches: 4}}` in a suite.
    batches: PositiveInt = 2

    def begin(self, training: Training) -> Callable[[GradientFunction], None]:
        """Return what does a step; this is called once, before the first."""

        def step(gradient: GradientFunction) -> None:
            mean: dict[torch.nn.Parameter, torch.Tensor] = {}
            for _ in range(self.batches):
                # Draws a fresh batch, and leaves the loss's gradient in the parameters.
                gradient()
                for p in training.network.parameters():
                    if p.grad is not None:
                        share = p.grad / self.batches
                        mean[p] = mean[p] + share if p in mean else share
            for p, value in mean.items():
                p.grad = value
            # The recipe's optimizer makes its step by what is in the gradients now.
            training.apply()

        return step
