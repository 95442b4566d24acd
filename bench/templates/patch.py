"""A patch: what is changed in the network before its first step."""

from torch import Tensor, nn

from bench.models.network import Network
from bench.parts import Patch, patch


class Scaled(nn.Module):
    """A module whose output is multiplied by a factor for each channel, 1 at first."""

    def __init__(self, inner: nn.Conv2d) -> None:
        super().__init__()
        self.inner = inner
        # Like its convolution's weights: in their dtype, on their device.
        self.factor = nn.Parameter(inner.weight.new_ones(inner.out_channels, 1, 1))

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the module's output, scaled."""
        scaled: Tensor = self.factor * self.inner(inputs)
        return scaled


@patch("my-part")
class MyPart(Patch):
    """A factor for each channel of each convolution: say here what it is, and whose."""

    # Annotated fields are parameters: `patches: {my-part: {smallest_kernel: 1}}` in a suite.
    # Their defaults are literals, since suites are checked by reading this file.
    smallest_kernel: int = 3

    def __call__(self, network: Network) -> None:
        """Exchange modules in place; what begins at random is filled by `draw`, not here."""
        for parent in list(network.backbone.modules()):
            for name, child in list(parent.named_children()):
                if isinstance(child, nn.Conv2d) and child.kernel_size[0] >= self.smallest_kernel:
                    setattr(parent, name, Scaled(child))
