"""What a trained network is worth on a task, its own or another."""

from __future__ import annotations

from bench.errors import UserError, did_you_mean
from bench.parts import Measured, Measurement, Measuring, measurement


@measurement("scores")
class Scores(Measurement):
    """A network's scores on the test split of the task at hand, by the head that it has now.

    The task need not be the one that it was trained on last: where two tasks share one head, as
    those of permuted MNIST do, this is what is left of the first. (``forgetting`` in a recipe
    scores by the head as the earlier task left it, which is for tasks with a head each.)

    ``scores`` names the objective's metrics, by the names that they are to have here.
    """

    roles = ("network",)
    metrics = {"test/{scores}": ("%", "highest")}
    scores: dict[str, str] = {"top1": "top1"}

    def __call__(self, measuring: Measuring) -> Measured:
        """Return the scores; UserError if the objective has no such metric, or the head no fit."""
        found = measuring.scores(measuring.network("network"), "test")
        for name in self.scores.values():
            if name not in found:
                raise UserError(
                    f"the objective has no metric {name!r}",
                    field="measure.part.scores.scores",
                    remedy=did_you_mean(name, found),
                )
        return Measured({f"test/{shown}": found[name] for shown, name in self.scores.items()})
