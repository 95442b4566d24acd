"""Which of its classes a task is trained on: written, checked, and known to what holds rows out."""

from __future__ import annotations

import pytest

from bench.errors import SpecError
from tests.spec.conftest import SUITE
from tests.spec.test_held_out import CHILD, TASKS

LIGHT = SUITE.replace("[glyphs, digits]", "digits").replace("seed: 2", "seed: 1")


def test_the_classes_are_part_of_what_a_cell_is(plan):
    text = LIGHT + "task: {train_classes: [2, 7]}\n"
    whole, some = plan(LIGHT), plan(text)
    assert [p.cell.tasks[""].train_classes for p in some.cells[:1]] == [(2, 7)]
    assert not {p.cell.id for p in whole.cells} & {p.cell.id for p in some.cells}
    # Without them nothing is said, so that the ids of before stay.
    written = whole.cells[0].cell.to_json()["work"]["train"]["tasks"][""]
    assert written == {
        "dataset": "digits", "sampling_rate": 0.15, "objective": {"classification": {}},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ("[0, 11]", r"digits has 10 classes, and those from 0 up to 11 .*\n.*end at 10 or before"),
        ("[3, 3]", r"train_classes \[3, 3\] is no class"),
        ("[-1, 3]", "greater than or equal to 0"),
        ("[0]", "required"),
        ("3", "must be a list"),
    ],
)
def test_classes_that_there_are_not_are_refused(plan, classes, message):
    with pytest.raises(SpecError, match=message) as error:
        plan(LIGHT + f"task: {{train_classes: {classes}}}\n")
    assert str(error.value.field).startswith("task")


def test_targets_without_classes_have_none_to_train_on(plan):
    text = LIGHT.replace("digits", "boxes") + "task: {objective: boxes, train_classes: [0, 1]}\n"
    text = text.replace("  steps: 10", "  steps: 10\n  augmentation: {crop: centre, flip: false}")
    with pytest.raises(SpecError, match=r"task.train_classes: the objective boxes is of boxes"):
        plan(text.replace("recipe:", "recipe:\n  image: {resize: 64, size: 64}"))


def test_balanced_batches_hold_equally_many_of_the_classes_trained_on(plan):
    text = LIGHT.replace("  steps: 10", "  steps: 10\n  batches: balanced\n  batch_size: 8")
    assert plan(text + "task: {train_classes: [2, 6]}\n")
    with pytest.raises(SpecError, match="equally many of the 5 classes of digits"):
        plan(text + "task: {train_classes: [2, 7]}\n")


@pytest.mark.parametrize(("ours", "refused"), [("[15, 20]", False), ("[14, 20]", True)])
def test_a_child_on_other_classes_than_its_stage_knows_none_of_its_rows(plan, ours, refused):
    text = CHILD.format(rate=0.5, their_rate=0.5, ours=0.1, theirs=0.1, by=0, seed=0)
    text = text.replace("source: {", "source: {task: {train_classes: [0, 15]}, ")
    text += f"task: {{train_classes: {ours}}}\n"
    if not refused:
        assert plan(text)
        return
    with pytest.raises(SpecError, match="may be validated on rows that their stage was trained on"):
        plan(text)


@pytest.mark.parametrize(("classes", "refused"), [("[15, 20]", False), ("[14, 20]", True)])
def test_tasks_on_other_classes_may_be_drawn_by_other_rates(plan, classes, refused):
    a = "sampling_rate: 0.5, train_classes: [0, 15]"
    text = TASKS.format(a=a, b=f"train_classes: {classes}", validation=0.1)
    if not refused:
        assert plan(text)
        return
    with pytest.raises(SpecError, match="the tasks a and b differ in their sampling_rate"):
        plan(text)
