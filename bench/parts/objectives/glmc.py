"""GLMC: consistency of two mixtures, and a loss that turns towards the rare classes."""

from __future__ import annotations

import math
from typing import Self

import numpy as np
import torch
from pydantic import NonNegativeFloat, PositiveInt, PrivateAttr
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, log_softmax, one_hot

from bench.data.streams import Stream
from bench.errors import DataError
from bench.parts import objective
from bench.parts.kinds import Array, Drawn, Learning
from bench.parts.objectives.grouped_classification import GroupedClassification


@objective("glmc")
class GLMC(GroupedClassification):
    """Global and local mixture consistency, cumulative learning (Du et al. 2023).

    Each row of a batch is augmented twice and mixed with one and the same other row: by MixUp
    (Zhang et al. 2018), λx + (1 − λ)x′, in the one view, and by CutMix (Yun et al. 2019), a box of
    x′ with 1 − λ of the area pasted into x, in the other. λ is uniform, one a batch. With targets
    y = λy + (1 − λ)y′ and w those of y weighted by their classes, the loss is

        (1 − t²) [CE(plain, y)] + t² [CE(head, w)] + consistency · [−cos(p, z′) − cos(p′, z)]

    summed over the two views (equations 3 to 8), where t in [0, 1) is how much of the training is
    done, z = projector(features), without a gradient where it is the other view's, and
    p = predictor(z). The network's own head learns the rebalanced term and gives the outputs that
    are scored; ``plain``, the projector and the predictor train beside it. A class with n training
    rows weighs n^−rebalancing, scaled to one in the mean over the classes that train.

    As in the authors' code, projector and predictor are one linear layer each, and λ is not
    corrected where the border cuts the box. Other than there, x′ is drawn from the batch and not
    from all rows, by weights n^−resampling; and t grows by the step and not by the epoch.
    """

    metrics = {
        "top1": ("%", "highest"),
        "top5": ("%", "highest"),
        "mean_class_accuracy": ("%", "highest"),
        "loss": ("", "lowest"),
        "top1-{groups}": ("%", "highest"),
        "top1-{by_counts}": ("%", "highest"),
    }
    score = "top1"
    term = "glmc"
    views = 2
    groups: dict[str, tuple[int, ...]] = {}
    by_counts: dict[str, int] = {}
    consistency: NonNegativeFloat = 10.0
    rebalancing: NonNegativeFloat = 1.2
    resampling: NonNegativeFloat = 0.0
    projection: PositiveInt = 128
    _trained: tuple[int, ...] = PrivateAttr(())

    def drawn(self, drawn: Drawn) -> Self:
        """Return the objective that knows the classes' counts."""
        known = super().drawn(drawn)
        known._trained = tuple(drawn.trained)
        return known

    def modules(self, features: int, outputs: int, stream: Stream) -> nn.Module:
        """Return the plain head, the projector and the predictor."""
        return nn.ModuleDict(
            {
                "plain": _linear(features, outputs, stream),
                "projector": _linear(features, self.projection, stream),
                "predictor": _linear(self.projection, self.projection, stream),
            }
        )

    def learn(self, step: Learning) -> Tensor:
        """Return the loss of a batch in two views ``(2, b, 3, h, w)``."""
        if step.inputs.ndim != 5:
            raise DataError(
                f"glmc cuts and pastes images, and the inputs are {tuple(step.inputs.shape[2:])}",
                field="task.objective",
                remedy="use objective: grouped-classification",
            )
        assert isinstance(step.modules, nn.ModuleDict)
        head = step.modules["plain"]
        assert isinstance(head, nn.Linear)
        first, second = step.inputs
        draws = step.stream.uniform(3 + len(first))
        share = float(draws[0])
        others = torch.from_numpy(self._others(step.targets.cpu().numpy(), draws[3:]))
        others = others.to(first.device)
        box = cut_box(share, first.shape[-2:], draws[1:3])
        mixtures = (mixed(first, first[others], share), pasted(second, second[others], box))
        weights = self._class_weights(step.targets, head.out_features)
        own = one_hot(step.targets, len(weights)).to(weights.dtype)
        wanted = share * own + (1 - share) * own[others]
        done = step.progress**2
        supervised = torch.zeros((), device=first.device)
        projected, predicted = [], []
        for inputs in mixtures:
            output = step.network(inputs)
            plain = head(output.features)
            supervised = supervised + (1 - done) * _cross_entropy(plain, wanted)
            supervised = supervised + done * _cross_entropy(output.logits, weights * wanted)
            projected.append(step.modules["projector"](output.features))
            predicted.append(step.modules["predictor"](projected[-1]))
        alike = sum(
            cosine_similarity(p, z.detach(), dim=1).mean()
            for p, z in zip(predicted, reversed(projected), strict=True)
        )
        return supervised - self.consistency * alike

    def _others(self, targets: Array, draws: Array) -> Array:
        """Return for each row which row of the batch it is mixed with."""
        counts = np.asarray(self._trained or [1] * (int(targets.max()) + 1), dtype=np.float64)
        weights = counts[targets] ** -self.resampling
        ends = np.cumsum(weights) / weights.sum()
        return np.minimum(np.searchsorted(ends, draws, side="right"), len(targets) - 1)

    def _class_weights(self, targets: Tensor, classes: int) -> Tensor:
        counts = np.asarray(self._trained or [1] * classes, dtype=np.float64)
        trained = counts > 0
        weights = np.zeros(classes)
        weights[trained] = counts[trained] ** -self.rebalancing
        weights *= trained.sum() / weights.sum()
        return torch.from_numpy(weights).to(targets.device, torch.float32)


def mixed(images: Tensor, others: Tensor, share: float) -> Tensor:
    """Return MixUp: ``share`` of the images, and the rest of the others."""
    return share * images + (1 - share) * others


def cut_box(
    share: float, size: tuple[int, int] | torch.Size, place: Array
) -> tuple[int, int, int, int]:
    """Return top, bottom, left and right of CutMix's box, about 1 − ``share`` of the area.

    Its sides are the image's times √(1 − share), rounded up, and then to an even number below; its
    centre lies anywhere, by two uniform numbers in ``place``, and the image's border cuts it.
    """
    ends = []
    for side, where in zip(size, place, strict=True):
        half = math.ceil(side * math.sqrt(1 - share)) // 2
        centre = int(where * side)
        ends += [max(centre - half, 0), min(centre + half, side)]
    top, bottom, left, right = ends
    return top, bottom, left, right


def pasted(images: Tensor, others: Tensor, box: tuple[int, int, int, int]) -> Tensor:
    """Return CutMix: the images ``(b, c, h, w)`` with a box of the others in its place."""
    top, bottom, left, right = box
    found = images.clone()
    found[..., top:bottom, left:right] = others[..., top:bottom, left:right]
    return found


def _cross_entropy(outputs: Tensor, wanted: Tensor) -> Tensor:
    return -(log_softmax(outputs, dim=1) * wanted).sum(dim=1).mean()


def _linear(features: int, outputs: int, stream: Stream) -> nn.Linear:
    """Return a layer from N(0, 2 / features), its bias zero (He et al. 2015)."""
    layer = nn.Linear(features, outputs, device="meta").to_empty(device="cpu")
    drawn = stream.normal(outputs * features).reshape(outputs, features)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(drawn * math.sqrt(2 / features)))
        layer.bias.zero_()
    return layer
