"""A measurement: what is found by looking at trained networks."""

import torch
from pydantic import PositiveInt
from torch import Tensor

from bench.models.network import Network
from bench.parts import Line, Measured, Measurement, Measuring, measurement


@measurement("my-part")
class MyPart(Measurement):
    """Test error on the line between two networks: say here what it is, and whose."""

    # The networks that it looks at: `measure: {part: my-part, roles: {first: …, second: …}}`.
    roles = ("first", "second")
    # Name to unit and better side; of "%" a fraction is returned.
    metrics = {"error": ("%", "lowest")}
    # Name to the axis that it is a curve over.
    curves = {"error": "lambda"}

    # Annotated fields are parameters: `measure: {intervals: 10}`.
    intervals: PositiveInt = 4

    def __call__(self, measuring: Measuring) -> Measured:
        """Return the metrics and curves that are declared above."""
        network, other = (measuring.network(role) for role in self.roles)
        first = {name: value.clone() for name, value in network.state_dict().items()}
        second = other.state_dict()
        at = [i / self.intervals for i in range(self.intervals + 1)]
        error = []
        for weight in at:
            between = {
                name: torch.lerp(value, second[name], weight)
                if value.is_floating_point()
                else value
                for name, value in first.items()
            }
            network.load_state_dict(between)
            outputs, labels = self.outputs(measuring, network)
            error.append(1 - measuring.scores_of(outputs, labels)["top1"])
        return Measured(
            metrics={"error": error[len(error) // 2]}, curves={"error": Line(at, error)}
        )

    def outputs(self, measuring: Measuring, network: Network) -> tuple[Tensor, Tensor]:
        """Return the head's outputs for the test images, and their classes."""
        with torch.no_grad():
            found = [(network(x).logits, y) for x, y in measuring.batches("test", 200)]
        return torch.cat([logits for logits, _ in found]), torch.cat([y for _, y in found])
