"""Answers of the server: JSON, and errors that say what was wrong and what is allowed."""

import json
import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from pydantic import BaseModel
from starlette.responses import Response


class AnswerError(Exception):
    """A request that is answered with an error.

    Attributes
    ----------
    status
        The HTTP status.
    error, help
        What was wrong, and what is allowed or what to do.
    headers
        Headers of the answer.
    """

    def __init__(self, status: int, error: str, help_: str = "", headers: Mapping[str, str] | None = None) -> None:
        super().__init__(error)
        self.status = status
        self.error = error
        self.help = help_
        self.headers = headers


def build_answer(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return a JSON answer. Dates become ISO texts; infinite numbers and NaN become null."""
    return Response(f"{json.dumps(make_json(content))}\n", status, headers, media_type="application/json")


def build_error_answer(problem: AnswerError) -> Response:
    """Return the answer for an error: `{"error": …, "help": …}`."""
    content = {"error": problem.error} | ({"help": problem.help} if problem.help else {})
    return build_answer(content, problem.status, problem.headers)


def make_json(value: Any) -> Any:
    """Convert a value to JSON types: records and mappings become objects, and unknown types become text."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: make_json(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, BaseModel):
        return make_json(value.model_dump())
    if isinstance(value, Mapping):
        return {str(key): make_json(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [make_json(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, str | int | float):
        return value
    return str(value.isoformat() if hasattr(value, "isoformat") else value)
