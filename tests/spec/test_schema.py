"""The JSON Schema takes every shipped suite and the new keys, and refuses what validation does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest

from bench.spec.find import list_suites
from bench.spec.loader import load_yaml, parse_yaml
from bench.spec.parts import built_in_parts
from bench.spec.schema import suite_schema
from bench.spec.suite import Overlay, SuiteFile

from . import test_measure, test_needs, test_search, test_tasks

SCHEMA = suite_schema()
CHECK = jsonschema.Draft202012Validator(SCHEMA)
SUITES = list_suites(Path(__file__).parents[2] / "suites")


def data_of(text: str) -> Any:
    return parse_yaml(text, Path("table.yaml")).data


def test_the_schema_is_one():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("file", SUITES, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_every_shipped_suite_is_valid(file):
    CHECK.validate(load_yaml(file).data)


@pytest.mark.parametrize(
    "text",
    [
        test_measure.BASE,
        test_measure.ATTENTION,
        test_needs.BASE,
        test_tasks.SEVERAL + test_tasks.TASKS,
        test_tasks.VECTORS + test_tasks.NETWORKS,
        "when: [{dataset: [a, b], measure: {roles: {first: {checkpoint: 3}}}, tasks: {a: {}}}]",
        "task: {objective: {mine: {k: 1}}, transforms: {own: {}}}",
        "methods: {a: {update: mine, trainable: {own: {depth: 1}}, recipe: {head_init: own}}}",
        test_search.SEARCH,
        "search: {draw: {random: {trials: 3}}, space: {recipe.steps: {uniform: [1, 2]}}}",
        "stages: {a: null}\nmethods: {a: null}\ntasks: {a: null}\nnetworks: {a: null}",
    ],
)
def test_the_new_keys_are_valid(text):
    CHECK.validate(data_of(text))


def test_every_key_of_a_suite_and_of_a_profile_is_there():
    assert set(SCHEMA["properties"]) == set(SuiteFile.model_fields)
    profile = SCHEMA["$defs"]["Profile"]["properties"]
    assert set(profile) == {*Overlay.model_fields, "extends"}


PLACES = {
    "penalty": ("MethodSpec", "penalties"), "patch": ("MethodSpec", "patches"),
    "trainable": ("MethodSpec", "trainable"), "update": ("MethodSpec", "update"),
    "objective": ("TaskSpec", "objective"), "transform": ("TaskSpec", "transforms"),
    "head": ("Recipe", "head_init"), "measurement": ("MeasureSpec", "part"),
}  # fmt: skip


@pytest.mark.parametrize("key", sorted(built_in_parts()), ids=":".join)
def test_every_part_is_where_it_is_named(key):
    kind, name = key
    if kind == "network":
        place = SCHEMA["properties"]["networks"]["additionalProperties"]["anyOf"][0]
    else:
        model, field = PLACES[kind]
        place = SCHEMA["$defs"][model]["properties"][field]
    several = [place, *place.get("anyOf", [])]
    (found,) = (p["properties"][name] for p in several if name in p.get("properties", {}))
    assert set(found["properties"]) == set(built_in_parts()[key].parameters.model_fields)


def test_several_parts_are_no_choice_of_one():
    for text in ("measure: {part: {distance: {}, channel-attention: {}}}",
                 "recipe: {head_init: {zeros: {}, normal: {}}}",
                 "networks: {a: {mlp: {}, other: {}}}"):  # fmt: skip
        with pytest.raises(jsonschema.ValidationError):
            CHECK.validate(data_of(text))
