"""A trainable set: which parameters train; all others stay as they came."""

from bench.models.network import Network
from bench.parts import Trainable, trainable


@trainable("my-part")
class MyPart(Trainable):
    """The head and all biases train: say here what it is, and which paper has it."""

    # Annotated fields are parameters: `trainable: {my-part: {statistics: false}}` in a suite.
    # Their defaults are literals, since suites are checked by reading this file.
    statistics: bool = True

    def __call__(self, network: Network) -> None:
        """Freeze what is not to train; everything is trainable when it comes."""
        # In training mode batch normalisations normalise by the batch, and follow the data.
        body = network.body().train(self.statistics)
        for name, parameter in body.named_parameters():
            parameter.requires_grad_(name.endswith(".bias"))
