"""Everything trains."""

from __future__ import annotations

from bench.models.network import Network
from bench.parts import Trainable, trainable


@trainable("all")
class All(Trainable):
    """Backbone, running statistics and head."""

    def __call__(self, network: Network) -> None:
        """Freeze nothing."""
