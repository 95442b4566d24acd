"""Targets that are boxes: with their own objective, and with nothing that would move them."""

from __future__ import annotations

import pytest

from bench.errors import SpecError

from .conftest import SUITE

RECIPE = """  steps: 10
  image: {resize: 48, size: 48}
  augmentation: {crop: centre, flip: false}
"""
TABLE = """task: {objective: boxes}
table: {rows: [dataset], columns: method, metric: test/iou}
"""
BOXES = SUITE.replace("[glyphs, digits]", "boxes").replace("  steps: 10\n", RECIPE) + TABLE
STAGE = """
stages:
  localised:
    weights: random
    dataset: boxes
    task: {objective: boxes}
"""


def test_boxes_are_planned_and_their_overlap_is_a_percentage_whose_high_side_is_better(plan):
    found = plan(BOXES)
    (task,) = found.cells[0].cell.tasks.values()
    assert (task.dataset, task.objective.name, task.objective.settings) == (
        "boxes", "boxes", {"beta": 0.05}
    )  # fmt: skip
    (shown,) = found.metrics if isinstance(found.metrics, tuple) else found.suite.metrics
    assert (shown.unit, shown.best) == ("%", "highest")


@pytest.mark.parametrize(
    ("old", "new", "field", "remedy"),
    [
        ("crop: centre", "crop: random", "recipe.augmentation.crop", "use crop: centre"),
        ("crop: centre, ", "", "recipe.augmentation.crop", "use crop: centre"),
        ("flip: false", "flip: true", "recipe.augmentation.flip", "use flip: false"),
        (", flip: false", "", "recipe.augmentation.flip", "use flip: false"),
        ("resize: 48", "resize: 56", "recipe.image.size", "use size: 56"),
        ("steps: 10", "steps: 10\n  evaluation: {crops: 10}", "recipe.evaluation.crops", "1"),
        ("steps: 10", "steps: 10\n  batches: balanced", "recipe.batches", "batches: shuffled"),
        ("objective: boxes", "objective: classification", "task.objective", "objective: boxes"),
        ("dataset: boxes", "dataset: digits", "task.objective", "objective: classification"),
        (
            "objective: boxes", "objective: boxes, long_tail: {imbalance: 10}",
            "task.long_tail", "leave long_tail out",
        ),
    ],
)  # fmt: skip
def test_what_would_make_the_targets_wrong_is_refused(plan, old, new, field, remedy):
    assert BOXES.count(old) == 1
    with pytest.raises(SpecError) as caught:
        plan(BOXES.replace(old, new))
    assert caught.value.field == field
    assert remedy in caught.value.remedy


def test_a_tasks_own_augmentation_counts_and_not_the_recipes(plan):
    text = BOXES.replace("flip: false", "flip: true")
    own = "objective: boxes, augmentation: {crop: centre, flip: false}"
    assert plan(text.replace("objective: boxes", own))


def test_a_stage_on_boxes_has_an_augmentation_of_its_own(plan):
    child = SUITE.replace("weights: random", "weights: stage:localised") + STAGE
    with pytest.raises(SpecError, match="boxes are boxes, and crop: random-resized would move"):
        plan(child)
    still = STAGE + (
        "    recipe: {image: {resize: 48, size: 48}, augmentation: {crop: centre, flip: false}}\n"
    )
    cells = [p.cell for p in plan(child.replace(STAGE, still)).cells]
    stage = [cell for cell in cells if cell.tasks[""].dataset == "boxes"]
    assert [cell.tasks[""].objective.name for cell in stage] == ["boxes"] * len(stage)
    assert {cell.tasks[""].objective.name for cell in cells if cell not in stage} == {
        "classification"
    }


def test_a_regression_on_boxes_is_held_to_the_same(plan):
    text = BOXES.replace("objective: boxes", "objective: regression").replace("iou", "mse")
    assert plan(text)
    with pytest.raises(SpecError, match="would move them"):
        plan(text.replace("flip: false", "flip: true"))


def test_numbers_have_no_classes_and_are_no_boxes(plan):
    text = (
        SUITE.replace("[glyphs, digits]", "ripples-new")
        .replace("backbone: test_resnet", "backbone: plane")
        .replace("axes:", "networks: {plane: {mlp: {widths: [4]}}}\naxes:")
    )
    table = "task: {{objective: {}}}\ntable: {{metric: test/loss}}\n"
    assert plan(text + table.format("noisy-regression"))
    for objective in ("classification", "boxes"):
        with pytest.raises(SpecError, match="targets of ripples-new are numbers") as caught:
            plan(text + table.format(objective))
        assert caught.value.remedy == "use objective: regression"


def test_a_training_of_no_steps_has_no_curve_of_steps_and_nothing_to_choose(plan):
    curves = """figures:
  - {title: Loss, panels: [{curve: train/loss}]}
"""
    none = SUITE.replace("  plain: {}", "  plain: {recipe: {steps: 0}}")
    plan(none)
    plan(SUITE + curves)
    with pytest.raises(SpecError, match="train/loss"):
        plan(none.replace("[plain, l2]", "plain") + curves)
    chosen = "recipe: {steps: 0, validation: 0.1, validate_every: 1, selection: best-on-validation}"
    with pytest.raises(SpecError, match="with steps 0 there is no state to select"):
        plan(SUITE.replace("  plain: {}", f"  plain: {{{chosen}}}"))
