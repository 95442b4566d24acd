"""Everything trains."""

from __future__ import annotations

from typing import Literal

from torch.nn.modules.batchnorm import _BatchNorm

from bench.models.network import Network
from bench.parts import Trainable, trainable


@trainable("all")
class All(Trainable):
    """Backbone and head.

    With ``moving`` statistics batch normalisations normalise by each training batch, and their
    running averages follow; ``frozen`` ones are those that it came with. What drops out does so
    either way.
    """

    statistics: Literal["frozen", "moving"] = "moving"

    def __call__(self, network: Network) -> None:
        """Freeze no parameter."""
        if self.statistics == "frozen":
            for module in network.body().modules():
                if isinstance(module, _BatchNorm):
                    # Not eval(): what timm keeps within one, such as a dropout, stays as it is.
                    module.training = False
