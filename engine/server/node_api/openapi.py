"""The OpenAPI document of the API, made from the table of its routes and the models of its bodies and answers."""

import json
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, create_model

from engine.server.node_api.routes import ROUTES, ApiRoute, describe_status_code
from engine.service.deployments.node.requests import ErrorAnswer

DOCUMENT_FILE = "node-api.v1.json"
_JSON = "application/json"
_BINARY = "application/octet-stream"
_REFERENCE = "#/components/schemas/{model}"


@cache
def build_document() -> dict[str, Any]:
    """Return the document, of OpenAPI 3.1."""
    schemas: dict[str, Any] = {}
    paths: dict[str, Any] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _describe_route(route, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "engine automation node",
            "version": "1",
            "description": "Bundles, deployments, operations, runs and status of an automation node.",
        },
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(schemas.items())),
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "`engine node token create` makes one. The role of it must be the `x-role` of the "
                    "operation or a higher one: viewer, operator, deployer, admin.",
                }
            },
        },
    }


def write_api_document(folder: Path) -> Path:
    """Write the document into a folder, which is created if missing; return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / DOCUMENT_FILE
    path.write_text(json.dumps(build_document(), ensure_ascii=False, indent=1) + "\n", encoding="utf-8", newline="\n")
    return path


def _describe_route(route: ApiRoute, schemas: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"operationId": route.name, "summary": route.summary, "x-role": route.role.word}
    if route.parameters:
        found["parameters"] = [
            {
                "name": one.name,
                "in": one.place,
                "required": one.place == "path",
                "description": one.description,
                "schema": dict(one.schema),
            }
            for one in route.parameters
        ]
    if route.body == "stream":
        binary = {"type": "string", "format": "binary"}
        found["requestBody"] = {"required": True, "content": {_BINARY: {"schema": binary}}}
    elif route.body is not None:
        required = any(field.is_required() for field in route.body.model_fields.values())
        schema = _describe_model(route.body, schemas, answer=False)
        found["requestBody"] = {"required": required, "content": {_JSON: {"schema": schema}}}
    error = {_JSON: {"schema": _describe_model(ErrorAnswer, schemas, answer=True)}}
    contents: dict[int, dict[str, Any]] = {}
    for status, model in route.answers.items():
        if model is bytes:
            contents[status] = {_BINARY: {"schema": {"type": "string", "format": "binary"}}}
            continue
        contents[status] = {_JSON: {"schema": _describe_model(model, schemas, answer=True)}}
        if route.events:
            contents[status]["text/event-stream"] = {"schema": {"type": "string"}}
    contents |= dict.fromkeys(route.list_errors(), error)
    found["responses"] = {
        str(status): {"description": describe_status_code(status), "content": content}
        for status, content in contents.items()
    }
    return found


def _describe_model(model: type[Any], schemas: dict[str, Any], *, answer: bool) -> dict[str, Any]:
    """Return the schema of a body or an answer; the models that it refers to are added to `schemas`."""
    if model in (dict, BaseModel):
        return {"type": "object"} if answer else {"type": "object", "maxProperties": 0}
    mode: Literal["serialization", "validation"] = "serialization" if answer else "validation"
    if issubclass(model, BaseModel):
        schema = model.model_json_schema(mode=mode, ref_template=_REFERENCE)
        found = {**schema.pop("$defs", {}), model.__name__: schema}
    else:  # a dataclass gets its schema as the only field of a model
        holder = create_model("Holder", __config__=ConfigDict(extra="forbid"), row=(model, ...))
        found = holder.model_json_schema(mode=mode, ref_template=_REFERENCE)["$defs"]
    for name, one in found.items():
        if schemas.setdefault(name, one) != one:
            raise ValueError(f"two schemas are named {name}")
    return {"$ref": _REFERENCE.format(model=model.__name__)}
