"""Normal weights of one standard deviation."""

from __future__ import annotations

import numpy as np
from pydantic import PositiveFloat

from bench.parts import Head, head
from bench.parts.kinds import Array


@head("normal")
class Normal(Head):
    """Weights from N(0, std²)."""

    std: PositiveFloat = 0.01

    def weights(self, outputs: int, features: int, generator: np.random.Generator) -> Array:
        """Return ``(outputs, features)``."""
        return self.std * generator.standard_normal((outputs, features))
