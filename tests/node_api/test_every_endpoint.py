"""Every endpoint of a node, asked with every kind of token, and as no client should ask."""

import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.routing import Route

from engine.server.access import OPEN_PATHS
from engine.server.app import build_app
from engine.server.callers import GuardedRoute, Role
from engine.server.links import is_page
from engine.server.node_api.application import NodeApi
from engine.server.tokens import NodeTokens
from engine.service.served_node import ServedNode
from engine.store.node import Node

from ..server.asked_node import write_node
from ..server.small_server import SmallServer
from ..server.small_server import write_spec as write_small_spec
from ..service.served import wait_until
from .asked_target import ENDPOINTS, JSON, LISTED, Target
from .node_server import describe_update

WITH_JSON = [
    place for place, one in ENDPOINTS.items() if isinstance(one.body, dict) or one.body in ("update", "rollback")
]
WITH_KEY = [place for place, one in ENDPOINTS.items() if one.key]


class Silent:
    """Takes what a server tells, and shows it to nobody."""

    def report(self, kind: str, text: str, **facts: object) -> None: ...

    def show_findings(self, findings: object) -> None: ...

    def show_line(self, line: object) -> None: ...

    def mask_secrets(self, project: object) -> None: ...


def list_routes(folder: Path) -> list[Route]:
    """Return the routes that a node has."""
    control = SmallServer(write_small_spec(folder))
    node = ServedNode(write_node(folder), {}, Silent())
    try:
        api = NodeApi(control, node.node, lambda: node.spec, {}, print)
        guard = build_app(control, NodeTokens(node.node.tokens, print), print, node, api)
        return [route for route in guard.routes if isinstance(route, Route)]
    finally:
        node.close()
        control.close()


def test_every_endpoint_is_in_the_table_with_the_role_that_it_needs(tmp_path: Path) -> None:
    routes = list_routes(tmp_path)
    open_paths = {route.path for route in routes if not isinstance(route, GuardedRoute)}
    assert open_paths == {*OPEN_PATHS, "/login", "/static/{digest}/{name}"}
    found = list_roles(routes)
    assert {place: role for place, role in found.items() if place in ENDPOINTS} == {
        place: one.role for place, one in ENDPOINTS.items()
    }
    pages = {place: role for place, role in found.items() if place not in ENDPOINTS}
    assert all(is_page(path) for _, path in pages)
    assert {role for (method, _), role in pages.items() if method == "GET"} == {"viewer"}
    assert {path: role for (method, path), role in pages.items() if method != "GET"} == ACTIONS_OF_PAGES


def list_roles(routes: list[Route]) -> dict[tuple[str, str], str]:
    """Return the role that each method of each guarded path needs."""
    guarded = [one for one in routes if isinstance(one, GuardedRoute)]
    return {(method, one.path): one.role.word for one in guarded for method in (one.methods or set()) - {"HEAD"}}


@pytest.mark.slow
def test_no_page_is_shown_without_a_login_and_none_acts_for_a_lower_role(target: Target, tmp_path: Path) -> None:
    before = target.describe_all()
    for (method, template), needed in list_roles(list_routes(tmp_path)).items():
        if (method, template) in ENDPOINTS:
            continue
        path = re.sub(r"\{[^}]+\}", "x", template)
        refused = (401,) if method == "GET" else (401, 403)  # a form of another place is refused before
        assert target.send(None, method, path).status_code in refused, (method, template)
        for role in (one for one in Role if one < Role[needed.upper()]):
            assert target.send(role.word, method, path).status_code == 403, (method, template, role)
    assert target.describe_all() == before


ACTIONS_OF_PAGES = {
    "/logout": "viewer",
    "/p/{project}/stores/{store}/removal": "admin",
    "/p/{project}/stores/{store}/evaluations/{evaluation}/compute": "operator",
    "/p/{project}/stores/{store}/check": "operator",
    "/p/{project}/scenarios/{scenario}/start": "operator",
    "/p/{project}/scenarios/{scenario}/pause": "operator",
    "/p/{project}/scenarios/{scenario}/resume": "operator",
    "/p/{project}/spec/reload": "admin",
    "/p/{project}/outbox/{message}/retry": "operator",
    "/p/{project}/outbox/{message}/drop": "operator",
    "/p/{project}/runs/{run}/abort": "operator",
    "/deployments/{deployment}/deploy": "deployer",
    "/deployments/{deployment}/rollback": "deployer",
    "/deployments/{deployment}/disable": "deployer",
    "/bundles/{bundle}/deploy": "deployer",
    "/bundles/{bundle}/remove": "admin",
}
"""What forms of pages do, and the role that each needs."""


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    made = Target(tmp_path_factory.mktemp("target"))
    try:
        yield made
        made.node.end()
    finally:
        made.node.kill()


