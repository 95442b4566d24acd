"""Normalisations of each task's own."""

from __future__ import annotations

from bench.models.network import Network
from bench.models.parameter_sets import NORMALISATIONS
from bench.parts import Patch, patch


@patch("private-normalisation")
class PrivateNormalisation(Patch):
    """Each task has scales, biases and running statistics of its own; all else is shared.

    Mudrakarta et al. 2019, section 4.2: the scale-and-bias patch of several tasks trained at once.
    Without ``affine`` only the running statistics are a task's own, and scales and biases shared.
    """

    affine: bool = True

    def __call__(self, network: Network) -> None:
        """Make every normalisation private to each task."""
        network.private(
            [
                name
                for name, module in network.backbone.named_modules()
                if isinstance(module, NORMALISATIONS)
            ],
            parameters=self.affine,
        )
