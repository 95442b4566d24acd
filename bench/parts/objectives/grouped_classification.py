"""One class of several, scored by groups of classes too."""

from __future__ import annotations

from typing import Self

import numpy as np
from pydantic import PrivateAttr, model_validator
from torch import Tensor
from torch.nn.functional import cross_entropy

from bench.errors import DataError
from bench.parts import Objective, objective
from bench.parts.kinds import Array, Data, Drawn
from bench.parts.objectives.classification import Classification

_CLASSES = Classification()


@objective("grouped-classification")
class GroupedClassification(Objective):
    """Classification, with top-1 of the test images of each group of classes.

    ``groups`` names classes, from one up to but without another: ``{base: [0, 90], tail: [90,
    100]}``. ``by_counts`` names groups by the fewest training images that a class of theirs has:
    ``{few: 1, medium: 20, many: 101}`` (Liu et al. 2019, section 4.2: below 20, 20 to 100, above
    100). They are counted as the sampling rate and the long tail leave them, with those held out
    and of classes that do not train. The network says one of all classes, whatever the group.
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
    term = "cross-entropy"
    groups: dict[str, tuple[int, ...]] = {}
    by_counts: dict[str, int] = {}
    _counts: tuple[int, ...] = PrivateAttr(())

    @model_validator(mode="after")
    def _groups_are_some(self) -> Self:
        twice = self.groups.keys() & self.by_counts.keys()
        if twice:
            raise ValueError(f"{min(twice)} is a group of classes and a group by counts")
        for name, classes in self.groups.items():
            if len(classes) != 2 or not 0 <= classes[0] < classes[1]:
                raise ValueError(f"the group {name} is [from, up to], not {list(classes)}")
        if len(set(self.by_counts.values())) < len(self.by_counts):
            raise ValueError("two groups by counts begin at one number of images")
        return self

    def width(self, data: Data) -> int:
        """Return the number of classes."""
        classes = _CLASSES.width(data)
        for name, (first, stop) in self.groups.items():
            if stop > classes:
                raise DataError(
                    f"the group {name} is of the classes from {first} up to {stop}, and there are "
                    f"{classes}",
                    field=f"task.objective.grouped-classification.groups.{name}",
                    remedy=f"end it at {classes} or before",
                )
        return classes

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean cross-entropy."""
        return cross_entropy(outputs, targets)

    def drawn(self, drawn: Drawn) -> Self:
        """Return the objective that knows the classes' counts."""
        return self._with(tuple(drawn.counts))

    def _with(self, counts: tuple[int, ...]) -> Self:
        known = self.model_copy()
        known._counts = counts
        return known

    def members(self, classes: int) -> dict[str, Array]:
        """Return which classes belong to each group, ``(classes,)`` truth values."""
        numbers = np.arange(classes)
        found = {n: (numbers >= a) & (numbers < b) for n, (a, b) in self.groups.items()}
        least = sorted(self.by_counts.items(), key=lambda group: group[1])
        if least and len(self._counts) != classes:
            raise ValueError("groups by counts need the counts of the training images")
        counts = np.array(self._counts)
        for place, (name, first) in enumerate(least):
            above = counts >= least[place + 1][1] if place + 1 < len(least) else False
            found[name] = (counts >= first) & ~np.broadcast_to(above, counts.shape)
        return found

    def scores(self, outputs: Array, targets: Array) -> dict[str, float]:
        """Return what ``classification`` does, and each group's top-1.

        Raises
        ------
        DataError
            If no row scored is of a class of the group.
        """
        found = _CLASSES.scores(outputs, targets)
        correct = outputs.argmax(axis=1) == targets
        for name, classes in self.members(outputs.shape[1]).items():
            mine = classes[targets]
            if not mine.any():
                raise DataError(
                    f"nothing that is scored is of the group {name}: it would have no accuracy",
                    field="task.objective",
                    remedy="leave the group out; where only some classes train, hold nothing out "
                    "(recipe.validation 0): rows of the others are not held out",
                )
            found[f"top1-{name}"] = float(correct[mine].mean())
        return found
