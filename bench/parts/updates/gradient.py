"""One gradient, one step of the optimizer."""

from __future__ import annotations

from collections.abc import Callable

from bench.parts import Training, Update, update
from bench.parts.kinds import GradientFunction


@update("gradient")
class Gradient(Update):
    """The optimizer's step from one batch's gradient."""

    def begin(self, training: Training) -> Callable[[GradientFunction], None]:
        """Return the step; nothing is kept between steps."""

        def step(gradient: GradientFunction) -> None:
            gradient()
            training.apply()

        return step
