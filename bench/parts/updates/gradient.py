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
        return _Step(training)


class _Step:
    def __init__(self, training: Training) -> None:
        self._training = training

    def __call__(self, gradient: GradientFunction) -> None:
        gradient()
        self._training.apply()

    def state(self) -> None:
        """Nothing is kept."""

    def restore(self, state: None) -> None:
        """Nothing was kept."""
