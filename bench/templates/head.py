"""A head initialisation: the first weights of a new last layer."""

import numpy as np
from pydantic import PositiveFloat

from bench.data.streams import Stream
from bench.parts import Head, head
from bench.parts.kinds import Array


@head("my-part")
class MyPart(Head):
    """Rows of one length at right angles: say here what it is, and which paper has it."""

    # Annotated fields are parameters: `recipe: {head_init: {my-part: {gain: 0.1}}}` in a suite.
    gain: PositiveFloat = 0.1

    def weights(self, outputs: int, features: int, stream: Stream) -> Array:
        """Return weights of shape (outputs, features), drawn from the stream alone."""
        shape = (max(outputs, features), min(outputs, features))
        q, r = np.linalg.qr(stream.normal(shape[0] * shape[1]).reshape(shape))
        q = q * np.sign(np.diag(r))
        return self.gain * (q if outputs >= features else q.T)
