"""The JSON Schema of suite files, for editors."""

from __future__ import annotations

from typing import Any

from bench.spec.drawing import SearchSpec
from bench.spec.parts import Kind, built_in_parts
from bench.spec.recipe import Recipe
from bench.spec.suite import MeasureSpec, MethodSpec, Stage, SuiteFile, Table, TaskSpec


def suite_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a suite file.

    Where a suite is an overlay, everything inside it is optional; that the whole is complete is
    checked by ``bench validate``.
    """
    schema = SuiteFile.model_json_schema()
    definitions = schema.setdefault("$defs", {})
    for model in (Recipe, MethodSpec, Stage, Table, TaskSpec, MeasureSpec, SearchSpec):
        inner = model.model_json_schema()
        definitions.update(inner.pop("$defs", {}))
        definitions[model.__name__] = inner
    _place_parts(definitions)
    for overlay in (schema, definitions["Profile"]):
        properties = overlay["properties"]
        properties["recipe"] = {"$ref": "#/$defs/Recipe"}
        properties["table"] = {"$ref": "#/$defs/Table"}
        properties["task"] = {"$ref": "#/$defs/TaskSpec"}
        properties["measure"] = {"$ref": "#/$defs/MeasureSpec"}
        properties["search"] = {"$ref": "#/$defs/SearchSpec"}
        network = {"anyOf": [_one("network"), {"type": "null"}]}
        properties["networks"] = {"type": "object", "additionalProperties": network}
        for name, model_name in (
            ("methods", "MethodSpec"), ("stages", "Stage"), ("tasks", "TaskSpec"),
        ):  # fmt: skip
            value = {"anyOf": [{"$ref": f"#/$defs/{model_name}"}, {"type": "null"}]}
            properties[name] = {"type": "object", "additionalProperties": value}
        properties["when"] = {"type": "array", "items": _when()}
    definitions["Note"] = {"anyOf": [definitions["Note"], {"type": "string"}]}
    _make_optional(schema)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "Retable suite"
    return schema


def _place_parts(definitions: dict[str, Any]) -> None:
    """Put the parts' own signatures where a suite names parts."""
    recipe = {"$ref": "#/$defs/Recipe"}
    definitions["Recipe"]["properties"] |= {
        "head_init": _one("head"), "measurements": _several("measurement"),
    }  # fmt: skip
    definitions["MethodSpec"]["properties"] |= {
        "penalties": _several("penalty"), "patches": _several("patch"),
        "trainable": _one("trainable"), "update": _one("update"), "recipe": recipe,
    }  # fmt: skip
    definitions["TaskSpec"]["properties"] |= {
        "objective": _one("objective"), "transforms": _several("transform"),
    }  # fmt: skip
    definitions["MeasureSpec"]["properties"]["part"] = _one("measurement")
    definitions["SearchSpec"]["properties"]["recipe"] = recipe
    task = {"$ref": "#/$defs/TaskSpec"}
    # A profile takes a task off a stage by null, as it does everywhere.
    tasks = {"type": "object", "additionalProperties": {"anyOf": [task, {"type": "null"}]}}
    definitions["Stage"]["properties"] |= {"recipe": recipe, "task": task, "tasks": tasks}


def _several(kind: Kind) -> dict[str, Any]:
    parts = {name: part for (of, name), part in built_in_parts().items() if of == kind}
    return {
        "type": "object",
        "properties": {name: parts[name].parameters.model_json_schema() for name in sorted(parts)},
        # Plug-ins and installed packages add others.
        "additionalProperties": {"type": "object"},
    }


def _one(kind: Kind) -> dict[str, Any]:
    return {"anyOf": [{"type": "string"}, {**_several(kind), "maxProperties": 1}]}


def _when() -> dict[str, Any]:
    value = {"type": ["string", "number", "boolean"]}
    methods = {"anyOf": [{"$ref": "#/$defs/MethodSpec"}, {"type": "null"}]}
    return {
        "type": "object",
        "properties": {
            "recipe": {"$ref": "#/$defs/Recipe"},
            "task": {"$ref": "#/$defs/TaskSpec"},
            "tasks": {"type": "object", "additionalProperties": {"$ref": "#/$defs/TaskSpec"}},
            "measure": {"$ref": "#/$defs/MeasureSpec"},
            "methods": {"type": "object", "additionalProperties": methods},
            "axes": {"type": "object"},
            "exclude": {"type": "boolean"},
        },
        "additionalProperties": {"anyOf": [value, {"type": "array", "items": value}]},
    }


def _make_optional(schema: Any) -> None:
    if isinstance(schema, dict):
        if isinstance(schema.get("required"), list):
            del schema["required"]
        for value in schema.values():
            _make_optional(value)
    elif isinstance(schema, list):
        for value in schema:
            _make_optional(value)
