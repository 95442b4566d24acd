"""Which state is reported: the last step's, or the best on a split."""

from __future__ import annotations

from torch import Tensor

from bench.models.network import Network


class BestState:
    """Keeps a copy of the network's best state by one metric; of equals, the earliest."""

    def __init__(self) -> None:
        self.step = 0
        self._value = float("-inf")
        self._state: dict[str, Tensor] = {}

    def offer(self, network: Network, step: int, value: float) -> None:
        """Keep the network's state if ``value`` is higher than every one before."""
        if value > self._value:
            self.step, self._value = step, value
            self._state = {n: t.detach().clone() for n, t in network.state_dict().items()}

    def restore(self, network: Network) -> int:
        """Put the best state back into the network, and return its step."""
        network.load_state_dict(self._state)
        return self.step
