"""Checks the path and query parameters of a request by the table of routes."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request

from engine.server.answers import AnswerError
from engine.server.node_api.routes import ApiRoute
from engine.server.requests import parse_count


def check_parameters(route: ApiRoute, request: Request) -> None:
    """Raise AnswerError if a parameter is not valid, or if the query has an unknown one."""
    in_query = {one.name: one for one in route.parameters if one.place == "query"}
    for one in route.parameters:
        if one.place == "path":
            _check_text(one.name, request.path_params[one.name], one.schema)
    for name, text in request.query_params.multi_items():
        if name not in in_query:
            help_ = f"the parameters are {', '.join(in_query)}" if in_query else "it has no parameters"
            raise AnswerError(422, f'there is no parameter "{name[:60]}"', help_)
        _check_text(name, text, in_query[name].schema)


def read_number(request: Request, name: str) -> int:
    """Return a checked number of the query; 0 if it is missing."""
    return int(request.query_params.get(name, "0"))


def read_time(request: Request, name: str) -> datetime | None:
    """Return a moment of the query; None if it is missing. Raises AnswerError if it is not a time with a zone."""
    text = request.query_params.get(name)
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise AnswerError(422, f'"{name}" is not valid', "write a time with its zone, such as 2026-11-28T00:00:00Z")


def _check_text(name: str, text: str, schema: Mapping[str, Any]) -> None:
    if schema["type"] == "integer":
        parse_count(name, text, schema["minimum"], schema["maximum"])
        return
    pattern = schema.get("pattern", "")
    if len(text) > schema.get("maxLength", len(text)) or not re.search(pattern.replace("$", r"\Z"), text):
        most = f", of at most {schema['maxLength']} characters" if "maxLength" in schema else ""
        raise AnswerError(422, f'"{name}" is not valid', f"it must be as {pattern or '.+'}{most}")
