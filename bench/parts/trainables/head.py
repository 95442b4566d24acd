"""The head alone trains."""

from __future__ import annotations

from typing import Literal

from bench.models.network import Network
from bench.models.parameter_sets import train_only
from bench.parts import Trainable, trainable


@trainable("head")
class Head(Trainable):
    """The backbone is frozen, and in evaluation mode: nothing is dropped out in it.

    ``frozen`` statistics are those that it came with; with ``moving`` ones batch normalisations
    normalise by each training batch, and their running averages follow.
    """

    statistics: Literal["frozen", "moving"] = "frozen"

    def __call__(self, network: Network) -> None:
        """Freeze the backbone."""
        train_only(network, (), last_layer=True, statistics=self.statistics)
