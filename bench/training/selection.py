"""Which state is reported or deployed: the last step's, or the best on a split."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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

    def put_into(self, network: Network) -> None:
        """Put the best state into a network."""
        network.load_state_dict(self._state)

    def state(self) -> dict[str, Any]:
        """Return the best state, its step and its value."""
        return {"step": self.step, "value": self._value, "state": self._state}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a best state."""
        self.step, self._value, self._state = state["step"], state["value"], state["state"]
