"""Requests drawn from the OpenAPI document of a node, right and wrong ones, and what must hold of each answer."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import requests
import schemathesis
from hypothesis import strategies as st
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

DOCUMENT = Path(__file__).parents[2] / "schemas/node-api.v1.json"
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


@cache
def list_operations() -> dict[str, "APIOperation[Any]"]:
    """Return the operations of the document by their names."""
    schema = schemathesis.openapi.from_path(DOCUMENT)
    found = [result.ok() for result in schema.get_all_operations()]
    return {one.definition.raw["operationId"]: one for one in found}


def draw_case(name: str, there: Mapping[str, str]) -> st.SearchStrategy[Case]:
    """Return what draws requests of an operation: by names of the document, and by those that are there."""
    operation = list_operations()[name]
    known = {one: value for one, value in there.items() if f"{{{one}}}" in operation.path}
    drawn = [operation.as_strategy(mode) for mode in GenerationMode]
    if known:
        drawn += [operation.as_strategy(mode, path_parameters=known) for mode in GenerationMode]
    return st.one_of(drawn)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@st.composite
def draw_changed(draw: st.DrawFn, right: Any) -> Any:
    """Draw a body that differs from a right one at one place or a few."""
    found = json.loads(json.dumps(right))
    for _ in range(draw(st.integers(1, 3))):
        inner = found
        while isinstance(inner, dict) and inner:
            key = draw(st.sampled_from(sorted(inner)))
            if isinstance(inner[key], dict) and draw(st.booleans()):
                inner = inner[key]
                continue
            if draw(st.booleans()):
                inner[key] = draw(ANYTHING)
            elif draw(st.booleans()):
                del inner[key]
            else:
                inner[draw(st.text(max_size=8))] = draw(ANYTHING)
            break
    return found


class Asker:
    """Sends drawn requests to a node, and checks its answers."""

    def __init__(self, url: str, token: str, session: requests.Session) -> None:
        self._url, self._session = url, session

        def add_token(request: requests.PreparedRequest) -> requests.PreparedRequest:
            request.headers["authorization"] = f"Bearer {token}"
            return request

        session.auth = add_token  # and not a header, which a wrong request may be drawn without
        self.answers: dict[int, int] = {}

    def ask(self, case: Case) -> None:
        """Send a request; raises an error if its answer is not one of the document, or tells of a fault."""
        answer = case.call(base_url=self._url, session=self._session, timeout=60)
        self.answers[answer.status_code] = self.answers.get(answer.status_code, 0) + 1
        case.validate_response(answer, checks=CHECKS)
        assert b"Traceback" not in answer.content


@contextmanager
def open_asker(url: str, token: str) -> Iterator[Asker]:
    with requests.Session() as session:
        session.trust_env = False
        yield Asker(url, token, session)
