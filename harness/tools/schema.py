"""The JSON schema of a tool's arguments as endpoints take it: nested models inlined, descriptions, defaults, limits."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

_KEPT = (
    *("type", "enum", "description", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
    *("minLength", "maxLength", "minItems", "maxItems"),
)


def schema_of(arguments: type[BaseModel]) -> dict[str, Any]:
    """The schema of an object with these arguments. Nothing in it refers to another place."""
    schema = arguments.model_json_schema()
    return _object(schema, schema.get("$defs", {}))


def _object(schema: dict[str, Any], models: dict[str, Any]) -> dict[str, Any]:
    properties = {name: _parameter(parts, models) for name, parts in schema["properties"].items()}
    return {"type": "object", "properties": properties, "required": schema.get("required", [])}


def _parameter(parts: dict[str, Any], models: dict[str, Any]) -> dict[str, Any]:
    """The schema of one parameter, with its default where that tells the model something."""
    if "anyOf" in parts:  # a value that may be left out: `null` is how Python says so
        (branch,) = (one for one in parts["anyOf"] if one.get("type") != "null")
        parts = {**branch, **{key: value for key, value in parts.items() if key != "anyOf"}}
    if "$ref" in parts:
        described = {"description": parts["description"]} if "description" in parts else {}
        return _object(models[parts["$ref"].rpartition("/")[2]], models) | described
    schema = {key: parts[key] for key in _KEPT if key in parts}
    if "items" in parts:
        schema["items"] = _parameter(parts["items"], models)
    default = parts.get("default")
    return schema | ({"default": default} if isinstance(default, (int, float)) and default >= 0 else {})
