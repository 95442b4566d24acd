"""Learning without Forgetting: the start's head goes on saying what it said."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import torch
from pydantic import NonNegativeFloat, PositiveFloat
from torch import Tensor

from bench.parts import Penalty, Step, penalty
from bench.parts.source_head import source_log_probabilities


@penalty("lwf")
class LearningWithoutForgetting(Penalty):
    """−λ/b Σ_i Σ_j y′_ij log ŷ′_ij (Li & Hoiem 2016, eq. 2 to 4).

    y′ and ŷ′ are the probabilities that the source head gives, raised to 1/T and normalised anew:
    y′ of the start on the same, augmented images, ŷ′ of the network as it is now, whose source head
    trains too. ``weight`` is λ and ``temperature`` T; the defaults are the paper's. The gradient
    is that of the Kullback-Leibler divergence of ŷ′ from y′, which differs by a constant.

    ``head: frozen`` leaves the source head as it came. The Transfer-Learning-Library does so, with
    T = 3, λ = 4, and y′ recorded once before training, of one augmentation of each image. The
    paper's warm-up, in which the new head trains alone first, is a method's ``warmup``.
    """

    needs = ("source_head", "source_logits")
    weight: NonNegativeFloat = 1.0
    temperature: PositiveFloat = 2.0
    head: Literal["trained", "frozen"] = "trained"

    def __call__(self, step: Step) -> Tensor:
        """Return λ times the cross-entropy of the softened probabilities, mean over images."""
        assert step.source_logits is not None
        parameters = step.backbone if self.head == "trained" else step.start
        now = source_log_probabilities(step, parameters, self.temperature)
        before = torch.softmax(step.source_logits.to(now.dtype) / self.temperature, dim=1)
        return -self.weight * (before * now).sum(dim=1).mean()

    @classmethod
    def invariants(cls, step: Step) -> dict[str, bool]:
        """Nothing pulls where the network says what its start said."""
        unmoved = replace(step, source_logits=source_log_probabilities(step, step.start).detach())
        (slope,) = torch.autograd.grad(cls(head="frozen")(unmoved), step.features)
        return {
            "no gradient where the outputs are the start's": torch.allclose(
                slope, torch.zeros_like(slope)
            ),
            "zero at a weight of zero": bool(cls(weight=0.0)(step) == 0),
        }
