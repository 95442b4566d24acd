"""Parts: one file each, found by name, with the checks that each must pass.

A penalty of one's own is a class in a file::

    from bench.parts import Penalty, Step, penalty

    @penalty("small-logits")
    class SmallLogits(Penalty):
        weight: float = 1e-3

        def __call__(self, step: Step):
            return self.weight * step.logits.square().mean()
"""

from bench.data.streams import Stream
from bench.parts.kinds import (
    Architecture,
    Head,
    Line,
    Measured,
    Measurement,
    Measuring,
    Objective,
    Patch,
    Penalty,
    Step,
    Trainable,
    Training,
    Transform,
    Update,
    head,
    measurement,
    network,
    objective,
    patch,
    penalty,
    trainable,
    transform,
    update,
)
from bench.parts.part import REGISTRY, Part

__all__ = [
    "REGISTRY", "Architecture", "Head", "Line", "Measured", "Measurement", "Measuring",
    "Objective", "Part", "Patch", "Penalty", "Step", "Stream", "Trainable", "Training", "Transform",
    "Update", "head", "measurement", "network", "objective", "patch", "penalty", "trainable",
    "transform", "update",
]  # fmt: skip
