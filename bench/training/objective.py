"""The loss of a step: mean cross-entropy, and the penalties of the method."""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from bench.errors import UserError, WeightsError
from bench.methods.part import Maps, Penalty, Step
from bench.models.network import Network
from bench.training.numerics import autocast

CROSS_ENTROPY = "cross-entropy"


class Objective:
    """Computes the terms of the loss, each under its name.

    Made before the first step: the network as it is now is the penalties' start. Only a
    penalty that needs ``source_maps`` costs a second network: a frozen copy of the start in
    evaluation mode, without gradients. Forward passes run under the recipe's precision;
    penalties see float32 (float64 of a float64 network) and run outside autocast.

    Parameters
    ----------
    network
        On its device, ready to train.
    penalties
        By name, in the order in which they are added.
    channel_weights
        ``(c,)`` weights of each tapped map; empty unless a penalty needs them.

    Raises
    ------
    WeightsError
        If a penalty needs channel weights and those given are of other layers.
    """

    def __init__(
        self,
        network: Network,
        penalties: Mapping[str, Penalty],
        *,
        channel_weights: Maps | None = None,
        precision: str = "float32",
    ) -> None:
        self.names = (CROSS_ENTROPY, *penalties)
        self._network = network
        self._penalties = dict(penalties)
        self._precision = precision
        self._device = next(network.parameters()).device
        self._backbone = dict(network.backbone.named_parameters())
        self._head = dict(network.head.named_parameters())
        self._start = (
            {name: p.detach().clone() for name, p in self._backbone.items()} if penalties else {}
        )
        needs = {need for penalty in penalties.values() for need in penalty.needs}
        self._taps = network.tap_names if "source_maps" in needs else ()
        self._source = _frozen_copy(network) if self._taps else None
        self._channel_weights = {
            name: weights.to(self._device) for name, weights in (channel_weights or {}).items()
        }
        if "channel_attention" in needs:
            _check_layers(network, self._channel_weights)

    def terms(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return the terms ``(t,)`` whose sum is the loss, in the order of ``names``.

        ``images`` are ``(b, 3, s, s)``, ``labels`` ``(b,)``, both on the network's device.

        Raises
        ------
        UserError
            If a penalty does not return a scalar.
        """
        with autocast(self._precision, self._device):
            output = self._network(images, taps=self._taps)
        logits = _wide(output.logits)
        terms = [cross_entropy(logits, labels)]
        if self._penalties:
            step = Step(
                features=_wide(output.features),
                logits=logits,
                labels=labels,
                backbone=self._backbone,
                head=self._head,
                start=self._start,
                maps={name: _wide(value) for name, value in output.maps.items()},
                source_maps=self._source_maps(images),
                channel_weights=self._channel_weights,
            )
            terms += [_scalar(name, part(step)) for name, part in self._penalties.items()]
        return torch.stack(terms)

    def _source_maps(self, images: Tensor) -> Maps:
        if self._source is None:
            return {}
        with torch.no_grad(), autocast(self._precision, self._device):
            maps = self._source(images, taps=self._taps).maps
        return {name: _wide(value) for name, value in maps.items()}


def _wide(value: Tensor) -> Tensor:
    # Half precisions become float32; a network in float64 is being checked against an equation.
    return value if value.dtype == torch.float64 else value.float()


def _scalar(name: str, term: object) -> Tensor:
    if not isinstance(term, Tensor) or term.ndim != 0:
        found = f"shape {tuple(term.shape)}" if isinstance(term, Tensor) else type(term).__name__
        raise UserError(
            f"the penalty {name!r} must return a scalar tensor, not {found}",
            remedy="sum it over images and channels; bench test-method FILE checks a penalty",
        )
    return term


def _frozen_copy(network: Network) -> Network:
    return copy.deepcopy(network).requires_grad_(False).eval()


def _check_layers(network: Network, weights: Maps) -> None:
    if set(weights) != set(network.tap_names):
        raise WeightsError(
            f"the channel weights are of the layers {', '.join(sorted(weights)) or '(none)'}, and "
            f"{network.name} is tapped at {', '.join(network.tap_names)}",
            remedy="run the channel-attention cell again: bench run",
        )
