"""Weights of zero."""

from __future__ import annotations

import numpy as np

from bench.data.streams import Stream
from bench.parts import Head, head
from bench.parts.kinds import Array


@head("zeros")
class Zeros(Head):
    """FAST's classifier (Varno et al. 2020, section 4)."""

    def weights(self, outputs: int, features: int, stream: Stream) -> Array:
        """Return ``(outputs, features)``."""
        return np.zeros((outputs, features))
