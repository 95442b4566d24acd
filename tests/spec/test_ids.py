"""What an id knows, and what a record keeps: what is given, and every value."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import create_model

from bench.spec import parts
from bench.spec.cell import Cell
from bench.spec.loader import parse_yaml
from bench.spec.recipe import Adam, Image, Recipe, Use, Warmup
from bench.spec.work import LongTail, Measure, Start, Task, Train, canonical_json, plain

from .conftest import SUITE

PER_TEST = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
# Each value a default, written as a suite may write it.
DEFAULTS: dict[str, Any] = {
    "batch_size": 48,
    "batches": "shuffled",
    "image": {"resize": Image().resize, "fit": Image().fit, "size": Image().size},
    "schedule": {"constant": {}},
    "head": "new",
    "head_init": {"normal": {"std": 0.01}},
    "head_bias": True,
    "evaluation": {"test": True, "crops": 1},
    "selection": "last",
    "validation": 0,
    "forgetting": False,
    "forgetting_statistics": "kept",
    "forgetting_curves": False,
    "precision": "float32",
    "channels_last": True,
    "measurements": {},
    "penalty_gradients": False,
    "frozen_features": "every-step",
    "scalar_rate": 1.0,
}
OTHERS: dict[str, Any] = {
    "steps": 11,
    "batch_size": 49,
    "batches": "balanced",
    "image": {"size": 32},
    "augmentation": {"flip": False},
    "optimizer": {"sgd": {"lr": 0.1, "momentum": 0.5}},
    "schedule": {"cosine": {}},
    "head_init": {"zeros": {}},
    "head_bias": False,
    "evaluation": {"crops": 10},
    "validation": 0.1,
    "validation_seed": 3,
    "precision": "bfloat16",
    "channels_last": False,
    "penalty_gradients": True,
    "statistics": "averaged-anew",
    "scalar_rate": 0.1,
}
TASKS: dict[str, Any] = {
    "sampling_rate": 0.5,
    "long_tail": {"imbalance": 10},
    "train_classes": (0, 3),
    "objective": "regression",
    "transforms": {"block-shuffle": {}},
    "image": {"size": 32},
    "augmentation": {"flip": False},
    "weight": 2.0,
}
LIGHT = SUITE.replace("[glyphs, digits]", "digits").replace("seed: 2", "seed: 1")


def said(**more: Any) -> str:
    """The light suite with more said in its recipe; JSON is YAML."""
    data = parse_yaml(LIGHT, Path("table.yaml")).data
    return json.dumps({**data, "recipe": {**data["recipe"], **more}})


def ids(found: Any) -> list[str]:
    return [planned.cell.id for planned in found.cells]


def train(**given: Any) -> Train:
    whole = {
        "network": "test_resnet",
        "weights": "random",
        "tasks": {"": Task(dataset="digits", objective=Use(name="classification"))},
        "recipe": Recipe(),
        "trainable": Use(name="all"),
        "update": Use(name="gradient"),
        **given,
    }
    return Train(**whole)


# -- defaults ------------------------------------------------------------------------------------


@PER_TEST
@given(st.sets(st.sampled_from(sorted(DEFAULTS))))
def test_a_default_that_is_written_changes_no_id(plan, names):
    written = said(**{name: DEFAULTS[name] for name in sorted(names)})
    assert ids(plan(written)) == ids(plan(LIGHT))
    assert [p.cell.settings for p in plan(written).cells] == [
        p.cell.settings for p in plan(LIGHT).cells
    ]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("  plain: {}", "  plain: {trainable: all, update: gradient, patches: {}, penalties: {}}"),
        ("  plain: {}", "  plain: {trainable: {all: {}}, update: {gradient: {}}}"),
        ("{l2: {weight: 1e-3}}", "{l2: {weight: 1e-3, scope: all}}"),
        ("profiles:", "task: {objective: classification, transforms: {}, weight: 1}\nprofiles:"),
        ("profiles:", "task: {objective: {classification: {}}}\nprofiles:"),
        ("sgd: {lr: 0.1}", "sgd: {lr: 0.1, backbone_lr: null, momentum: 0, nesterov: false}"),
    ],
)
def test_a_default_that_is_written_elsewhere_changes_no_id(plan, old, new):
    assert old in SUITE
    assert ids(plan(SUITE.replace(old, new))) == ids(plan(SUITE))


@pytest.mark.parametrize("name", OTHERS)
def test_any_other_value_of_the_recipe_changes_every_id(plan, name):
    whole = {"batch_size": 50} if name == "batches" else {}
    one, other = plan(said(**whole)), plan(said(**whole, **{name: OTHERS[name]}))
    assert not set(ids(one)) & set(ids(other))


@pytest.mark.parametrize("name", TASKS)
def test_any_other_value_of_the_task_changes_every_id(plan, name):
    table = "" if name != "objective" else "table: {metric: test/mse}\n"
    # An axis of several rates would have nothing left to say beside the task's own.
    light = LIGHT.replace("[0.15, 0.3]", "0.3")
    other = light + f"task: {json.dumps({name: TASKS[name]})}\n" + table
    assert not set(ids(plan(other))) & set(ids(plan(light)))


def test_every_setting_of_a_recipe_is_tried():
    untried = {
        "head", "selection", "validate_every", "anytime", "forgetting", "forgetting_statistics",
        "forgetting_curves", "test_curves", "measurements", "frozen_features",
    }  # fmt: skip
    assert set(Recipe.model_fields) == {*OTHERS, *untried}
    # A task's head is another task's: see test_tasks.
    assert set(Task.model_fields) == {*TASKS, "dataset", "head"}


def test_what_other_settings_need_changes_the_id_too():
    held_out = {"validation": 0.1}
    recipes = [
        held_out,
        {**held_out, "validate_every": 5},
        {**held_out, "validate_every": 5, "selection": "best-on-validation"},
        {**held_out, "anytime": {}},
        {**held_out, "anytime": {"gap": 3}},
        {"forgetting": True},
        {"forgetting": True, "forgetting_statistics": "retaken-too"},
        {"forgetting": True, "validate_every": 5},
        {"forgetting": True, "validate_every": 5, "forgetting_curves": True},
        {"head": "kept"},
        {},
    ]
    found = {Cell(train(recipe=Recipe.model_validate(raw)), 0).id for raw in recipes}
    assert len(found) == len(recipes)


# -- what is new ---------------------------------------------------------------------------------

# Field to its type and default, in kinds that settings may have.
NEW = st.sampled_from(
    [(int, 3), (float, 0.5), (bool, False), (str, "a"), (Image, Image()), (Use, Use(name="x"))]
) | st.just((Any, None))


def newer(model: type, field: tuple[Any, Any]) -> type:
    return create_model(f"Newer{model.__name__}", __base__=model, brand_new=field)


@given(
    NEW, st.sampled_from([{}, *({name: OTHERS[name]} for name in OTHERS if name != "head_init")])
)
def test_a_new_setting_of_the_recipe_changes_no_id(field, raw):
    old = Recipe.model_validate(raw)
    new = newer(Recipe, field).model_validate(raw)
    assert Cell(train(recipe=new), 0).id == Cell(train(recipe=old), 0).id
    # And a record made now says what it was.
    assert Cell(train(recipe=new), 0).settings["recipe"]["brand_new"] == plain(field[1], whole=True)


@given(NEW)
def test_a_new_setting_of_a_task_changes_no_id(field):
    raw = {"dataset": "digits", "objective": Use(name="classification"), "weight": 2.0}
    ours = {"": Task.model_validate(raw)}
    theirs = {"": newer(Task, field).model_validate(raw)}
    assert Cell(train(tasks=ours), 1).id == Cell(train(tasks=theirs), 1).id


@pytest.mark.parametrize("default", [None, (), {}])
@pytest.mark.parametrize("kind", [Train, Measure])
def test_a_new_member_of_the_work_changes_no_id(kind, default):
    @dataclass(frozen=True, eq=False)
    class Newer(kind):  # type: ignore[misc, valid-type]
        brand_new: Any = None

    old = train() if kind is Train else Measure(Use(name="distance"), {"first": Start("a", "b")})
    new = Newer(**{f.name: getattr(old, f.name) for f in fields(old)}, brand_new=default)
    assert Cell(new, 0).id == Cell(old, 0).id


def test_a_new_setting_within_a_setting_changes_no_id():
    for raw, name, model in (
        ({"image": {"size": 32}}, "image", Image),
        ({"anytime": {"gap": 3}, "validation": 0.1}, "anytime", None),
    ):
        recipe = Recipe.model_validate(raw)
        kind = model or type(getattr(recipe, name))
        inner = newer(kind, (int, 3)).model_validate(raw[name])
        new = recipe.model_copy(update={name: inner})
        assert plain(new) == plain(recipe)
    assert plain(newer(Adam, (int, 3))(lr=0.5)) == {"lr": 0.5}
    assert plain(newer(Warmup, (str, "x"))(patience=3)) == {"patience": 3}
    assert plain(newer(LongTail, (int, 3))(imbalance=3)) == {"imbalance": 3}


PARTS = [
    ("penalty", "l2", "l2: {penalties: {l2: {weight: 1e-3}}}"),
    ("trainable", "head", "l2: {trainable: head}"),
    ("update", "gradient", "l2: {}"),
    ("patch", "private-normalisation", "l2: {patches: {private-normalisation: {}}}"),
    ("head", "normal", "l2: {}"),
    ("head", "normal", "l2: {recipe: {head_init: normal}}"),
    ("head", "normal", "l2: {recipe: {head_init: {normal: {std: 0.5}}}}"),
    ("head", "zeros", "l2: {recipe: {head_init: zeros}}"),
    ("objective", "classification", "l2: {}"),
    ("measurement", "channel-attention", "l2: {penalties: {delta: {}}}"),
]


@pytest.mark.parametrize(("kind", "name", "method"), PARTS)
def test_a_new_parameter_of_a_part_changes_no_id(plan, monkeypatch, kind, name, method):
    text = LIGHT.replace("  l2: {penalties: {l2: {weight: 1e-3}}}", f"  {method}")
    text = text.replace("[plain, l2]", "l2").replace("0.15, 0.3", "0.3")
    before = plan(text)
    known = dict(parts.built_in_parts())
    old = known[kind, name]
    parameters = newer(old.parameters, (float, 0.25))
    known[kind, name] = parts.Part(kind, name, old.file, parameters, old.declared)
    with monkeypatch.context() as patched:
        patched.setattr(parts, "built_in_parts", lambda: known)
        parts.known_parts.cache_clear()
        after = plan(text)
    parts.known_parts.cache_clear()
    assert ids(after) == ids(before)
    # Every record made now says so, also where the suite does not name the part.
    users = [p.cell for p in after.cells if (kind, name) in p.cell.parts]
    assert users
    for cell in users:
        assert '"brand_new":0.25' in canonical_json(cell.settings)
        assert "brand_new" not in cell.canonical()


# -- every value ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [n for n in OTHERS if n not in ("head_init", "optimizer")])
def test_settings_hold_every_value(name):
    recipe = Recipe.model_validate({name: OTHERS[name]})
    whole = Cell(train(recipe=recipe), 0).settings["recipe"]
    assert set(whole) == set(Recipe.model_fields) - Recipe.ACTS_BY_PARENTS
    shown = recipe.model_dump(mode="json")
    for key, value in whole.items():
        if key not in ("optimizer", "schedule", "head_init"):
            assert value == shown[key], key
    assert whole["optimizer"]["sgd"]["nesterov"] is False


def test_settings_and_work_are_json_and_come_back(plan):
    for planned in plan(SUITE.replace("weights: random", "weights: 'stage:source'") + STAGE).cells:
        data = planned.cell.to_json()
        assert json.loads(json.dumps(data)) == data
        assert set(data) == {"id", "kind", "seed", "parents", "work", "settings"}
        assert list(data["work"]) == ["train"]
        assert set(data["settings"]) == {f.name for f in fields(Train)}
        for parent in data["parents"].values():
            assert set(parent) == {"id", "artifact"}


# -- who says it ---------------------------------------------------------------------------------

STAGE = "stages:\n  source: {dataset: glyphs, sampling_rate: 1.0, method: plain, seed: 0}\n"
SAID = "{optimizer: {sgd: {lr: 0.7}}}"
WAYS = {
    "recipe": ("{lr: 0.1}", "{lr: 0.7}"),
    "when": ("profiles:", f"when: [{{dataset: digits, recipe: {SAID}}}]\nprofiles:"),
    "method": ("l2: {pen", f"l2: {{recipe: {SAID}, pen"),
    "method in when": (
        "profiles:", f"when: [{{dataset: digits, methods: {{l2: {{recipe: {SAID}}}}}}}]\nprofiles:",
    ),
    "dotted axis": ("seed: 1", "seed: 1\n  recipe.optimizer.sgd.lr: [0.7]"),
    "profile": ("offline: {}", f"offline: {{recipe: {SAID}}}"),
}  # fmt: skip


def test_an_id_does_not_know_who_said_a_setting(plan):
    found = {
        way: {p.cell.id for p in plan(LIGHT.replace(*pair)).cells if p.place["method"] == "l2"}
        for way, pair in WAYS.items()
    }
    assert len(set(map(frozenset, found.values()))) == 1, found
    assert not found["recipe"] & set(ids(plan(LIGHT)))


def shuffled(data: Any, draw: Any) -> Any:
    if isinstance(data, dict):
        return {key: shuffled(data[key], draw) for key in draw(st.permutations(sorted(data)))}
    return [shuffled(item, draw) for item in data] if isinstance(data, list) else data


RICH = {
    "title": "T",
    "axes": {
        "backbone": "test_resnet", "weights": "stage:source", "dataset": ["digits"],
        "sampling_rate": 0.3, "method": ["plain", "both"], "seed": 2,
    },
    "recipe": {"steps": 10, "image": {"size": 32, "resize": 36}, "optimizer": {"sgd": {"lr": 1}}},
    "task": {"long_tail": {"imbalance": 3}, "transforms": {"block-shuffle": {"block": 4}}},
    "stages": {"source": {"dataset": "glyphs", "sampling_rate": 1.0, "method": "plain", "seed": 3}},
    "methods": {
        "plain": {},
        "both": {"penalties": {"l2": {"weight": 1, "scope": "all"}, "bss": {"k": 2, "eta": 1}}},
    },
    "profiles": {"offline": {}},
}  # fmt: skip


@PER_TEST
@given(st.data())
def test_an_id_does_not_depend_on_the_order_of_keys(plan, data):
    # JSON is YAML.
    assert {*ids(plan(json.dumps(shuffled(RICH, data.draw))))} == {*ids(plan(json.dumps(RICH)))}


def test_suites_that_say_the_same_share_their_stages(suite, plan):
    one = SUITE.replace("weights: random", "weights: 'stage:source'") + STAGE
    # The stage is called otherwise, its children differ, and what is measured of them too.
    other = (
        one.replace("source", "origin")
        .replace("[0.15, 0.3]", "[0.5]")
        .replace("steps: 10\n", "steps: 10\n  forgetting: true\n  head_init: zeros\n")
        .replace("{dataset: glyphs, ", "{dataset: glyphs, recipe: {head_init: normal}, ")
    )
    stages = [{p.cell.id for p in plan(text).behind} for text in (one, other)]
    assert stages[0] == stages[1]
    assert len(stages[0]) == 1
    assert not {p.cell.id for p in plan(one).shown} & {p.cell.id for p in plan(other).shown}


def test_the_texts_that_are_shared_are_those_that_are_made_one_by_one(plan):
    for planned in plan(LIGHT).cells:
        key = planned.cell.work.key
        assert planned.cell.work.canonical == canonical_json({key: plain(planned.cell.work)})
