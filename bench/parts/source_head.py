"""What the head that a network came with says of the features that it has now."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import linear, log_softmax

from bench.errors import UserError
from bench.parts.kinds import Step, Tensors


def source_log_probabilities(
    step: Step, parameters: Tensors | None = None, temperature: float = 1.0
) -> Tensor:
    """Return log softmax(z/T) of the source head's outputs z on a step's features, ``(b, m)``.

    In float32 at least, also under automatic mixed precision.

    Parameters
    ----------
    parameters
        ``step.backbone``, where the head has trained so far, or ``step.start``.
    """
    own = step.backbone if parameters is None else parameters
    weight, bias = own["source_head.weight"], own.get("source_head.bias")
    dtype = torch.promote_types(step.features.dtype, torch.float32)
    with torch.autocast(step.features.device.type, enabled=False):
        outputs = linear(
            step.features.to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype)
        )
        return log_softmax(outputs / temperature, dim=1)


def check_classes(step: Step, penalty: str) -> None:
    """Raise UserError where a step's targets are no classes."""
    if step.labels.is_floating_point() or step.labels.ndim != 1:
        raise UserError(
            f"the penalty {penalty} needs class labels, and the targets are none",
            field=f"penalties.{penalty}",
            remedy="use objective: classification",
        )