def list_wrong_credentials(target: Target) -> dict[str, dict[str, str]]:
    """Return headers without a token that counts, by what is wrong with them."""
    admin = target.node.tokens["admin"]
    with Node.open(target.node.folder / "data") as node:
        revoked, row = node.tokens.create(f"gone {os.urandom(4).hex()}", "admin", "test")
        node.tokens.revoke(row)
        expired = node.tokens.create(f"late {os.urandom(4).hex()}", "admin", "test", node.database.now())[0]
    wrong = admin[:-1] + ("A" if admin[-1] != "A" else "Q")
    tokens = {
        "another end": wrong, "another id": f"eng_00000000_{admin.rpartition('_')[2]}", "revoked": revoked,
        "expired": expired, "no form": "x", "its secret alone": admin.removeprefix("eng_"), "longer": f"{admin}A",
        "shorter": admin[:-1], "upper case": admin.upper(), "a quote": f"{admin}' OR 1=1 --",
        "twice": f"{admin} {admin}", "two in one": f"{admin},{admin}",
    }  # fmt: skip
    found = {name: {"authorization": f"Bearer {token}"} for name, token in tokens.items()}
    found["no kind"] = {"authorization": admin}
    found["another kind"] = {"authorization": f"Basic {admin}"}
    found["an empty one"] = {"authorization": "Bearer"}
    found["in a cookie"] = {"cookie": f"token={admin}; authorization=Bearer {admin}"}
    found["in another header"] = {"x-api-key": admin, "proxy-authorization": f"Bearer {admin}"}
    found["none"] = {}
    return found


WITHOUT_TOKEN = ("no kind", "another kind", "in a cookie", "in another header", "none")


@pytest.mark.slow
def test_no_endpoint_does_or_shows_anything_without_a_valid_token(target: Target) -> None:
    before = target.describe_all()
    wrong = list_wrong_credentials(target)
    said: dict[str, set[str]] = {}
    for method, template in ENDPOINTS:
        path, body = target.fill(method, template), target.build_body(method, template)
        for name, headers in wrong.items():
            answer = target.send(None, method, path, body, **headers)
            assert answer.status_code == 401, (method, path, name, answer.text)
            if not is_page(path):  # which asks for a login
                said.setdefault(name, set()).add(answer.text)
    missing = {name: texts for name, texts in said.items() if name in WITHOUT_TOKEN}
    refused = {name: texts for name, texts in said.items() if name not in WITHOUT_TOKEN}
    # One text for all that do not count: whoever tries one does not learn whether it was right once.
    assert len(set.union(*refused.values())) == len(set.union(*missing.values())) == 1
    assert "the token is not valid" in min(refused["expired"])
    assert "the token is missing" in min(missing["none"])
    assert target.describe_all() == before
    told = [one["text"] for one in target.node.server.list_told() if "is still used" in one["text"]]
    assert sorted(re.sub(r"[0-9a-f]{8}", "ID", text.partition(" at ")[0]) for text in told) == [
        "tokens: the token ID of 'gone ID' was revoked",
        "tokens: the token ID of 'late ID' has expired",
    ]


@pytest.mark.slow
def test_two_tokens_in_one_request_are_none(target: Target) -> None:
    good = f"Bearer {target.node.tokens['admin']}"
    for pair in ((good, "Bearer x"), ("Bearer x", good), (good, good)):
        with httpx2.Client(base_url=target.node.url) as client:
            answer = client.get("/healthz", headers=[("authorization", one) for one in pair])
        assert answer.status_code == 401, pair


@pytest.mark.slow
def test_a_role_below_the_needed_one_changes_nothing(target: Target) -> None:
    before = target.describe_all()
    for (method, template), expected in ENDPOINTS.items():
        needed = Role[expected.role.upper()]
        for role in (one for one in Role if one < needed):
            body = target.build_body(method, template)
            answer = target.send(role.word, method, target.fill(method, template), body)
            assert answer.status_code == 403, (method, template, role, answer.text)
            assert f"needs the role {needed.word}" in answer.json()["error"]
    assert target.describe_all() == before


@pytest.mark.slow
def test_another_host_or_origin_is_refused_by_every_endpoint(target: Target) -> None:
    before = target.describe_all()
    for method, template in ENDPOINTS:
        path, body = target.fill(method, template), target.build_body(method, template)
        for headers, status in (({"host": "evil.example"}, 421), ({"origin": "https://evil.example"}, 403),
                                ({"origin": "null"}, 403)):  # fmt: skip
            answer = target.send("admin", method, path, body, **headers)
            assert answer.status_code == status, (method, path, headers, answer.text)
    assert target.describe_all() == before


