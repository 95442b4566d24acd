"""Normal weights of one standard deviation."""

from __future__ import annotations

from pydantic import PositiveFloat

from bench.data.streams import Stream
from bench.parts import Head, head
from bench.parts.kinds import Array


@head("normal")
class Normal(Head):
    """Weights from N(0, std²)."""

    std: PositiveFloat = 0.01

    def weights(self, outputs: int, features: int, stream: Stream) -> Array:
        """Return ``(outputs, features)``."""
        return self.std * stream.normal(outputs * features).reshape(outputs, features)
