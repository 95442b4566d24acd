"""Learning-rate schedules as pure functions of the step."""

from __future__ import annotations

import math

from bench.spec.recipe import Cosine, Linear, Schedule, StepSchedule


def rate_factor(schedule: Schedule, step: int, steps: int) -> float:
    """Return what every learning rate is multiplied by in one step.

    Parameters
    ----------
    schedule
        The recipe's schedule.
    step
        Steps already done: the first step is 0, the last ``steps - 1``.
    steps
        Steps of the whole training.

    Notes
    -----
    ``step``: ``factor ** (step // every)``. ``cosine``: ``(step + 1) / warmup`` during the
    warm-up, so that its last step has the full rate; then
    ``final + (1 - final) * (1 + cos(pi * p)) / 2`` with ``p`` from 0 towards 1 over the steps
    that remain. ``linear``: the same warm-up, then ``final + (1 - final) * (1 - p)``.
    """
    settings = schedule.settings
    if isinstance(settings, StepSchedule):
        return settings.factor ** (step // settings.every)
    if isinstance(settings, Cosine | Linear):
        if step < settings.warmup:
            return (step + 1) / settings.warmup
        progress = (step - settings.warmup) / max(1, steps - settings.warmup)
        left = (1 + math.cos(math.pi * progress)) / 2
        if isinstance(settings, Linear):
            left = 1 - progress
        return settings.final + (1 - settings.final) * left
    return 1.0
