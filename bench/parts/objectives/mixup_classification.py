"""One class of several, learnt from mixtures of images."""

from __future__ import annotations

import torch
from pydantic import PositiveFloat
from scipy.special import betaincinv
from torch import Tensor
from torch.nn.functional import cross_entropy

from bench.errors import DataError
from bench.parts import objective
from bench.parts.kinds import Learning
from bench.parts.objectives.classification import Classification


@objective("mixup-classification")
class MixupClassification(Classification):
    """MixUp (Zhang et al. 2018): λx + (1 − λ)x′ is both classes, by λ and 1 − λ.

    λ ~ Beta(α, α), one a batch, and x′ are the batch's rows in another order, so that the loss is
    λ CE(y) + (1 − λ) CE(y′), the mean over the batch. Scores are those of ``classification``, of
    images that are not mixed. The default α is that of the code of Neyshabur et al. 2020.
    """

    metrics = {
        "top1": ("%", "highest"),
        "top5": ("%", "highest"),
        "mean_class_accuracy": ("%", "highest"),
        "loss": ("", "lowest"),
    }
    score = "top1"
    term = "mixed-cross-entropy"
    alpha: PositiveFloat = 0.7

    def learn(self, step: Learning) -> Tensor:
        """Return the mixed cross-entropy of a batch."""
        if not step.inputs.is_floating_point():
            raise DataError(
                "mixup adds inputs up, and these are tokens",
                field="task.objective",
                remedy="use objective: classification",
            )
        # By the inverse of the distribution function, of one uniform number.
        share = float(betaincinv(self.alpha, self.alpha, step.stream.uniform(1)[0]))
        others = torch.from_numpy(step.stream.permutation(len(step.inputs)))
        others = others.to(step.inputs.device)
        mixture = share * step.inputs + (1 - share) * step.inputs[others]
        logits = step.network(mixture).logits
        own, other = (cross_entropy(logits, y) for y in (step.targets, step.targets[others]))
        return share * own + (1 - share) * other
