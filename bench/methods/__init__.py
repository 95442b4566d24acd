"""What is compared: penalties, one file each, and the checks that each must pass.

A penalty of one's own is a class in a file::

    from bench.methods import Penalty, Step, penalty

    @penalty("small-logits")
    class SmallLogits(Penalty):
        weight: float = 1e-3

        def __call__(self, step: Step):
            return self.weight * step.logits.square().mean()
"""

from bench.methods.part import REGISTRY, Penalty, Step, penalty

__all__ = ["REGISTRY", "Penalty", "Step", "penalty"]