WRONG_BODIES = {
    "too large": (b'{"reason": "' + b"x" * (1 << 20) + b'"}', JSON, 413),
    "a form": (b"reason=x", {"content-type": "application/x-www-form-urlencoded"}, 415),
    "plain text": (b"{}", {"content-type": "text/plain"}, 415),
    "of no kind": (b"{}", {"content-type": ""}, 415),
    "deep": (b'{"a":' * 5_000 + b"1" + b"}" * 5_000, JSON, 400),
    "deep list": (b"[" * 30_000, JSON, 400),
    "a key twice": (b'{"reason": "x", "reason": "y"}', JSON, 400),
    "an inner key twice": (b'{"variables": {"a": 1, "a": 2}}', JSON, 400),
    "no number": (b'{"reason": NaN}', JSON, 400),
    "not UTF-8": (b'{"reason": "\xff"}', JSON, 400),
    "half a character": (b'{"reason": "\\ud800"}', JSON, 400),
    "a list": (b"[]", JSON, 400),
    "two": (b"{}{}", JSON, 400),
    "an unknown key": (b'{"__proto__": 1}', JSON, 422),
}


@pytest.mark.slow
def test_a_wrong_body_is_refused_by_every_endpoint_that_has_one(target: Target) -> None:
    before = target.describe_all()
    for method, template in WITH_JSON:
        path = target.fill(method, template)
        for name, (content, headers, status) in WRONG_BODIES.items():
            answer = target.send("admin", method, path, content, **headers)
            assert answer.status_code == status, (method, path, name, answer.text)
            assert answer.json()["error"], (path, name)
    assert target.describe_all() == before


@pytest.mark.slow
def test_a_right_request_of_the_needed_role_is_answered_and_a_used_key_belongs_to_it_alone(tmp_path: Path) -> None:
    target = Target(tmp_path)
    try:
        for (method, template), expected in ENDPOINTS.items():
            path, body = target.fill(method, template), target.build_body(method, template)
            headers = {"idempotency-key": f"key of {template}".replace(" ", "-")} if expected.key else {}
            answer = target.send(expected.role, method, path, body, **headers)
            assert answer.status_code == expected.status, (method, path, answer.text)
            if expected.key:
                check_key(target, path, body, answer, headers)
            if "operation" in answer.json() if answer.status_code == 202 else False:
                target.wait_for_end(answer)
        assert "Traceback" not in target.node.server.err.read_text() + target.node.server.out.read_text()
        target.node.end()
    finally:
        target.node.kill()


def check_key(target: Target, path: str, body: Any, first: httpx2.Response, headers: dict[str, str]) -> None:
    """Check that the request of a key can be sent again, and that no other one can have the key."""
    again = target.send("admin", "POST", path, body, **headers)
    assert (again.status_code in (200, 202), again.json()["new"]) == (True, False), again.text
    (what,) = {"operation", "fire"} & first.json().keys()
    assert again.json()[what]["number"] == first.json()[what]["number"]
    other = {"variables": {"note": "another"}} if what == "fire" else {**body, "expected_revision": 77}
    used = target.send("admin", "POST", path, other, **headers)
    assert used.status_code == 409, (path, used.text)
    assert "key" in used.json()["error"].lower()
    assert target.send("admin", "POST", path, body, **{"idempotency-key": "k" * 201}).status_code in (400, 422)


@pytest.mark.slow
def test_one_of_several_deployers_who_have_seen_the_same_revision_wins(target: Target) -> None:
    seen = target.active
    newest = len(target.send("viewer", "GET", f"{LISTED}/operations").json()["operations"])
    asked: list[tuple[str, Any]] = [
        ("updates", describe_update(target.bundles[0][0], seen, now=True)),
        ("updates", describe_update(target.bundles[1][0], seen, now=True)),
        ("rollback", {"expected_revision": seen, "now": True}),
        ("disable", {"expected_revision": seen}),
    ] * 2

    def ask(request: tuple[str, Any]) -> httpx2.Response:
        return target.send("deployer", "POST", f"{LISTED}/{request[0]}", request[1])

    with ThreadPoolExecutor(len(asked)) as pool:
        answers = list(pool.map(ask, asked))
    accepted = [one for one in answers if one.status_code == 202]
    said = "".join(one.text for one in answers)
    assert len(accepted) == 1, said
    assert {one.status_code for one in answers if one not in accepted} <= {409, 503}, said  # 503: ask again
    target.wait_for_end(accepted[0])
    late = [ask(request) for request in asked]
    assert {one.status_code for one in late} == {409}
    assert target.active == seen + 1
    listed = target.send("viewer", "GET", f"{LISTED}/operations").json()["operations"]
    assert len(listed) == newest + 1
    wait_until(lambda: target.send("viewer", "GET", LISTED).json()["state"]["open_operation"] is None, "no end")
