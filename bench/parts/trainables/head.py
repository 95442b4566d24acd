"""The head alone trains."""

from __future__ import annotations

from bench.models.network import Network
from bench.parts import Trainable, trainable


@trainable("head")
class Head(Trainable):
    """The backbone is frozen, and in evaluation mode: its running statistics stay too."""

    def __call__(self, network: Network) -> None:
        """Freeze the backbone."""
        network.body().requires_grad_(False).eval()
