"""Targets that are labels: with their own objective, and nothing held out where images repeat."""

from __future__ import annotations

import pytest

from bench.errors import SpecError

from .conftest import SUITE

TABLE = """task: {objective: {multi-label: {labels: {oedema: 1}}}}
table: {rows: [dataset], columns: method, metric: test/auc-oedema}
"""
LABELS = SUITE.replace("[glyphs, digits]", "chexpert") + TABLE


def test_labels_are_planned_and_a_named_ones_area_is_a_metric(plan):
    found = plan(LABELS)
    (task,) = found.cells[0].cell.tasks.values()
    assert (task.dataset, task.objective.name) == ("chexpert", "multi-label")
    (shown,) = found.metrics if isinstance(found.metrics, tuple) else found.suite.metrics
    assert (shown.unit, shown.best) == ("", "highest")


@pytest.mark.parametrize(
    ("old", "new", "field", "remedy"),
    [
        ("{multi-label: {labels: {oedema: 1}}}", "classification", "task.objective", "multi-label"),
        ("dataset: chexpert", "dataset: digits", "task.objective", "objective: classification"),
        ("dataset: chexpert", "dataset: boxes", "task.objective", "objective: boxes"),
        ("steps: 10", "steps: 10\n  validation: 0.1", "recipe.validation", "validation: 0"),
        ("steps: 10", "steps: 10\n  batches: balanced", "recipe.batches", "batches: shuffled"),
    ],
)
def test_what_would_make_the_scores_wrong_is_refused(plan, old, new, field, remedy):
    assert LABELS.count(old) == 1
    with pytest.raises(SpecError) as caught:
        plan(LABELS.replace(old, new))
    assert caught.value.field == field
    assert remedy in caught.value.remedy
