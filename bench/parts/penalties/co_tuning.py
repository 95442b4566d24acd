"""Co-Tuning: the start's head learns which of its classes the target's are like."""

from __future__ import annotations

import torch
from pydantic import NonNegativeFloat
from torch import Tensor

from bench.errors import UserError
from bench.parts import Penalty, Step, penalty
from bench.parts.source_head import check_classes, source_log_probabilities

_RELATIONSHIP = "category-relationship"


@penalty("co-tuning")
class CoTuning(Penalty):
    """−λ/b Σ_i Σ_s p(y_s = s | y_t = y_i) log q_s(x_i) (You et al. 2020).

    q is the softmax of the source head, which trains with the backbone and at its rate; the
    relationship p(y_s | y_t) of source and target classes is the measurement
    ``category-relationship``. ``weight`` is λ; 2.3 is the released code's default, and the
    Transfer-Learning-Library's.
    """

    needs = ("source_head", "category-relationship")
    weight: NonNegativeFloat = 2.3

    def __call__(self, step: Step) -> Tensor:
        """Return λ times the mean cross-entropy; raises UserError where targets are no classes."""
        check_classes(step, "co-tuning")
        now = source_log_probabilities(step)
        relationship = step.measured[_RELATIONSHIP]["relationship"]
        if relationship.shape[1] != now.shape[1]:
            raise UserError(
                f"the relationship is with {relationship.shape[1]} source classes, and the source "
                f"head has {now.shape[1]}",
                remedy=f"run the {_RELATIONSHIP} cell again: bench run",
            )
        wanted = relationship.to(now.dtype)[step.labels]
        return -self.weight * (wanted * now).sum(dim=1).mean()

    @classmethod
    def invariants(cls, step: Step) -> dict[str, bool]:
        """The term is linear in its weight, and its gradient ends where q is the relationship."""
        weight = step.backbone["source_head.weight"]
        (slope,) = torch.autograd.grad(cls(weight=1.0)(step), weight)
        wanted = step.measured[_RELATIONSHIP]["relationship"][step.labels]
        # Of a cross-entropy with weights that sum to w: (w q − p) xᵀ / b.
        q = source_log_probabilities(step).detach().exp()
        pull = (wanted.sum(dim=1, keepdim=True) * q - wanted).T @ step.features / len(q)
        return {
            "the gradient of a cross-entropy": torch.allclose(slope, pull.detach()),
            "twice the weight, twice the term": bool(
                2 * cls(weight=0.25)(step) == cls(weight=0.5)(step)
            ),
        }
