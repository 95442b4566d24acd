"""What patches have added trains."""

from __future__ import annotations

from typing import Literal

from bench.errors import UserError
from bench.models.network import Network
from bench.models.parameter_sets import train_only
from bench.parts import Trainable, trainable
from bench.parts.adapter import Adapter


@trainable("adapters")
class Adapters(Trainable):
    """Parameters of the patches ``lora``, ``visual-prompts`` and ``conv-adapter``.

    Without ``last_layer`` the head stays at its initial value. ``statistics`` are as of ``head``:
    ``frozen``, or ``moving`` with the training batches. Nothing is dropped out in the body.
    """

    last_layer: bool = True
    statistics: Literal["frozen", "moving"] = "frozen"

    def __call__(self, network: Network) -> None:
        """Freeze everything else; UserError without an adapter."""
        adapters = [m for m in network.body().modules() if isinstance(m, Adapter)]
        if not adapters:
            raise UserError(
                f"{network.name} has no adapters to train",
                field="trainable",
                remedy="add some by the method's patches: lora, visual-prompts or conv-adapter",
            )
        chosen = [p for adapter in adapters for p in adapter.parameters()]
        train_only(network, chosen, last_layer=self.last_layer, statistics=self.statistics)
