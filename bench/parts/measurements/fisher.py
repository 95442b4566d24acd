"""Diagonal of the Fisher information of a trained network, on the task it was trained on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import torch
from pydantic import PositiveInt
from torch import Tensor
from torch.func import functional_call, grad, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import cross_entropy

from bench.data.streams import Stream
from bench.errors import UserError
from bench.models.network import Network
from bench.parts import Measured, Measurement, Measuring, measurement

# How large the gradients of the examples that are taken at a time may be.
_CHUNK_BYTES = {"cpu": 2**26, "cuda": 2**31}
_MOST = 256


@measurement("fisher")
class Fisher(Measurement):
    """F_i = (1/n) Σ (∂ log p(y|x, θ) / ∂θ_i)² over n training examples x, at the network's θ.

    Where y comes from is said by ``labels``:

    - ``model`` (default): one y an example is drawn from p(y|x, θ), which makes the mean the
      Fisher information itself. Kirkpatrick et al. 2017 write of the Fisher information, which is
      that, and do not say how they computed it.
    - ``data``: the label in the data, which gives the so-called empirical Fisher information. It
      is another matrix (Kunstner et al. 2019), and zero where each example is fitted exactly.

    ``examples`` are drawn at random from the training rows of the task that the start was trained
    on, permuted or otherwise changed as there, without augmentation; all of them where there are
    no more. p is the softmax of the outputs of the head that the start was trained with. The
    network is in evaluation mode.

    The arrays are F by parameter: of the backbone under the parameter's name in it, of the head
    under ``head/weight`` and ``head/bias``. ``start/head/weight`` and ``start/head/bias`` are the
    head's own values: where it is to be kept, a penalty finds no other start of it.
    ``fisher/trace`` is the sum of all, ``fisher/head`` the head's share of it.
    """

    roles = ("start",)
    data = "source"
    metrics = {"fisher/trace": ("", "lowest"), "fisher/head": ("%", "lowest")}
    labels: Literal["model", "data"] = "model"
    examples: PositiveInt = 1000

    def __call__(self, measuring: Measuring) -> Measured:
        """Return the information.

        Raises
        ------
        UserError
            If the task is no classification by softmax, or F is zero.
        """
        network = measuring.network("start")
        self._check(measuring, network)
        found = self._information(measuring, network)
        trace = sum(float(each.sum()) for each in found.values())
        if not trace:
            raise UserError(
                "the Fisher information is zero in every parameter: the network's answers do not "
                "depend on them",
                field="recipe.measurements.fisher",
                remedy="start from a stage that was trained",
            )
        head = sum(float(each.sum()) for name, each in found.items() if name.startswith("head."))
        return Measured(
            {"fisher/trace": trace, "fisher/head": head / trace},
            arrays={
                **{array_name(name): each.float() for name, each in found.items()},
                **{
                    f"start/head/{name}": value.detach().clone()
                    for name, value in network.heads[""].named_parameters()
                },
            },
        )

    def _check(self, measuring: Measuring, network: Network) -> None:
        """Refuse a start whose outputs are no logarithms of probabilities of the classes."""
        if measuring.classes is None:
            raise UserError(
                "fisher is of the probabilities of classes, and the targets of "
                f"{measuring.dataset} are others",
                remedy="start from a stage that was trained to classify",
            )
        if tuple(network.widths) != ("",):
            raise UserError(
                f"fisher is of one task, and the start was trained on {', '.join(network.widths)}",
                remedy="start from a stage with one task",
            )
        ((inputs, targets),) = measuring.batches("train", _MOST, limit=_MOST)
        with torch.no_grad():
            outputs = network(inputs).logits
        told = measuring.scores_of(outputs, targets)["loss"]
        softmax = cross_entropy(outputs.double(), targets).item()
        if not math.isclose(told, softmax, rel_tol=1e-4, abs_tol=1e-6):
            raise UserError(
                f"fisher is of the softmax of the outputs, whose cross-entropy is {softmax:.4g}, "
                f"and the loss that the task's objective reports is another one, {told:.4g}",
                remedy="start from a stage with objective: classification",
            )

    def _information(self, measuring: Measuring, network: Network) -> dict[str, Tensor]:
        """Return F, float64, by the parameter's name in the network."""
        batches = measuring.batches(
            "train",
            _chunk(network),
            shuffle=measuring.stream("examples", measuring.dataset),
            limit=self.examples,
        )
        drawn = measuring.stream("labels", measuring.dataset)
        sums: dict[str, Tensor] = {}
        seen = 0
        for inputs, targets in batches:
            labels = drawn_labels(network, inputs, drawn) if self.labels == "model" else targets
            squares = squared_gradients(network, inputs, labels)
            for name, each in squares.items():
                sums[name] = sums[name] + each.double() if name in sums else each.double()
            seen += len(inputs)
        return {name: each / seen for name, each in sums.items()}


def array_name(parameter: str) -> str:
    """Return under which name the information of a network's parameter is kept.

    >>> array_name("backbone.conv1.weight"), array_name("head.bias")
    ('conv1.weight', 'head/bias')
    """
    of, _, name = parameter.partition(".")
    return name if of == "backbone" else f"{of}/{name}"


def drawn_labels(network: Network, inputs: Tensor, stream: Stream) -> Tensor:
    """Return a class for each input, ``(b,)``, drawn from the network's own probabilities."""
    with torch.no_grad():
        probabilities = network(inputs).logits.double().softmax(dim=1)
    # On the CPU: cumulated sums have no deterministic kernel on a GPU.
    cumulated = probabilities.cpu().cumsum(dim=1)
    drawn = torch.from_numpy(stream.uniform(len(inputs)))
    # The last sum may be a little below 1, and a drawn number above it.
    labels: Tensor = (cumulated <= drawn[:, None]).sum(dim=1)
    labels = labels.clamp(max=cumulated.shape[1] - 1)
    return labels.to(inputs.device)


def squared_gradients(network: Network, inputs: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """Return Σ (∂ log p(y|x) / ∂θ)² over examples, by the parameter's name in the network.

    Parameters
    ----------
    network
        In evaluation mode: what an example gives does not depend on the others.
    inputs, labels
        ``(b, …)`` and ``(b,)``.
    """
    parameters = {name: p.detach() for name, p in network.named_parameters()}

    def loss(state: Mapping[str, Tensor], example: Tensor, label: Tensor) -> Tensor:
        logits = functional_call(network, dict(state), (example[None],)).logits
        return cross_entropy(logits, label[None])

    # The fused kernels of attention have no batching rule.
    with sdpa_kernel(SDPBackend.MATH):
        each = vmap(grad(loss), in_dims=(None, 0, 0))(parameters, inputs, labels)
    return {name: gradients.square().sum(dim=0) for name, gradients in each.items()}


def _chunk(network: Network) -> int:
    """Return of how many examples the gradients are taken at a time."""
    parameters = list(network.parameters())
    size = sum(p.numel() * p.element_size() for p in parameters)
    return max(1, min(_MOST, _CHUNK_BYTES[parameters[0].device.type] // size))
