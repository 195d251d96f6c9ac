"""Who may ask: the token, the Host, the Origin; and how often somebody without the token."""

import json
import re

import httpx2
import pytest

from engine.server.token_gate import FailureLimit
from engine.server.tokens import make_token

from .small_server import SmallServer

OPEN = ("/livez", "/readyz")


def ask(address: str, path: str = "/healthz", **headers: str | bytes) -> httpx2.Response:
    with httpx2.Client(base_url=address, timeout=20) as client:
        return client.get(path, headers=headers)


def test_only_the_health_of_the_server_is_public(served: SmallServer, address: str) -> None:
    for path in OPEN:
        assert ask(address, path, host="10.0.0.7").status_code == 200
    for path in (
        "/healthz",
        "/metrics",
        "/projects/shop/fires",
        "/nowhere",
        "/livez/../healthz",
        "//livez",
        "/readyz/x",
    ):
        assert ask(address, path).status_code in (401, 429), path


def test_a_token_is_needed_and_an_old_or_a_wrong_one_does_not_count(served: SmallServer, address: str) -> None:
    missing = ask(address)
    assert (missing.status_code, missing.headers["www-authenticate"]) == (401, 'Bearer realm="engine"')
    for text in (f"Bearer {make_token()}", f"Basic {served.token}", "Bearer", f"Bearer {served.token}x", served.token):
        assert ask(address, authorization=text).status_code == 401, text
    assert ask(address, authorization=f"bearer {served.token}").status_code == 200
    assert ask(address, authorization=b"Bearer \xff\xfe").status_code == 401


def test_the_token_in_the_url_only_reads(served: SmallServer, address: str) -> None:
    assert ask(address, f"/healthz?token={served.token}").status_code == 200
    assert ask(address, f"/healthz?token={served.token}x").status_code == 401
    assert ask(address, "/healthz?token=%ff%00").status_code == 401
    assert httpx2.post(f"{address}/reload?token={served.token}").status_code == 401
    # A header that is wrong is not made good by the URL.
    assert ask(address, f"/healthz?token={served.token}", authorization="Bearer x").status_code == 401


def test_another_host_is_refused_even_with_the_token(served: SmallServer, address: str) -> None:
    port = address.rpartition(":")[2]
    token = {"authorization": f"Bearer {served.token}"}
    for host in (
        "evil.example",
        f"evil.example:{port}",
        "127.0.0.1.evil.example",
        "10.0.0.7",
        "127.0.0.1@evil",
        "a b",
        "[",
    ):
        refused = ask(address, host=host, **token)
        assert refused.status_code == 421, host
        assert "engine.example" in refused.json()["help"]
    for host in (
        f"127.0.0.1:{port}",
        "localhost",
        f"LOCALHOST:{port}",
        f"[::1]:{port}",
        "engine.example",
        "engine.example.",
    ):
        assert ask(address, host=host, **token).status_code == 200, host


def test_a_page_of_another_origin_is_refused_even_with_the_token(served: SmallServer, address: str) -> None:
    token = {"authorization": f"Bearer {served.token}"}
    for origin in ("https://evil.example", "null", "", "http://127.0.0.1:1", "file://", address.replace("http", "ftp")):
        assert ask(address, origin=origin, **token).status_code == 403, origin
    assert ask(address, origin=address, **token).status_code == 200
    assert ask(address, host="engine.example", origin="https://engine.example", **token).status_code == 200
    preflight = httpx2.options(f"{address}/reload", headers={"origin": "https://evil.example"})
    assert not [name for name in preflight.headers if name.startswith("access-control")]


def test_requests_without_the_token_are_limited_after_ten_failures(served: SmallServer, address: str) -> None:
    found = [ask(address).status_code for _ in range(12)]
    assert found == [401] * 10 + [429] * 2
    limited = ask(address)
    assert limited.headers["retry-after"] == "60"
    # Whoever has the token may share the address of who does not, as behind a proxy.
    assert ask(address, authorization=f"Bearer {served.token}").status_code == 200
    assert ask(address, "/livez").status_code == 200


def test_the_limit_of_failures_ends_after_a_minute_and_remembers_few_addresses() -> None:
    now = [0.0]
    limit = FailureLimit(lambda: now[0])
    assert [limit.count_failure("a") for _ in range(11)] == [False] * 10 + [True]
    assert limit.count_failure("b") is False
    now[0] = 59.9
    assert limit.count_failure("a") is True
    now[0] = 60.0
    assert limit.count_failure("a") is False
    for n in range(5000):
        limit.count_failure(f"address {n}")
    assert len(limit._failures) <= 1000


def test_answers_forbid_frames_guessing_of_types_and_caching(client: httpx2.Client) -> None:
    for path in ("/livez", "/healthz", "/metrics", "/nowhere"):
        headers = client.get(path).headers
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert "server" not in headers


def test_the_token_is_shown_nowhere(served: SmallServer, client: httpx2.Client, told: list[str]) -> None:
    for path in (
        "/healthz",
        "/metrics",
        "/projects/shop/fires",
        f"/nowhere?token={served.token}",
        "/projects/shop/triggers",
    ):
        assert served.token not in client.get(path).text
    client.post("/projects/shop/scenarios/nightly/runs", json={"variables": {"note": "x"}})
    assert served.token.encode() not in b"".join(
        path.read_bytes() for path in served.path.parent.rglob("*") if path.is_file()
    )


def test_a_new_token_holds_32_random_bytes() -> None:
    tokens = {make_token() for _ in range(100)}
    assert len(tokens) == 100
    assert all(re.fullmatch(r"eng_[\w-]{43}", token) for token in tokens)


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_a_form_of_a_page_cannot_start_a_run(client: httpx2.Client, kind: str) -> None:
    asked = json.dumps({"variables": {}})
    headers = {"content-type": kind} if kind else {}
    refused = client.post("/projects/shop/scenarios/nightly/runs", content=asked, headers=headers)
    assert refused.status_code == 415
