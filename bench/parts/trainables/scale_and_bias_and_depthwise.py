"""Scales, biases and depthwise filters train: both patches."""

from __future__ import annotations

from typing import Literal

from bench.models.network import Network
from bench.models.parameter_sets import depthwise_filters, scales_and_biases, train_only
from bench.parts import Trainable, trainable


@trainable("scale-and-bias-and-depthwise")
class ScaleAndBiasAndDepthwise(Trainable):
    """The union of ``scale-and-bias`` and ``depthwise`` (Mudrakarta et al. 2019, section 3.1).

    Without ``last_layer`` the head stays at its initial value. ``statistics`` are as of ``head``:
    ``frozen``, or ``moving`` with the training batches. Nothing is dropped out in the body.
    """

    last_layer: bool = True
    statistics: Literal["frozen", "moving"] = "frozen"

    def __call__(self, network: Network) -> None:
        """Freeze everything else; UserError if either kind of parameters is lacking."""
        train_only(
            network,
            [*scales_and_biases(network), *depthwise_filters(network)],
            last_layer=self.last_layer,
            statistics=self.statistics,
        )
