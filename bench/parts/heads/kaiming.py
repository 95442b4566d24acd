"""Normal weights by the fan."""

from __future__ import annotations

import math
from typing import Literal

from bench.data.streams import Stream
from bench.parts import Head, head
from bench.parts.kinds import Array


@head("kaiming")
class Kaiming(Head):
    """Weights from N(0, 2/fan) (He et al. 2015, eqs. 10 and 14).

    ``fan_in`` is the number of features, ``fan_out`` that of the head's outputs.
    """

    mode: Literal["fan_in", "fan_out"] = "fan_in"

    def weights(self, outputs: int, features: int, stream: Stream) -> Array:
        """Return ``(outputs, features)``."""
        std = math.sqrt(2 / (features if self.mode == "fan_in" else outputs))
        return std * stream.normal(outputs * features).reshape(outputs, features)
