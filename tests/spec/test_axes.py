"""An axis that changes nothing would compare cells with themselves, and find no difference."""

from __future__ import annotations

import pytest

from bench.errors import SpecError

from .conftest import SUITE
from .test_measure import BASE as MEASURE

TASKS = "tasks: {a: {dataset: glyphs}, b: {dataset: digits}}\n"
STAGES = "stages:\n  a: {dataset: glyphs, method: plain}\n  b: {dataset: glyphs, method: plain}\n"


def said(text: str, *pairs: tuple[str, str], end: str = "") -> str:
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    return text + end


CASES = {
    "dataset": (said(SUITE, end=TASKS), "dataset", r"each of tasks: says its own dataset"),
    "weights": (
        said(SUITE, ("weights: random", "weights: ['stage:a', 'stage:b']"), end=STAGES),
        "weights",
        r"leave the axis or a value out",
    ),
    "method": (
        said(SUITE, ("  l2: {penalties: {l2: {weight: 1e-3}}}", "  l2: {trainable: all}")),
        "method",
        r"the methods have the same parts and settings",
    ),
    "a setting of images, without images": (
        said(
            SUITE,
            ("test_resnet", "mlp"),
            ("seed: 2", "seed: 2\n  recipe.image.size: [32, 64]"),
            ("[glyphs, digits]", "rings"),
        ),
        "recipe.image.size",
        r"no cell reads this setting",
    ),
    "a word of one's own": (
        said(
            SUITE,
            ("seed: 2", "seed: 2\n  size: [small, large]"),
            end="when:\n  - {size: [small, large], recipe: {steps: 20}}\n",
        ),
        "size",
        r"every `when:` on it says the same",
    ),
    "a measured network's own": (
        said(MEASURE, ("{weights: \"stage:source\", samp", "{dataset: digits, samp")),
        "dataset",
        r"said by its stage and in measure.roles",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", CASES)
def test_an_axis_of_several_values_that_changes_no_cell_is_an_error(plan, kind):
    text, axis, remedy = CASES[kind]
    pattern = rf"axes.{axis}: changes nothing between .*: cells .* are the same\n.*{remedy}"
    with pytest.raises(SpecError, match=pattern) as caught:
        plan(text)
    lines = text.lstrip().splitlines()
    assert lines[(caught.value.line or 0) - 1].lstrip().startswith(f"{axis}:")


OWN_IMAGE = "task: {image: {resize: 32, size: 32}, augmentation: {crop: centre, flip: false}}\n"
UNREAD = {
    "recipe.image.size, beside a task's own": ("recipe.image.size: [32, 64]", OWN_IMAGE),
    "recipe.augmentation.flip, beside a task's own": (
        "recipe.augmentation.flip: [true, false]", OWN_IMAGE,
    ),
    "task.weight of a single task": ("task.weight: [1.0, 2.0]", ""),
    "recipe.validation_seed of no validation": ("recipe.validation_seed: [0, 1]", ""),
    "recipe.validate_every of no validation": ("recipe.validate_every: [1, 2]", ""),
    "recipe.optimizer.sgd.dampening without momentum": (
        "recipe.optimizer.sgd.dampening: [0.0, 0.5]", "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", UNREAD)
def test_a_setting_that_no_cell_reads_does_not_act(plan, kind):
    axis, end = UNREAD[kind]
    with pytest.raises(SpecError, match=rf"axes.{kind.split()[0].strip(',')}: changes nothing"):
        plan(said(SUITE, ("seed: 2", f"seed: 2\n  {axis}"), end=end))


@pytest.mark.parametrize(
    ("axis", "recipe"),
    [
        ("recipe.image.size: [32, 64]", "optimizer: {sgd: {lr: 0.1}}"),
        ("task.augmentation.flip: [true, false]", "optimizer: {sgd: {lr: 0.1}}"),
        ("recipe.validation_seed: [0, 1]", "validation: 0.1"),
        ("recipe.validate_every: [1, 2]", "validation: 0.1"),
        ("recipe.optimizer.sgd.dampening: [0.0, 0.5]", "optimizer: {sgd: {lr: 1, momentum: 0.9}}"),
    ],
)
def test_a_setting_that_cells_read_acts(plan, axis, recipe):
    pairs = ("seed: 2", f"seed: 2\n  {axis}"), ("optimizer: {sgd: {lr: 0.1}}", recipe)
    assert len(plan(said(SUITE, *pairs)).unique()) == 32


def test_two_values_that_make_the_same_cells_beside_a_third_are_named(plan):
    text = said(
        SUITE, ("  plain: {}", "  plain: {}\n  again: {}"), ("[plain, l2]", "[plain, l2, again]")
    )
    with pytest.raises(SpecError, match=r"axes.method: changes nothing between plain and again:"):
        plan(text)


def test_an_axis_that_acts_somewhere_is_none(plan):
    # The weight changes nothing of the plain method, and all of the other.
    found = plan(said(SUITE, ("seed: 2", "seed: 2\n  penalties.l2.weight: [0.1, 0.2]")))
    assert len(found.unique()) == len(found.shown) * 3 // 4


def test_an_axis_that_follows_from_another_is_none(plan):
    # No two cells differ in the rate alone: each dataset has its own.
    whens = "when:\n  - {dataset: digits, axes: {sampling_rate: 0.5}}\n"
    text = said(SUITE, ("[0.15, 0.3]", "0.5"), end=whens)
    assert len(plan(text).shown) == 2 * 1 * 2 * 2


def test_a_profile_may_narrow_an_axis_to_one_value(plan):
    same = said(SUITE, ("  l2: {penalties: {l2: {weight: 1e-3}}}", "  l2: {trainable: all}"))
    assert plan(said(same, ("offline: {}", "offline: {axes: {method: plain}}")))


@pytest.mark.parametrize(
    ("text", "field"),
    [
        (said(MEASURE, ("seed: 2", "seed: 2\n  recipe.optimizer.sgd.lr: 0.5")),
         "axes.recipe.optimizer.sgd.lr"),
        (said(MEASURE, ("seed: 2", "seed: 2\n  penalties.l2.weight: 0.5")),
         "axes.penalties.l2.weight"),
        (said(MEASURE, end="when: [{dataset: digits, recipe: {steps: 30}}]\n"),
         "when.0.recipe.steps"),
        (said(MEASURE, end="when: [{dataset: digits, methods: {plain: {trainable: head}}}]\n"),
         "when.0.methods.plain"),
    ],
)  # fmt: skip
def test_what_only_a_stage_would_hear_is_not_said_of_a_measurement(plan, text, field):
    with pytest.raises(SpecError, match="only the stages that it measures train") as caught:
        plan(text)
    assert caught.value.field == field
