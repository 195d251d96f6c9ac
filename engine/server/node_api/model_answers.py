"""Answers that are models."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, TypeAdapter
from starlette.responses import Response


def answer_model(model: BaseModel, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return the answer that is a model."""
    return Response(f"{model.model_dump_json(by_alias=True)}\n", status, headers, media_type="application/json")


def answer_row(row: Any) -> Response:
    """Return the answer that is a row of node.db."""
    return Response(TypeAdapter(type(row)).dump_json(row) + b"\n", media_type="application/json")
