"""Co-Tuning's relationship of source and target classes."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import PositiveFloat
from torch import Tensor

from bench.errors import UserError
from bench.parts import Measured, Measurement, Measuring, measurement
from bench.parts.kinds import Array
from bench.parts.relationship import direct, held_out, reverse

_BATCH = 200


@measurement("category-relationship")
class CategoryRelationship(Measurement):
    """p(y_s | y_t) of the start's classes and the task's (You et al. 2020).

    From the start's predictions on the training images, read without augmentation. Its outputs are
    multiplied by ``source_scale``, one over the temperature that calibrates it on data of its own
    (algorithm 2; the measurement ``calibration`` finds it).

    - ``reverse`` (default): learn p(y_t | y_s) and turn it round (algorithm 1), as the released
      code does. The ``validation`` share of each class's images chooses the learner and calibrates
      it; there these are images that are not trained on, here they are.
    - ``direct``: the mean prediction a class, as the Transfer-Learning-Library does, which
      calibrates nothing.

    The array ``relationship`` is ``(classes, source classes)``, float64; of the reverse approach
    ``strength``, ``scale`` and ``accuracy`` tell what was chosen (`bench.parts.relationship`).
    """

    roles = ("start",)
    metrics = {"relationship/entropy": ("", "lowest"), "source/confidence": ("%", "highest")}
    approach: Literal["reverse", "direct"] = "reverse"
    source_scale: PositiveFloat = 1.0
    validation: PositiveFloat = 0.2

    def __call__(self, measuring: Measuring) -> Measured:
        """Return the relationship; its rows' mean entropy, and the start's mean confidence.

        Raises
        ------
        UserError
            If the start has no head or several, targets are no classes, or nothing is left for
            validation.
        """
        probabilities, labels = self._predictions(measuring)
        classes = measuring.classes
        if classes is None:
            raise UserError(
                "the relationship is one of classes, and the targets are none",
                remedy="use objective: classification",
            )
        arrays: dict[str, Tensor] = {}
        if self.approach == "direct":
            relationship = direct(probabilities, labels, classes)
        else:
            apart = torch.from_numpy(self._apart(labels, measuring)).to(labels.device)
            found = reverse(
                (probabilities[~apart], labels[~apart]),
                (probabilities[apart], labels[apart]),
                classes,
            )
            relationship = found.relationship
            arrays = {
                "strength": torch.tensor(found.strength, dtype=torch.float64),
                "scale": torch.tensor(found.scale, dtype=torch.float64),
                "accuracy": torch.tensor(found.accuracy, dtype=torch.float64),
            }
        entropy = torch.special.entr(relationship).sum(dim=1).mean()
        return Measured(
            {
                "relationship/entropy": float(entropy),
                "source/confidence": float(probabilities.max(dim=1).values.mean()),
            },
            arrays={"relationship": relationship, **arrays},
        )

    def _predictions(self, measuring: Measuring) -> tuple[Tensor, Tensor]:
        network = measuring.network("start")
        if len(network.tasks) != 1:
            raise UserError(
                "the relationship is read off the start's own head, and it has one for each of "
                f"{', '.join(network.tasks)}",
                field="weights",
                remedy="start from weights with one linear head",
            )
        ((task, head),) = network.heads.items()
        if not head.weight.any():
            raise UserError(
                "the relationship is read off the start's own head, and it came without one",
                field="weights",
                remedy="use weights that have one: timm, shipped:NAME, file:NAME or stage:NAME",
            )
        found = []
        with torch.no_grad():
            for inputs, labels in measuring.batches("train", _BATCH):
                outputs = network(inputs, task=task).logits.double()
                found.append((torch.softmax(self.source_scale * outputs, dim=1), labels))
        return torch.cat([each[0] for each in found]), torch.cat([each[1] for each in found])

    def _apart(self, labels: Tensor, measuring: Measuring) -> Array:
        stream = measuring.stream("validation", measuring.dataset)
        apart = held_out(labels.cpu().numpy(), self.validation, stream)
        if not apart.any():
            raise UserError(
                "no class has two training images, of which one could choose the learner of the "
                "relationship",
                field="recipe.measurements.category-relationship",
                remedy="use approach: direct",
            )
        return apart
