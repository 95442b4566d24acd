"""Which state is reported or deployed: the last step's, or the best on a split."""

from __future__ import annotations

from torch import Tensor

from bench.models.network import Network


class BestState:
    """Keeps a copy of the network's best state by one metric; of equals, the earliest.

    Attributes
    ----------
    step
        After how many steps the state was reached; None before the first offer.
    """

    def __init__(self) -> None:
        self.step: int | None = None
        self._value = float("-inf")
        self._state: dict[str, Tensor] = {}

    def offer(self, network: Network, step: int, value: float) -> None:
        """Keep the network's state if ``value`` is higher than every one before."""
        if value > self._value:
            self.step, self._value = step, value
            for name, tensor in network.state_dict().items():
                if name in self._state:
                    self._state[name].copy_(tensor)
                else:
                    self._state[name] = tensor.detach().clone()

    def restore(self, network: Network) -> None:
        """Put the best state into a network."""
        network.load_state_dict(self._state)
