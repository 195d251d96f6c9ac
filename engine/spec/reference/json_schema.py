"""The JSON Schemas of specs and of files of nodes, with which editors complete, explain and check keys.

It is built from the same types (`value_types.list_keys`) as the validator uses, so the two agree on keys and kinds.
Pydantic's own schema is not used: it knows neither `${…}` nor that `kind` may be left out. What a schema cannot express
(names of other resources, metrics, conditions, SQL) is left to `engine validate`; the schema accepts every valid spec.
"""

import json
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from annotated_types import Ge, Gt, Le, Lt, MinLen
from pydantic import BaseModel

from engine.spec.metrics.catalogue import METRICS
from engine.spec.reference.page import describe_resource, plain_default, render_reference_page
from engine.spec.resources.node import NodeResource
from engine.spec.resources.project import ProjectResource
from engine.spec.resources.resource import Resource
from engine.spec.validation.value_types import ValueType, list_keys

SCHEMA_FILE, NODE_SCHEMA_FILE, REFERENCE_FILE = "project.v1.json", "node.v1.json", "reference.md"

_VARIABLE_REFERENCE_SCHEMA = {"type": "string", "pattern": r"^\$\{[^}]*\}$"}
_EXCLUSIVE_MINIMUM = "exclusiveMinimum"
_SCALAR_SCHEMAS: dict[type, dict[str, Any]] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    date: {"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}$"},
    datetime: {"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}[T ]"},
    timedelta: {
        "anyOf": [
            {"type": "number", _EXCLUSIVE_MINIMUM: 0},
            {"type": "string", "pattern": r"^\d+(\.\d+)? ?(ms|s|m|h|d)$"},
        ]
    },
}
_BOUND_KEYWORDS = {
    Ge: ("minimum", "ge"),
    Gt: (_EXCLUSIVE_MINIMUM, "gt"),
    Le: ("maximum", "le"),
    Lt: ("exclusiveMaximum", "lt"),
}


def build_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a project."""
    return _build_document_schema(ProjectResource, "engine project, version 1")


def build_node_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of the file of a node."""
    return _build_document_schema(NodeResource, "engine node, version 1")


def _build_document_schema(document: type[Resource], title: str) -> dict[str, Any]:
    definitions: dict[str, Any] = {}
    root = _build_resource_schema(document, definitions)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": title,
        "type": "object",
        **root,
        "$defs": dict(sorted(definitions.items())),
    }


def write_schema_files(folder: Path) -> list[Path]:
    """Write the schemas and the reference page into a folder, which is created if missing. Return the written paths."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = {
        SCHEMA_FILE: json.dumps(build_schema(), ensure_ascii=False, indent=1) + "\n",
        NODE_SCHEMA_FILE: json.dumps(build_node_schema(), ensure_ascii=False, indent=1) + "\n",
        REFERENCE_FILE: render_reference_page(),
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8", newline="\n")
    return [folder / name for name in texts]


def _build_resource_schema(resource: type[Resource], definitions: dict[str, Any]) -> dict[str, Any]:
    keys = list_keys(resource)
    properties: dict[str, Any] = {}
    for key, field in keys.items():
        info = next(i for name, i in resource.model_fields.items() if key in (i.alias, name))
        made = _build_type_schema(field.type, definitions, required=field.required)
        default = None if field.required or isinstance(info.default, BaseModel) else info.default
        if key != "kind" and default not in (None, [], {}):
            made["default"] = plain_default(default)
        properties[key] = {"description": field.description or resource.__doc__, **made}
    if "kind" in keys:
        properties["kind"] = {
            "description": describe_resource(resource),
            "const": resource.model_fields["kind"].default,
        }
    if "version" in keys:
        properties["version"] = {"description": keys["version"].description, "const": 1}
    return {
        "description": describe_resource(resource),
        "properties": properties,
        "required": [key for key, field in keys.items() if field.required],
        "additionalProperties": False,
    }


def _build_type_schema(type_: ValueType, definitions: dict[str, Any], *, required: bool = True) -> dict[str, Any]:
    options = [*_list_type_options(type_, definitions)]
    container = type_.items or type_.values or type_.resources
    if type_.nullable or (container and not required and not type_.scalars):
        if len(options) == 1 and isinstance(options[0].get("type"), str):
            return {**options[0], "type": [options[0]["type"], "null"]}
        options.append({"type": "null"})
    return options[0] if len(options) == 1 else {"anyOf": options}


def _list_type_options(type_: ValueType, definitions: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if type_.literals:
        yield {"enum": list(type_.literals)}
    if type_.reading == "metric":
        yield {"enum": list(dict.fromkeys(metric.name for metric in METRICS if metric.member is None))}
    bounds = _read_bounds(type_)
    for scalar, made in _SCALAR_SCHEMAS.items():
        if scalar in type_.scalars and not (scalar is int and float in type_.scalars):
            yield {**made, **(bounds if scalar in (int, float) else {})}
    if type_.takes_numbers_as_text:
        yield {"type": "number"}
    if str not in type_.scalars and (type_.scalars or type_.literals):
        yield _VARIABLE_REFERENCE_SCHEMA
    fewest = next((c.min_length for c in type_.constraints if isinstance(c, MinLen)), 0)
    if type_.items:
        yield {
            "type": "array",
            "items": _build_type_schema(type_.items, definitions),
            **({"minItems": fewest} if fewest else {}),
        }
    if type_.values:
        least = {"minProperties": fewest} if fewest else {}
        yield {"type": "object", "additionalProperties": _build_type_schema(type_.values, definitions), **least}
    if type_.resources:
        yield _build_ref_to_resources(type_.resources, definitions)


def _read_bounds(type_: ValueType) -> dict[str, Any]:
    found = {}
    for constraint in type_.constraints:
        if type(constraint) in _BOUND_KEYWORDS and timedelta not in type_.scalars:
            keyword, attribute = _BOUND_KEYWORDS[type(constraint)]
            found[keyword] = getattr(constraint, attribute)
    return found


def _build_ref_to_resources(resources: tuple[type[Resource], ...], definitions: dict[str, Any]) -> dict[str, Any]:
    """Return a `$ref` to a resource. If there are several kinds, `kind` selects one, by default the first."""
    for resource in resources:
        if resource.__name__ not in definitions:
            definitions[resource.__name__] = {}
            definitions[resource.__name__] = _build_resource_schema(resource, definitions)
    refs = [{"$ref": f"#/$defs/{resource.__name__}"} for resource in resources]
    if len(resources) == 1:
        return {"type": "object", **refs[0]}
    kinds = [resource.model_fields["kind"].default for resource in resources]
    chosen: list[dict[str, Any]] = []
    for kind, then in zip(kinds, refs, strict=True):
        explicit = {"required": ["kind"]} if chosen else {}
        chosen.append({"if": {"properties": {"kind": {"const": kind}}, **explicit}, "then": then})
    about = f"Kind of this resource; {kinds[0]} if left out."
    return {
        "type": "object",
        "properties": {"kind": {"enum": kinds, "default": kinds[0], "description": about}},
        "allOf": chosen,
    }
