"""Depthwise filters train: the depthwise patch."""

from __future__ import annotations

from typing import Literal

from bench.models.network import Network
from bench.models.parameter_sets import depthwise_filters, train_only
from bench.parts import Trainable, trainable


@trainable("depthwise")
class Depthwise(Trainable):
    """Filters of every depthwise convolution (Mudrakarta et al. 2019, section 3.1).

    Without ``last_layer`` the head stays at its initial value. ``statistics`` are as of ``head``:
    ``frozen``, or ``moving`` with the training batches. Nothing is dropped out in the body.
    """

    last_layer: bool = True
    statistics: Literal["frozen", "moving"] = "frozen"

    def __call__(self, network: Network) -> None:
        """Freeze everything else; UserError without a depthwise convolution."""
        train_only(
            network,
            depthwise_filters(network),
            last_layer=self.last_layer,
            statistics=self.statistics,
        )
