"""Any number of labels at once, each a yes or no."""

from __future__ import annotations

from typing import Self

import numpy as np
from pydantic import NonNegativeInt, model_validator
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from bench.errors import DataError
from bench.parts import Objective, objective
from bench.parts.kinds import Array, Data


@objective("multi-label")
class MultiLabel(Objective):
    """Binary cross-entropy of the sigmoid of each output, in nats, mean over rows and labels.

    Targets are ``(n, labels)``, zeros and ones. ``auc`` is the mean over all labels of the area
    under the receiver operating characteristic; ``labels`` names columns (``{edema: 1}``) whose own
    area is a metric too.
    """

    metrics = {
        "auc": ("", "highest"),
        "auc-{labels}": ("", "highest"),
        "loss": ("", "lowest"),
    }
    score = "auc"
    term = "binary-cross-entropy"
    targets = "labels"
    labels: dict[str, NonNegativeInt] = {}

    @model_validator(mode="after")
    def _names_are_of_one_column_each(self) -> Self:
        if len(set(self.labels.values())) < len(self.labels):
            raise ValueError("two labels are of one column")
        return self

    def width(self, data: Data) -> int:
        """Return the number of labels."""
        if data.classes is not None or len(data.target_shape) != 1:
            found = "classes" if data.classes is not None else f"of shape {data.target_shape}"
            raise DataError(
                f"multi-label needs a row of zeros and ones as each target, and these are {found}",
                field="task.objective",
                remedy="use objective: classification, or regression",
            )
        (columns,) = data.target_shape
        for name, column in self.labels.items():
            if column >= columns:
                raise DataError(
                    f"the label {name} is column {column}, and there are {columns}, from 0",
                    field=f"task.objective.multi-label.labels.{name}",
                    remedy=f"use a column up to {columns - 1}",
                )
        return columns

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the mean over rows and labels."""
        return binary_cross_entropy_with_logits(outputs, targets.to(outputs.dtype))

    def scores(self, outputs: Array, targets: Array) -> dict[str, float]:
        """Return the areas and the loss over a split, in float64.

        Raises
        ------
        DataError
            If a target is neither 0 nor 1, or a label is the same in all rows.
        """
        self._check(targets)
        values = outputs.astype(np.float64)
        if not np.isfinite(values).all():
            # Infinite outputs have no order; what reads the metrics ends the training.
            return dict.fromkeys(self.metric_names(), float("nan"))
        areas = [area_under_curve(*pair) for pair in zip(values.T, targets.T, strict=True)]
        # log(1 + e^z) - z·t, without overflow.
        loss = np.logaddexp(0, values) - values * targets
        named = {f"auc-{name}": areas[column] for name, column in self.labels.items()}
        return {"auc": float(np.mean(areas)), **named, "loss": float(loss.mean())}

    def _check(self, targets: Array) -> None:
        if not np.isin(targets, (0, 1)).all():
            raise DataError(
                "multi-label needs targets of zeros and ones, and these have other numbers",
                field="task.objective",
                remedy="use objective: regression",
            )
        names = {column: name for name, column in self.labels.items()}
        for column, present in enumerate(targets.T):
            if present.min() == present.max():
                name = names.get(column, f"of column {column}")
                raise DataError(
                    f"the label {name} is {present[0]:g} in all {len(present)} rows that are "
                    "scored: it has no area under its curve",
                    field="task.objective.multi-label",
                    remedy="score more rows, or leave the label out of the data",
                )


def area_under_curve(outputs: Array, present: Array) -> float:
    """Return the area under the receiver operating characteristic.

    It is how often a row with the label is above one without it, ties counted half, and follows
    from the sum of the ranks of those with it (Hanley and McNeil 1982): the number that
    scikit-learn's ``roc_auc_score`` gives, whose import draws from Python's random stream.

    Parameters
    ----------
    outputs
        ``(n,)``, finite.
    present
        ``(n,)`` zeros and ones, at least one of each.
    """
    _, places, counts = np.unique(outputs, return_inverse=True, return_counts=True)
    # Rows that are tied share the mean of their ranks.
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[places]
    with_it = present == 1
    some = int(with_it.sum())
    above = ranks[with_it].sum() - some * (some + 1) / 2
    return float(above / (some * (len(present) - some)))
