"""Features are computed once only where each row has the same ones at every step."""

from __future__ import annotations

import pytest

from bench.errors import SpecError
from bench.spec.recipe import Recipe

PLUGIN = '''
@transform("noise")
class Noise(Transform):
    """Draws anew."""
    random = True


@transform("turn")
class Turn(Transform):
    """Is fixed."""


@trainable("own")
class Own(Trainable):
    """May train anything."""
'''
SUITE = """
title: Heads on features
plugins: [parts.py]
axes:
  backbone: test_resnet
  weights: random
  dataset: digits
  sampling_rate: 0.3
  method: ours
  seed: 2
recipe:
  steps: 10
  validation: 0.2
  frozen_features: computed-once
  augmentation: {crop: centre, flip: false}
  optimizer: {sgd: {lr: 0.1}}
methods:
  ours: {trainable: head, penalties: {l2: {}}}
profiles:
  offline: {}
"""


@pytest.fixture
def load(plan, tmp_path):
    """A function that plans the suite, with texts replaced and its plug-in beside it."""
    (tmp_path / "parts.py").write_text(PLUGIN)

    def of(*pairs: tuple[str, str], more: str = ""):
        text = SUITE
        for old, new in pairs:
            assert old in text
            text = text.replace(old, new)
        return plan(text + more)

    return of


def test_a_head_on_fixed_inputs_may(load):
    found = load(more="task: {transforms: {turn: {}}}\n")
    assert {p.cell.recipe.frozen_features for p in found.cells} == {"computed-once"}


def test_it_is_part_of_the_cell_and_never_chosen_unasked(load):
    asked = {p.cell.id for p in load().cells}
    other = load(("  frozen_features: computed-once\n", "")).cells
    assert {p.cell.recipe.frozen_features for p in other} == {"every-step"}
    assert not asked & {p.cell.id for p in other}
    said = load(("computed-once", "every-step")).cells
    assert {p.cell.id for p in said} == {p.cell.id for p in other}
    assert Recipe().frozen_features == "every-step"


@pytest.mark.parametrize(
    ("old", "new", "problem", "remedy"),
    [
        ("trainable: head", "trainable: all", "more than the head trains", "trainable: head"),
        ("trainable: head", "trainable: own", "more than the head trains", "trainable: head"),
        ("crop: centre", "crop: random", "augmentation of digits is random", "crop: centre"),
        ("flip: false", "flip: true", "augmentation of digits is random", "flip: false"),
        ("penalties: {l2: {}}", "penalties: {delta: {}}", "delta looks at inner maps", "leave it"),
        ("recipe:\n", "recipe:\n  evaluation: {crops: 10}\n", "takes 10 crops", "crops: 1"),
        (
            "profiles:",
            "task: {transforms: {noise: {}}}\nprofiles:",
            "transform noise is random",
            "leave it out",
        ),
        (
            "profiles:",
            "task: {augmentation: {crop: random}}\nprofiles:",
            "augmentation of digits is random",
            "flip: false",
        ),
    ],
)
def test_any_other_cell_is_refused_before_it_runs(load, old, new, problem, remedy):
    with pytest.raises(SpecError, match=problem) as raised:
        load((old, new))
    assert raised.value.field == "recipe.frozen_features"
    assert remedy in raised.value.remedy
    assert "frozen_features: every-step" in raised.value.remedy
    assert raised.value.line is not None
    load((old, new), ("computed-once", "every-step"))


def test_forgetting_is_refused(load):
    stage = "stages: {source: {dataset: glyphs, method: plain, recipe: {validation: 0}}}\n"
    pairs = [
        ("weights: random", "weights: 'stage:source'"),
        ("methods:\n", "methods:\n  plain: {}\n"),
    ]
    load(*pairs, more=stage)
    with pytest.raises(SpecError, match="forgetting scores"):
        load(*pairs, ("recipe:\n", "recipe:\n  forgetting: true\n"), more=stage)


def test_a_stage_says_for_itself_whether_its_features_are(load):
    found = load(
        ("weights: random", "weights: 'stage:source'"),
        ("methods:\n", "methods:\n  plain: {}\n"),
        more="stages: {source: {dataset: glyphs, method: plain, recipe: {validation: 0}}}\n",
    )
    chosen = {p.name: p.cell.recipe.frozen_features for p in found.cells}
    assert chosen == {"": "computed-once", "stage source": "every-step"}
