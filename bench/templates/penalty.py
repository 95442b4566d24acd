"""A penalty: what is added to the loss of each step."""

from pydantic import NonNegativeFloat
from torch import Tensor

from bench.parts import Penalty, Step, penalty


@penalty("my-part")
class MyPart(Penalty):
    """Ω = λ Σ (w − w⁰)² over the backbone: say here what it is, and which paper has it."""

    # Annotated fields are parameters: `penalties: {my-part: {weight: 1e-3}}` in a suite. Their
    # defaults are literals, since suites are checked by reading this file and not by running it.
    weight: NonNegativeFloat = 1e-3

    # For the frozen start's feature maps, head or logits, or what a measurement left of it:
    # needs = ("source_maps",)

    def __call__(self, step: Step) -> Tensor:
        """Return a scalar of the step's dtype; draw nothing at random and change nothing."""
        # `step` has features, logits and labels of the batch, and parameters by name:
        # backbone, head, and the backbone's values at the start.
        moved = [(w - step.start[name]).square().sum() for name, w in step.backbone.items()]
        return self.weight * sum(moved, start=step.features.new_zeros(()))
