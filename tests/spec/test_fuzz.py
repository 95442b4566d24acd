"""Whatever stands under a suite's keys, it is a suite or one message: never a traceback."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.errors import SpecError

WORDS = [
    "digits", "glyphs", "mine", "test_resnet", "mlp", "random", "timm", "stage:source", "source",
    "stage:source@3", "start", "plain", "l2", "distance", "channel-attention", "classification",
    "regression", "block-shuffle", "zeros", "normal", "all", "head", "a", "",
]  # fmt: skip
KEYS = [
    "dataset", "sampling_rate", "long_tail", "imbalance", "objective", "transforms", "image",
    "augmentation", "weight", "size", "resize", "block", "part", "roles", "first", "second",
    "stage", "checkpoint", "weights", "backbone", "seed", "seed_plus", "method", "mlp", "widths",
    "distance",
    "channel-attention", "batches", "classification", "zeros", "normal", "std", "file", "folder",
    "modality", "a", "b", "all", "recipe", "task", "tasks", "measure", "axes", "exclude",
    "penalties",
    "l2", "optimizer", "sgd", "lr", "steps", "head_init", "measurements", "trainable", "update",
    "patches", "warmup", "block-shuffle",
]  # fmt: skip
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 20),
    st.floats(-2, 2, allow_nan=False),
    st.sampled_from(WORDS),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(KEYS), inner, max_size=3)
        | st.dictionaries(st.sampled_from(KEYS), inner, min_size=1, max_size=1)
    ),
    max_leaves=8,
)

TRAINING: dict[str, Any] = {
    "axes": {
        "backbone": "test_resnet", "weights": "stage:source", "dataset": "digits",
        "sampling_rate": 0.3, "method": ["plain", "l2"], "seed": 1,
    },
    "recipe": {"steps": 10, "optimizer": {"sgd": {"lr": 0.1}}},
    "stages": {"source": {"dataset": "glyphs", "sampling_rate": 1.0, "method": "plain"}},
    "methods": {"plain": {}, "l2": {"penalties": {"delta": {}}}},
    "profiles": {"offline": {}},
}  # fmt: skip
MEASURING: dict[str, Any] = {
    **TRAINING,
    "measure": {"part": "distance", "roles": {"first": {"stage": "source"},
                                              "second": {"stage": "source", "seed_plus": 1}}},
    "table": {"rows": ["dataset"], "columns": "method", "metric": "distance"},
}  # fmt: skip
# Where something is put; () is the key itself.
PLACES = [
    ("task",), ("tasks",), ("tasks", "a"), ("networks",), ("networks", "test_resnet"), ("measure",),
    ("measure", "part"), ("measure", "roles"), ("measure", "roles", "first"),
    ("measure", "part", "channel-attention"), ("datasets",), ("datasets", "mine"),
    ("when",), ("when", 0), ("when", 0, "task"), ("when", 0, "tasks"), ("when", 0, "measure"),
    ("when", 0, "measure", "roles"), ("when", 0, "methods"), ("when", 0, "methods", "l2"),
    ("when", 0, "recipe"), ("recipe", "measurements"),
    ("recipe", "measurements", "channel-attention"),
    ("recipe", "head_init"), ("recipe", "head"), ("stages", "source"), ("stages", "source", "task"),
    ("stages", "source", "recipe"), ("stages", "source", "weights"),
    ("methods",), ("methods", "l2"),
    ("methods", "l2", "recipe"), ("methods", "l2", "trainable"), ("methods", "l2", "update"),
    ("methods", "l2", "patches"), ("methods", "l2", "warmup"), ("axes", "measure.k"),
    ("axes", "measure.batches"), ("axes", "task.long_tail.imbalance"), ("axes", "task.weight"),
    ("axes", "task.dataset"), ("axes", "task.objective"), ("axes", "recipe.head_init"),
    ("axes", "recipe.measurements.channel-attention.batches"), ("axes", "recipe.optimizer"),
    ("axes", "penalties.delta"), ("axes", "penalties.delta.maps"), ("axes", "backbone"),
    ("axes", "weights"), ("axes", "task."), ("axes", "recipe."), ("axes", "penalties."),
    ("axes", "measure."), ("table", "metrics"), ("table", "metric"), ("figures",), ("figures", 0),
    ("labels",), ("plugins",), ("weights",), ("weights", "mine"),
]  # fmt: skip


def put(data: Any, place: tuple[Any, ...], value: Any) -> Any:
    """A copy with a value at a place, which is made where it is not there."""
    if not place:
        return value
    key, rest = place[0], place[1:]
    if key == 0:
        return [put({"dataset": "digits"}, rest, value)]
    inside = data if isinstance(data, dict) else {}
    return {**inside, key: put(inside.get(key, {}), rest, value)}


def outcome(plan: Any, data: Any) -> Any:
    """The plan of a suite, or its one message; anything else is a traceback."""
    try:
        return plan(json.dumps(data, indent=1))
    except SpecError as error:
        return error


def is_clear(error: SpecError) -> bool:
    """Whether a message says where it is wrong, in the suite's own words."""
    # Names of a union's branches are pydantic's.
    foreign = (".str", "tuple[", "function-", ".dict[", ".constrained")
    field = error.field or ""
    if not str(error.file).endswith("table.yaml"):
        return bool(error.file and error.message)
    whole = field and error.line and error.message
    return bool(whole) and not any(word in field for word in foreign)


@pytest.mark.parametrize("base", [TRAINING, MEASURING], ids=["training", "measuring"])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(st.lists(st.tuples(st.sampled_from(PLACES), VALUES), min_size=1, max_size=2))
def test_anything_is_a_suite_or_one_message(plan, base, changes):
    data = base
    for place, value in changes:
        data = put(data, place, value)
    found = outcome(plan, data)
    if isinstance(found, SpecError):
        assert is_clear(found), str(found)
        return
    for planned in found.cells:
        assert json.loads(planned.cell.canonical())
        assert json.dumps(planned.cell.to_json(), allow_nan=False)


@pytest.mark.parametrize("place", PLACES, ids=lambda place: ".".join(map(str, place)))
def test_each_key_takes_what_it_is_for_and_refuses_the_rest(plan, place):
    for value in (None, 0, 1.5, True, "x", "", [], [1], [{}], {}, {"x": 1}, {"a": {}}):
        for base in (TRAINING, MEASURING):
            found = outcome(plan, put(base, place, value))
            assert not isinstance(found, SpecError) or is_clear(found), f"{value!r}: {found}"
