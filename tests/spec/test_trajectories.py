"""Targets that are trajectories: with an objective of their own, and nothing that needs classes."""

from __future__ import annotations

import pytest

from bench.errors import SpecError

SUITE = """title: Where cars go
axes:
  backbone: trajectory-attention
  weights: random
  dataset: motion-cars
  sampling_rate: 1.0
  method: plain
  seed: 2
task: {objective: trajectories}
recipe:
  steps: 10
methods:
  plain: {}
table: {rows: [dataset], columns: method, metric: test/min_ade_8s}
profiles:
  offline: {}
"""


def test_they_are_planned_with_the_objectives_unit_and_side(plan):
    (shown,) = plan(SUITE).suite.metrics
    assert (shown.unit, shown.best) == ("m", "lowest")


@pytest.mark.parametrize(
    ("old", "new", "field", "remedy"),
    [
        ("objective: trajectories", "objective: classification", "task.objective", "trajectories"),
        ("objective: trajectories", "objective: boxes", "task.objective", "trajectories"),
        ("dataset: motion-cars", "dataset: rings", "task.objective", "classification"),
        ("dataset: motion-cars", "dataset: boxes", "task.objective", "objective: boxes"),
        ("steps: 10", "steps: 10\n  batches: balanced", "recipe.batches", "shuffled"),
        (
            "objective: trajectories", "objective: trajectories, long_tail: {imbalance: 10}",
            "task.long_tail", "leave long_tail out",
        ),
    ],
)  # fmt: skip
def test_what_would_make_the_targets_wrong_is_refused(plan, old, new, field, remedy):
    assert SUITE.count(old) == 1
    with pytest.raises(SpecError) as caught:
        plan(SUITE.replace(old, new))
    assert caught.value.field == field
    assert remedy in caught.value.remedy
