"""Looking at a network while it trains: validation, selection, anytime performance, norms.

Nothing here changes the training: scores are taken in evaluation mode, draw no random numbers,
and those of the test split reach nothing but the record (unless the recipe selects on it).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.models.network import Network
from bench.parts.kinds import Objective
from bench.spec.metrics import RETAKEN, prefix_of
from bench.spec.recipe import Recipe
from bench.training.curves import CurveBook
from bench.training.deployment import ValidationSteps, pseudo_fibonacci
from bench.training.module_state import module_state, restore_module
from bench.training.norms import feature_distance, head_norm, parameters_of
from bench.training.selection import BestState

# A network, and after how many steps, to its metrics on a split, such as ``test/top1``.
Score = Callable[[Network, int], Mapping[str, float]]


@dataclass(frozen=True)
class Scores:
    """What can be scored; None where the recipe does not.

    ``source_as_it_is`` takes no statistics again, so that a score costs no pass over training
    rows. ``objectives`` are the tasks', by name: they say which metric states are chosen by.
    """

    validation: Score | None = None
    test: Score | None = None
    train: Score | None = None
    source: Score | None = None
    source_as_it_is: Score | None = None
    objectives: Mapping[str, Objective] = field(default_factory=dict)

    def names(self, split: str) -> list[str]:
        """Return the names of the metrics that states are compared by, a task's each."""
        return [f"{prefix_of(n)}{split}/{o.score}" for n, o in self.objectives.items()]

    def chosen_by(self, split: str, metrics: Mapping[str, float]) -> float:
        """Return what states are compared by: the mean of the tasks' scores, higher is better."""
        signs = [1.0 if o.higher_is_better() else -1.0 for o in self.objectives.values()]
        values = [s * metrics[n] for s, n in zip(signs, self.names(split), strict=True)]
        return sum(values) / len(values)


class Monitor:
    """Looks at a network before its first step and after each.

    Parameters
    ----------
    network
        As it is before the first step: distances are measured from here.
    book
        Where the curves go: ``validation/top1`` (or what else the objective's score is), under
        ``recipe.forgetting_curves`` ``source/METRIC`` at the same steps, and under
        ``recipe.anytime`` ``anytime/SPLIT/METRIC`` and ``anytime/step`` at the pseudo-Fibonacci
        steps, and ``features/distance`` and ``head/norm`` at these and at every validation.
    """

    def __init__(
        self, network: Network, recipe: Recipe, book: CurveBook, scores: Scores = Scores()
    ) -> None:
        self._network = network
        self._recipe = recipe
        self._book = book
        self._scores = scores
        self._steps = ValidationSteps(recipe)
        anytime = recipe.anytime is not None
        self._checkpoints = frozenset(pseudo_fibonacci(recipe.steps)) if anytime else frozenset()
        self._start = parameters_of(network)
        self._best = {"validation": BestState(), "test": BestState()}
        self._spare: Network | None = None
        self._deployed: tuple[int | None, Mapping[str, float]] = (None, {})

    def after(self, step: int, *, always: bool = False) -> float | None:
        """Look at the network after ``step`` steps; return the validation score if taken.

        With ``always`` the validation split is scored whether or not it is due.
        """
        accuracy = None
        due = self._steps.due(step)
        if due or always:
            accuracy = self._offer("validation", self._scores.validation, step)
        if due and self._recipe.selection == "best-on-test":
            self._offer("test", self._scores.test, step)
        if due and self._recipe.test_curves and self._scores.test is not None:
            self._follow(self._scores.test, step)
        followed = self._scores.source_as_it_is if self._recipe.forgetting_curves else None
        if (due or always) and followed is not None:
            self._follow(followed, step)
        if step in self._checkpoints:
            self._deploy(step)
        if self._recipe.anytime is not None and (accuracy is not None or step in self._checkpoints):
            for name, value in self.norms().items():
                self._book.add(name, step, value)
        return accuracy

    def _follow(self, score: Score, step: int) -> None:
        for name, value in score(self._network, step).items():
            self._book.add(name, step, value)

    def restart(self, step: int) -> None:
        """Let the gaps between validations grow anew after that of a step."""
        self._steps.restart(step)

    def norms(self) -> dict[str, float]:
        """Return how far the body is from its start, and each head's norm, as they are now."""
        found = {"features/distance": feature_distance(self._network, self._start)}
        for name, head in self._network.heads.items():
            found[f"{prefix_of(name)}head/norm"] = head_norm(head)
        return found

    def report(self) -> int:
        """Put the state that is reported into the network; return its step."""
        if self._recipe.selection == "last":
            return self._recipe.steps
        best = self._best[self._recipe.selection.removeprefix("best-on-")]
        assert best.step is not None
        best.put_into(self._network)
        return best.step

    def state(self) -> dict[str, Any]:
        """Return what was seen: the best states, what was deployed, which steps are due."""
        spare = self._spare
        return {
            "steps": self._steps.state(),
            "best": {split: best.state() for split, best in self._best.items()},
            "deployed": self._deployed,
            # Its parameters are a best state's whenever it is used.
            "spare": None if spare is None else module_state(spare, parameters=False),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what was seen; the network is the one of that step."""
        self._steps.restore(state["steps"])
        for split, best in self._best.items():
            best.restore(state["best"][split])
        self._deployed = state["deployed"]
        if state["spare"] is not None:
            self._spare = copy.deepcopy(self._network)
            restore_module(self._spare, state["spare"])

    def _offer(self, split: str, score: Score | None, step: int) -> float | None:
        if score is None:
            return None
        metrics = score(self._network, step)
        for name in self._scores.names(split):
            self._book.add(name, step, metrics[name])
        accuracy = self._scores.chosen_by(split, metrics)
        chosen = self._recipe.selection == f"best-on-{split}"
        if chosen or (split == "validation" and self._recipe.anytime is not None):
            self._best[split].offer(self._network, step, accuracy)
        return accuracy

    def _deploy(self, checkpoint: int) -> None:
        best = self._best["validation"]
        if best.step is None:
            return
        if best.step != self._deployed[0]:
            self._deployed = (best.step, self._deployed_scores(best, checkpoint))
        for name, value in self._deployed[1].items():
            self._book.add(name, checkpoint, value)
        self._book.add("anytime/step", checkpoint, float(best.step))

    def _deployed_scores(self, best: BestState, now: int) -> dict[str, float]:
        assert best.step is not None
        network = self._network
        if best.step != now:
            if self._spare is None:
                self._spare = copy.deepcopy(self._network)
            network = self._spare
            best.put_into(network)
        return {
            _anytime(name): value
            for score in (self._scores.test, self._scores.source)
            if score is not None
            for name, value in score(network, best.step).items()
        }


def _anytime(name: str) -> str:
    # TASK/test/top1 is TASK/anytime/test/top1: a task's name stands before all.
    *task, split, metric = name.split("/")
    if split == RETAKEN:
        *task, split = task
        metric = f"{RETAKEN}/{metric}"
    return "/".join([*task, "anytime", split, metric])
