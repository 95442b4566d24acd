"""Bi-Tuning: cross-entropy, and contrast with keys of the same class and of others."""

from __future__ import annotations

import math

import torch
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, log_softmax, normalize, pad

from bench.data.streams import Stream
from bench.errors import UserError
from bench.parts import objective
from bench.parts.kinds import Learning, Tensors
from bench.parts.objectives.classification import Classification


class Queues(nn.Module):
    """The latest keys of each class, by class and place; they are no part of a checkpoint."""

    features: Tensor
    projections: Tensor

    def __init__(self, classes: int, length: int, widths: tuple[int, int], stream: Stream) -> None:
        super().__init__()
        for name, width in zip(("features", "projections"), widths, strict=True):
            drawn = torch.from_numpy(stream.normal(classes * length * width)).float()
            unit = normalize(drawn.reshape(classes, length, width), dim=2)
            self.register_buffer(name, unit, persistent=False)
        self._next = [0] * classes

    def put(self, features: Tensor, projections: Tensor, classes: list[int]) -> None:
        """Let keys ``(b, …)`` take the places of the oldest of their classes."""
        length = self.features.shape[1]
        # A class with more rows than places keeps the last.
        taken: dict[tuple[int, int], int] = {}
        for row, label in enumerate(classes):
            taken[label, self._next[label]] = row
            self._next[label] = (self._next[label] + 1) % length
        rows = torch.tensor([*taken.values()], device=features.device)
        places = torch.tensor([*taken], device=features.device).unbind(1)
        # Not in place: the gradient of the loss that was computed asks for the keys as they were.
        self.features = _with(self.features, places, features[rows])
        self.projections = _with(self.projections, places, projections[rows])


@objective("bi-tuning")
class BiTuning(Classification):
    """CE + λ(CCE + CCL), mean over a batch (Zhong et al. 2020).

    Of a row of class y, with the keys K₊ of its class and K of all, in queues of ``queue`` a class:

    - contrastive cross-entropy, −1/|K₊| Σ_{h₊} log(exp(w_y·h₊/τ) / Σ_{h ∈ K} exp(w_y·h/τ)), where h
      are features and w_y is the class's row of the head, its bias and a feature of one included,
      all of length one. The row's own features are among K₊; the gradient goes through them alone.
    - categorical contrastive learning, −1/|K₊| Σ_{z₊} log(exp(z·z₊/τ) / Σ_{z′ ∈ K} exp(z·z′/τ)),
      where z are projections to ``projection`` numbers of length one. The key of the row's own
      second view is among K₊.

    Keys come from a momentum encoder, θ̄ ← mθ̄ + (1 − m)θ before each step, of a second view of the
    batch, and enter the queues, which begin with random directions, after its loss was computed.
    (The Transfer-Learning-Library lets them enter before the first of the two; its projector has
    the backbone's rate, here the head's.) ``weight`` is λ, ``momentum`` m, ``temperature`` τ; the
    defaults are that library's. Scores are those of ``classification``.
    """

    metrics = {
        "top1": ("%", "highest"),
        "top5": ("%", "highest"),
        "mean_class_accuracy": ("%", "highest"),
        "loss": ("", "lowest"),
    }
    score = "top1"
    term = "bi-tuning"
    views = 2
    averaged = True
    weight: NonNegativeFloat = 1.0
    queue: PositiveInt = 40
    momentum: NonNegativeFloat = 0.999
    temperature: PositiveFloat = 0.07
    projection: PositiveInt = 128

    def modules(self, features: int, outputs: int, stream: Stream) -> nn.Module:
        """Return the projector, and the queues of keys.

        Raises
        ------
        UserError
            If the momentum is one or more: the keys' network would never follow.
        """
        if self.momentum >= 1:
            raise UserError(
                f"a momentum is below one, and it is {self.momentum:g}",
                field="task.objective.bi-tuning.momentum",
            )
        return nn.ModuleDict(
            {
                "projector": _linear(features, self.projection, stream),
                "queues": Queues(outputs, self.queue, (features + 1, self.projection), stream),
            }
        )

    def learn(self, step: Learning) -> Tensor:
        """Return the loss of a batch in two views, ``(2, b, …)``."""
        assert isinstance(step.modules, nn.ModuleDict)
        assert step.average is not None
        assert isinstance(step.average.modules, nn.ModuleDict)
        queues = step.modules["queues"]
        assert isinstance(queues, Queues)
        first, second = step.inputs
        output = step.network(first)
        step.average.follow(self.momentum)
        keys = step.average(second)
        with torch.no_grad():
            key_projections = _unit(step.average.modules["projector"](keys.features))
        key_features = _unit(_with_one(keys.features))
        own = _unit(_with_one(output.features))
        projections = _unit(step.modules["projector"](output.features))
        classes = _unit(_with_bias(step.head)).detach()
        of_rows = classes[step.targets]
        contrast = _contrast(
            (of_rows * own).sum(dim=1), of_rows @ _flat(queues.features).T, self, step.targets
        ) + _contrast(
            (projections * key_projections).sum(dim=1),
            projections @ _flat(queues.projections).T,
            self,
            step.targets,
        )
        queues.put(key_features.detach(), key_projections, step.targets.tolist())
        return cross_entropy(output.logits, step.targets) + self.weight * contrast


def _contrast(own: Tensor, queued: Tensor, settings: BiTuning, labels: Tensor) -> Tensor:
    """Return the mean over rows of −1/|K₊| Σ log softmax at the keys of a row's class.

    ``own`` ``(b,)`` is a row's product with its own positive, ``queued`` ``(b, classes · queue)``
    those with the queues.
    """
    logs = log_softmax(torch.cat([own.unsqueeze(1), queued], dim=1) / settings.temperature, dim=1)
    class_of = torch.arange(queued.shape[1], device=labels.device) // settings.queue
    positive = pad(class_of == labels.unsqueeze(1), (1, 0), value=True)
    return -(logs * positive).sum(dim=1).mean() / (settings.queue + 1)


def _with(queue: Tensor, places: tuple[Tensor, ...], keys: Tensor) -> Tensor:
    return queue.index_put(places, keys.to(queue.dtype))


def _unit(values: Tensor) -> Tensor:
    return normalize(values, dim=1)


def _with_one(features: Tensor) -> Tensor:
    return pad(features, (0, 1), value=1.0)


def _with_bias(head: Tensors) -> Tensor:
    weight, bias = head["weight"], head.get("bias")
    bias = weight.new_zeros(len(weight)) if bias is None else bias
    return torch.cat([weight, bias.unsqueeze(1)], dim=1)


def _flat(queue: Tensor) -> Tensor:
    return queue.flatten(0, 1)


def _linear(features: int, outputs: int, stream: Stream) -> nn.Linear:
    """Return a layer from U(−1/√features, 1/√features), as PyTorch draws it."""
    layer = nn.Linear(features, outputs, device="meta").to_empty(device="cpu")
    bound = 1 / math.sqrt(features)
    with torch.no_grad():
        for parameter in layer.parameters():
            drawn = torch.from_numpy(stream.uniform(parameter.numel(), -bound, bound))
            parameter.copy_(drawn.reshape(parameter.shape))
    return layer
