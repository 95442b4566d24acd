"""A transform: what is changed in a batch of inputs before the network has them."""

import torch
from pydantic import NonNegativeFloat
from torch import Tensor

from bench.parts import Stream, Transform, transform


@transform("my-part")
class MyPart(Transform):
    """Adds N(0, std²) to each number: say here what it is, and which paper has it."""

    # True: of training batches, drawn anew each step. False: one change, in evaluation too.
    random = True

    # Annotated fields are parameters: `task: {transforms: {my-part: {std: 0.1}}}` in a suite.
    std: NonNegativeFloat = 0.1

    def __call__(self, inputs: Tensor, stream: Stream) -> Tensor:
        """Return inputs of the same shape; `inputs` itself stays as it is."""
        # Drawn on the CPU, from the stream alone: the same numbers on every device.
        generator = torch.Generator().manual_seed(int(stream.raw(1)[0] >> 1))
        noise = torch.randn(inputs.shape, generator=generator)
        return inputs + self.std * noise.to(inputs)
