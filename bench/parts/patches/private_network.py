"""A network of each task's own."""

from __future__ import annotations

from bench.errors import UserError
from bench.models.network import Network
from bench.parts import Patch, patch


@patch("private-network")
class PrivateNetwork(Patch):
    """Nothing is shared but the start: as many networks as tasks, trained side by side.

    Mudrakarta et al. 2018, Tables 3 and 4: "independently trained". The loss is the mean over the
    tasks, so that each network's gradient is that of its task alone, divided by their number.
    """

    def __call__(self, network: Network) -> None:
        """Make every module private; UserError where parameters lie in no module."""
        loose = [name for name, _ in network.backbone.named_parameters(recurse=False)]
        if loose:
            raise UserError(
                f"{network.name} has parameters in no module, which tasks would share: "
                f"{', '.join(loose)}",
                field="patches.private-network",
                remedy="use a backbone without such parameters, such as a convolutional one",
            )
        network.private([name for name, _ in network.backbone.named_children()])
