"""The JSON Schema of suite files, for editors."""

from __future__ import annotations

from typing import Any

from bench.spec.parts import built_in_parts
from bench.spec.recipe import HeadInit, Recipe
from bench.spec.suite import MethodSpec, Stage, SuiteFile, Table


def suite_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a suite file.

    Where a suite is an overlay, everything inside it is optional; that the whole is complete is
    checked by ``bench validate``.
    """
    schema = SuiteFile.model_json_schema()
    definitions = schema.setdefault("$defs", {})
    for model in (Recipe, MethodSpec, Stage, Table, HeadInit):
        inner = model.model_json_schema()
        definitions.update(inner.pop("$defs", {}))
        definitions[model.__name__] = inner
    definitions["MethodSpec"]["properties"]["penalties"] = _penalties()
    definitions["MethodSpec"]["properties"]["head_init"] = {"$ref": "#/$defs/HeadInit"}
    definitions["Stage"]["properties"]["recipe"] = {"$ref": "#/$defs/Recipe"}
    for overlay in (schema, definitions["Profile"]):
        properties = overlay["properties"]
        properties["recipe"] = {"$ref": "#/$defs/Recipe"}
        properties["table"] = {"$ref": "#/$defs/Table"}
        for name, model_name in (("methods", "MethodSpec"), ("stages", "Stage")):
            value = {"anyOf": [{"$ref": f"#/$defs/{model_name}"}, {"type": "null"}]}
            properties[name] = {"type": "object", "additionalProperties": value}
        properties["when"] = {"type": "array", "items": _when()}
    definitions["Note"] = {"anyOf": [definitions["Note"], {"type": "string"}]}
    _make_optional(schema)
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "Retable suite"
    return schema


def _penalties() -> dict[str, Any]:
    parts = built_in_parts()
    return {
        "type": "object",
        "properties": {name: parts[name].parameters.model_json_schema() for name in sorted(parts)},
        # Plug-ins and installed packages add others.
        "additionalProperties": {"type": "object"},
    }


def _when() -> dict[str, Any]:
    value = {"type": ["string", "number", "boolean"]}
    methods = {"anyOf": [{"$ref": "#/$defs/MethodSpec"}, {"type": "null"}]}
    return {
        "type": "object",
        "properties": {
            "recipe": {"$ref": "#/$defs/Recipe"},
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
