"""Scales and biases of normalisations train: the scale-and-bias patch."""

from __future__ import annotations

from typing import Literal

from bench.models.network import Network
from bench.models.parameter_sets import scales_and_biases, train_only
from bench.parts import Trainable, trainable


@trainable("scale-and-bias")
class ScaleAndBias(Trainable):
    """γ and β of every batch, group and layer normalisation (Mudrakarta et al. 2019, section 3.1).

    Without ``last_layer`` the head stays at its initial value. ``statistics`` are as of ``head``:
    ``frozen``, or ``moving`` with the training batches. Nothing is dropped out in the body.
    """

    last_layer: bool = True
    statistics: Literal["frozen", "moving"] = "frozen"

    def __call__(self, network: Network) -> None:
        """Freeze everything else; UserError without such a normalisation."""
        train_only(
            network,
            scales_and_biases(network),
            last_layer=self.last_layer,
            statistics=self.statistics,
        )
