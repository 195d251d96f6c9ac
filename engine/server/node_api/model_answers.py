"""JSON answers from pydantic models and database rows."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, TypeAdapter
from starlette.responses import Response


def answer_model(model: BaseModel, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return a model as JSON answer."""
    return Response(f"{model.model_dump_json(by_alias=True)}\n", status, headers, media_type="application/json")


def answer_row(row: Any) -> Response:
    """Return a row of node.db as JSON answer."""
    return Response(TypeAdapter(type(row)).dump_json(row) + b"\n", media_type="application/json")
