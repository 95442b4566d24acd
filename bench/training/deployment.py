"""When a network is looked at while it trains: validations, and the checkpoints of deployment."""

from __future__ import annotations

from collections.abc import Iterator

from bench.spec.recipe import Recipe


def pseudo_fibonacci(last: int) -> tuple[int, ...]:
    """Return the checkpoints up to ``last``: 0, 1, 2, 3, 5, 8, …, each number once.

    >>> pseudo_fibonacci(10)
    (0, 1, 2, 3, 5, 8)
    """
    return tuple(_fibonacci(last))


def _fibonacci(last: int) -> Iterator[int]:
    first, second = 0, 1
    while first <= last:
        yield first
        # 0, 1, 1, 2, …: the second 1 is left out.
        first, second = second, first + second if first else 2


class ValidationSteps:
    """Says after which steps the held-out splits are scored.

    Under ``recipe.anytime``: before the first step, and then at gaps that grow by one from one
    to ``anytime.gap``. Else after every ``validate_every`` steps. The last step always counts
    where any does.
    """

    def __init__(self, recipe: Recipe) -> None:
        self._last = recipe.steps
        self._every = recipe.validate_every
        self._longest = recipe.anytime.gap if recipe.anytime is not None else None
        self._next, self._gap = 0, 1

    def restart(self, step: int) -> None:
        """Let the gaps grow from one again, after a step that was validated."""
        self._next, self._gap = step, 1
        self.due(step)

    def state(self) -> tuple[int, int]:
        """Return the next step that is due, and the gap after it."""
        return self._next, self._gap

    def restore(self, state: tuple[int, int]) -> None:
        """Put both back."""
        self._next, self._gap = state

    def due(self, step: int) -> bool:
        """Return whether ``step`` is one; asked once for each step, in order."""
        if self._longest is None:
            every = self._every
            return bool(every and step and (step % every == 0 or step == self._last))
        if step < self._next:
            return step == self._last
        self._next = step + self._gap
        self._gap = min(self._gap + 1, self._longest)
        return True
