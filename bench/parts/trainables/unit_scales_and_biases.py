"""Scales and biases of units train, either or both."""

from __future__ import annotations

from bench.errors import UserError
from bench.models.network import Network
from bench.models.parameter_sets import train_only
from bench.models.scaled import ScaledLinear
from bench.parts import Trainable, trainable


@trainable("unit-scales-and-biases")
class UnitScalesAndBiases(Trainable):
    """Of the network ``scaled-mlp`` (Mudrakarta et al. 2019, appendix A.2).

    The paper's sets: A ``biases``, B ``scales``, C both, D both and ``last_layer``, the logits. E,
    the logits alone, is the set ``head``.
    """

    scales: bool = True
    biases: bool = True
    last_layer: bool = False

    def __call__(self, network: Network) -> None:
        """Freeze everything else; UserError without such units, or if nothing is to train."""
        layers = [m for m in network.body().modules() if isinstance(m, ScaledLinear)]
        if not layers:
            raise UserError(
                f"{network.name} has no units with scales",
                field="trainable",
                remedy="use the network scaled-mlp, or the trainable set scale-and-bias",
            )
        if not (self.scales or self.biases):
            raise UserError(
                "neither scales nor biases are to train",
                field="trainable.unit-scales-and-biases",
                remedy="leave one of them true, or use the trainable set head",
            )
        chosen = [layer.scale for layer in layers if self.scales]
        chosen += [layer.bias for layer in layers if self.biases]
        train_only(network, chosen, last_layer=self.last_layer, statistics="frozen")
