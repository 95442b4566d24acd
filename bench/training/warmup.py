"""The end of a classifier warm-up, and what the step after it costs."""

from __future__ import annotations

from collections.abc import Iterable

from bench.spec.recipe import Warmup


class WarmupRule:
    """Decides when the head has been trained alone for long enough.

    The reference is the accuracy at the last gain of at least ``gain``: an accuracy below
    reference + gain is no gain, however often it creeps up.
    """

    def __init__(self, warmup: Warmup) -> None:
        self._warmup = warmup
        self._reference = float("-inf")
        self._since = 0

    def ended(self, step: int, accuracy: float) -> bool:
        """Take the validation accuracy (a fraction) after a step; say whether the phase ends."""
        # What is written as 0.01 is not exact, nor are fractions of a split's images.
        if accuracy >= self._reference + self._warmup.gain - 1e-9:
            self._reference, self._since = accuracy, step
        return step - self._since >= self._warmup.patience

    def state(self) -> tuple[float, int]:
        """Return the reference, and since which step it has not been passed."""
        return self._reference, self._since

    def restore(self, state: tuple[float, int]) -> None:
        """Put both back."""
        self._reference, self._since = state


def drop_after(scores: Iterable[tuple[int, float]], switch: int, window: int) -> float | None:
    """Return by how much the mean score after ``switch`` is below that at it.

    The mean, and not the lowest: the lowest of several noisy scores is below the one at the
    switch also where nothing has dropped. The rule that ends a warm-up makes the score at the
    switch rather too low than too high, so that what bias is left is against finding a drop.

    Parameters
    ----------
    scores
        ``(step, score)``, of which one is at ``switch``.
    window
        How many steps after the switch are looked at.

    Returns
    -------
    float or None
        In the score's unit, negative where the later scores are higher; None without a score
        at the switch or after it.
    """
    known = dict(scores)
    after = [score for step, score in known.items() if switch < step <= switch + window]
    if switch not in known or not after:
        return None
    return known[switch] - sum(after) / len(after)
