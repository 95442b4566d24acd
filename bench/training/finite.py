"""Watching the loss: which term stopped being a number first, and at which step."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor


class NotANumber(ArithmeticError):
    """A term of the loss, or a metric, is infinite or not a number.

    Attributes
    ----------
    term
        ``cross-entropy``, a penalty's name, or a metric such as ``test/loss``.
    step
        The step it was first seen at, counted from 1.
    """

    kind = "not-a-number"

    def __init__(self, term: str, step: int, value: float) -> None:
        # All three go to Exception, so that the error survives pickling.
        super().__init__(term, step, value)
        self.term = term
        self.step = step
        self.value = value

    def __str__(self) -> str:
        return f"{self.term} became {self.value} at step {self.step}"


class TermWatch:
    """Checks the terms of the loss, and keeps their means between two reports.

    Parameters
    ----------
    names
        Names of the terms, in the order they are given to `add`.
    every
        How many steps to collect before the values are fetched. Fetching waits for the
        device, so more than 1 on a GPU; the step that an error names is right all the same.
    """

    def __init__(self, names: Sequence[str], every: int = 1) -> None:
        self._names = tuple(names)
        self._every = every
        self._pending: list[tuple[int, Tensor]] = []
        self._sums = [0.0] * len(self._names)
        self._counted = 0

    def add(self, terms: Tensor, step: int) -> None:
        """Take the terms ``(t,)`` of a step, which counts from 1 and may have several gradients.

        Raises
        ------
        NotANumber
            For the first term, in the first step, that is not finite.
        """
        self._pending.append((step, terms.detach()))
        if len(self._pending) >= self._every:
            self.check()

    def check(self) -> None:
        """Look at everything not yet looked at; raises as `add` does."""
        rows = torch.stack([terms for _, terms in self._pending]).tolist() if self._pending else []
        steps = [step for step, _ in self._pending]
        self._pending.clear()
        for step, row in zip(steps, rows, strict=True):
            self._counted += 1
            for i, value in enumerate(row):
                if not math.isfinite(value):
                    raise NotANumber(self._names[i], step, value)
                self._sums[i] += value

    def state(self) -> dict[str, Any]:
        """Return the sums, of terms that were all looked at; raises as `add` does."""
        self.check()
        return {"sums": list(self._sums), "counted": self._counted}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on with sums."""
        self._sums, self._counted = list(state["sums"]), state["counted"]

    def means(self) -> dict[str, float]:
        """Return each term's mean since the last call, and start anew."""
        self.check()
        counted = max(1, self._counted)
        means = {n: s / counted for n, s in zip(self._names, self._sums, strict=True)}
        self._sums = [0.0] * len(self._names)
        self._counted = 0
        return means
