"""What a method replaces, and what stands above it: recipe < when < method < dotted axes."""

from __future__ import annotations

from itertools import product

import pytest

from bench.errors import SpecError

from .conftest import SUITE

LIGHT = SUITE.replace("[glyphs, digits]", "digits").replace("[0.15, 0.3]", "0.3")
RATES = {
    "recipe": ("{lr: 0.1}", "{lr: 1}"),
    "when": (
        "profiles:",
        "when: [{dataset: digits, recipe: {optimizer: {sgd: {lr: 2}}}}]\nprofiles:",
    ),
    "method": ("l2: {pen", "l2: {recipe: {optimizer: {sgd: {lr: 3}}}, pen"),
    "dotted": ("seed: 2", "seed: 2\n  recipe.optimizer.sgd.lr: [4]"),
}


def of(found, method="l2"):
    return next(p.cell.work for p in found.cells if p.place["method"] == method)


@pytest.mark.parametrize("who", [*product([False, True], repeat=4)], ids=str)
def test_the_last_that_says_a_rate_is_heard(plan, who):
    text, expected = LIGHT, 0.1
    for said, (rate, pair) in zip(who, enumerate(RATES.values(), 1), strict=True):
        if said:
            text, expected = text.replace(*pair), rate
    assert of(plan(text)).recipe.optimizer.sgd.lr == expected
    # A method speaks for itself alone.
    alone = max((i for i in (1, 2, 4) if who[i - 1]), default=0.1)
    assert of(plan(text), "plain").recipe.optimizer.sgd.lr == alone


def test_a_methods_overlay_within_a_when_is_above_the_method(plan):
    text = LIGHT.replace(*RATES["method"])
    text += "when: [{dataset: digits, methods: {l2: {recipe: {optimizer: {sgd: {lr: 5}}}}}}]\n"
    assert of(plan(text)).recipe.optimizer.sgd.lr == 5


def test_a_method_keeps_what_it_does_not_say(plan):
    text = LIGHT.replace("l2: {pen", "l2: {recipe: {optimizer: {sgd: {momentum: 0.5}}}, pen")
    sgd = of(plan(text)).recipe.optimizer.sgd
    assert (sgd.lr, sgd.momentum) == (0.1, 0.5)


def test_another_choice_of_a_method_replaces_the_recipes(plan):
    text = LIGHT.replace("l2: {pen", "l2: {recipe: {optimizer: {adam: {lr: 0.5}}}, pen")
    assert of(plan(text)).recipe.optimizer.choice == "adam"
    assert of(plan(text), "plain").recipe.optimizer.choice == "sgd"


@pytest.mark.parametrize("head", ["zeros", "{zeros: {}}", "{kaiming: {mode: fan_out}}"])
def test_a_method_has_a_head_of_its_own(plan, head):
    text = LIGHT.replace("l2: {pen", f"l2: {{recipe: {{head_init: {head}}}, pen")
    assert of(plan(text)).recipe.head_init.name == head.strip("{").split(":")[0]
    assert of(plan(text), "plain").recipe.head_init.name == "normal"


@pytest.mark.parametrize(
    ("axis", "says"),
    [
        ("recipe.optimizer.sgd.lr: [0.1, 0.2]", "optimizer: {adam: {lr: 1}}"),
        ("recipe.schedule.cosine.final: [0.1, 0.2]", "schedule: {constant: {}}"),
        ("recipe.head_init.normal.std: [0.1, 0.2]", "head_init: {zeros: {}}"),
        ("recipe.head_init.normal.std: [0.1, 0.2]", "head_init: zeros"),
    ],
)
def test_an_axis_within_a_choice_on_a_method_with_another_is_an_error(plan, axis, says):
    choice, wanted = axis.split(".")[1:3]
    text = LIGHT.replace("seed: 2", f"seed: 2\n  {axis}")
    text = text.replace("l2: {pen", f"l2: {{recipe: {{{says}}}, pen")
    with pytest.raises(SpecError, match=rf"sets {wanted}, and a method has {choice} ") as caught:
        plan(text)
    line = next(i for i, t in enumerate(text.lstrip().splitlines(), 1) if t.strip() == axis)
    assert caught.value.line == line
    assert caught.value.remedy


def test_an_axis_may_be_the_choice_itself(plan):
    text = LIGHT.replace("seed: 2", "seed: 1\n  recipe.head_init: [zeros, kaiming]")
    assert {p.cell.recipe.head_init.name for p in plan(text).cells} == {"zeros", "kaiming"}


def test_parts_of_a_method_are_sorted_and_whole(plan):
    text = LIGHT.replace(
        "l2: {penalties: {l2: {weight: 1e-3}}}",
        "l2: {penalties: {l2: {weight: 1e-3}, bss: {}}, trainable: head,"
        " patches: {private-normalisation: {}}, update: {gradient: {}}}",
    )
    work = of(plan(text))
    assert [use.name for use in work.penalties] == ["bss", "l2"]
    assert work.penalties[1].settings == {"weight": 1e-3, "scope": "all"}
    assert work.penalties[1].given == {"weight": 1e-3}
    assert set(work.parts) == {
        ("objective", "classification"), ("head", "normal"), ("trainable", "head"),
        ("update", "gradient"), ("penalty", "bss"), ("penalty", "l2"),
        ("patch", "private-normalisation"),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("says", "message"),
    [
        ("trainable: heads", r"trainable: is not a known trainable\n.*'head'"),
        ("trainable: {all: {}, head: {}}", "trainable: must name exactly one trainable"),
        ("trainable: {head: {depth: 1}}", r"trainable.head.depth: unknown key"),
        ("trainable: {head: 0}", r"trainable.head: must be a mapping"),
        ("update: gradients", r"update: is not a known update\n.*'gradient'"),
        ("patches: {private: {}}", r"patches.private: is not a known patch\n"),
        ("patches: [private-normalisation]", r"patches: must be a mapping"),
        ("recipe: {stepz: 1}", r"recipe.stepz: unknown key\n.*'steps'"),
        ("recipe: {head_init: {}}", r"head_init: must name exactly one head"),
        ("recipe: {head_init: 3}", r"head_init: must name exactly one head"),
    ],
)
def test_a_wrong_part_of_a_method_is_named(plan, says, message):
    text = LIGHT.replace("l2: {penalties: {l2: {weight: 1e-3}}}", f"l2: {{{says}}}")
    with pytest.raises(SpecError, match=r"table.yaml:14: methods.l2.*" + message) as caught:
        plan(text)
    assert caught.value.field


def test_scaled_gradients_and_another_update_exclude_each_other(suite, plan):
    file = suite().parent / "mine.py"
    file.write_text('@update("mine")\nclass Mine(Update):\n    """Mine."""\n')
    text = LIGHT.replace("steps: 10", "steps: 10\n  precision: float16").replace(
        "profiles:", "plugins: [mine.py]\nprofiles:"
    )
    assert plan(text)
    with pytest.raises(SpecError, match=r"recipe.precision: float16 scales .* update mine"):
        plan(text.replace("plain: {}", "plain: {update: mine}"))
