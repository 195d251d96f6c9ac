"""The JSON Schema of the language, with which editors complete, explain and check keys.

It is built from the same types (`value_types.list_keys`) as the validator uses, so the two agree on keys and kinds.
pydantic's own schema was refused: it knows neither `${…}` nor that `kind` may be left out. What a schema cannot express
(names of other resources, metrics, conditions, SQL) is left to `engine validate`; the schema accepts every valid spec.
"""

import json
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from annotated_types import Ge, Gt, Le, Lt, MinLen
from pydantic import BaseModel

from engine.spec import reference
from engine.spec.metrics import METRICS
from engine.spec.resources.project import ProjectSpec
from engine.spec.resources.resource import Resource
from engine.spec.types import Type, fields

SCHEMA, REFERENCE = "project.v1.json", "reference.md"

_REFERENCE = {"type": "string", "pattern": r"^\$\{[^}]*\}$"}
_LOWER = "exclusiveMinimum"
_SCALARS: dict[type, dict[str, Any]] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    date: {"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}$"},
    datetime: {"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}[T ]"},
    timedelta: {
        "anyOf": [
            {"type": "number", _LOWER: 0},
            {"type": "string", "pattern": r"^\d+(\.\d+)? ?(ms|s|m|h|d)$"},
        ]
    },
}
_BOUNDS = {
    Ge: ("minimum", "ge"),
    Gt: (_LOWER, "gt"),
    Le: ("maximum", "le"),
    Lt: ("exclusiveMaximum", "lt"),
}


def schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a project."""
    definitions: dict[str, Any] = {}
    root = _resource(ProjectSpec, definitions)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "engine project, version 1",
        "type": "object",
        **root,
        "$defs": dict(sorted(definitions.items())),
    }


def write(folder: Path) -> list[Path]:
    """Write the schema and the reference page into a folder, which is created if missing. Return the written paths."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = {SCHEMA: json.dumps(schema(), ensure_ascii=False, indent=1) + "\n", REFERENCE: reference.page()}
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8", newline="\n")
    return [folder / name for name in texts]


def _resource(resource: type[Resource], definitions: dict[str, Any]) -> dict[str, Any]:
    keys = fields(resource)
    properties: dict[str, Any] = {}
    for key, field in keys.items():
        info = next(i for name, i in resource.model_fields.items() if key in (i.alias, name))
        made = _type(field.type, definitions, required=field.required)
        default = None if field.required or isinstance(info.default, BaseModel) else info.default
        if key != "kind" and default not in (None, [], {}):
            made["default"] = default
        properties[key] = {"description": field.description or resource.__doc__, **made}
    if "kind" in keys:
        properties["kind"] = {
            "description": reference.first_line(resource),
            "const": resource.model_fields["kind"].default,
        }
    if "version" in keys:
        properties["version"] = {"description": keys["version"].description, "const": 1}
    return {
        "description": reference.first_line(resource),
        "properties": properties,
        "required": [key for key, field in keys.items() if field.required],
        "additionalProperties": False,
    }


def _type(type_: Type, definitions: dict[str, Any], *, required: bool = True) -> dict[str, Any]:
    options = [*_options(type_, definitions)]
    container = type_.items or type_.values or type_.resources
    if type_.nullable or (container and not required and not type_.scalars):
        if len(options) == 1 and isinstance(options[0].get("type"), str):
            return {**options[0], "type": [options[0]["type"], "null"]}
        options.append({"type": "null"})
    return options[0] if len(options) == 1 else {"anyOf": options}


def _options(type_: Type, definitions: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if type_.literals:
        yield {"enum": list(type_.literals)}
    if type_.reading == "metric":
        yield {"enum": list(dict.fromkeys(metric.name for metric in METRICS if metric.member is None))}
    bounds = _bounds(type_)
    for scalar, made in _SCALARS.items():
        if scalar in type_.scalars and not (scalar is int and float in type_.scalars):
            yield {**made, **(bounds if scalar in (int, float) else {})}
    if type_.text_alone:
        yield {"type": "number"}
    if str not in type_.scalars and (type_.scalars or type_.literals):
        yield _REFERENCE
    fewest = next((c.min_length for c in type_.constraints if isinstance(c, MinLen)), 0)
    if type_.items:
        yield {"type": "array", "items": _type(type_.items, definitions), **({"minItems": fewest} if fewest else {})}
    if type_.values:
        least = {"minProperties": fewest} if fewest else {}
        yield {"type": "object", "additionalProperties": _type(type_.values, definitions), **least}
    if type_.resources:
        yield _resources(type_.resources, definitions)


def _bounds(type_: Type) -> dict[str, Any]:
    found = {}
    for constraint in type_.constraints:
        if type(constraint) in _BOUNDS and timedelta not in type_.scalars:
            keyword, attribute = _BOUNDS[type(constraint)]
            found[keyword] = getattr(constraint, attribute)
    return found


def _resources(resources: tuple[type[Resource], ...], definitions: dict[str, Any]) -> dict[str, Any]:
    """Return a reference to a resource. If there are several kinds, `kind` selects one, by default the first."""
    for resource in resources:
        if resource.__name__ not in definitions:
            definitions[resource.__name__] = {}
            definitions[resource.__name__] = _resource(resource, definitions)
    references = [{"$ref": f"#/$defs/{resource.__name__}"} for resource in resources]
    if len(resources) == 1:
        return {"type": "object", **references[0]}
    kinds = [resource.model_fields["kind"].default for resource in resources]
    chosen: list[dict[str, Any]] = []
    for kind, then in zip(kinds, references, strict=True):
        explicit = {"required": ["kind"]} if chosen else {}
        chosen.append({"if": {"properties": {"kind": {"const": kind}}, **explicit}, "then": then})
    about = f"Kind of this resource; {kinds[0]} if left out."
    return {
        "type": "object",
        "properties": {"kind": {"enum": kinds, "default": kinds[0], "description": about}},
        "allOf": chosen,
    }
