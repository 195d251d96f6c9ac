"""What is not a request, or none that is allowed: always an answer in JSON or a closed connection, never a fault."""

import json
import socket
import time
from collections.abc import Iterator
from urllib.parse import quote

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.server import connections
from engine.server.bodies import parse_object

from .small_server import SmallServer

RUNS = "/projects/shop/scenarios/nightly/runs"


@pytest.fixture
def port(address: str) -> int:
    return int(address.rpartition(":")[2])


def exchange(port: int, *parts: bytes, end: bool = False) -> bytes:
    """Return all that the server answers until it closes the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        try:
            for part in parts:
                connection.sendall(part)
            if end:
                connection.shutdown(socket.SHUT_WR)
            return b"".join(iter(lambda: connection.recv(65536), b""))
        except TimeoutError:
            raise
        except OSError:
            return b""  # a connection that is closed is an answer too


def read_status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer else 0


@pytest.mark.parametrize(
    "raw",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS where none is
        b"NONSENSE\r\n\r\n",
        b"GET /livez\r\n\r\n",
        b"GET /livez HTTP/1.1\r\n\r\n",  # without Host
        b"GET /livez HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET /li\xff\xfevez HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX: a\x00b\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n folded\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 70_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"POST /reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST /reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcde",
        b"POST /reload HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ],
)
def test_bad_http_is_refused_and_the_connection_closed(port: int, raw: bytes) -> None:
    answer = exchange(port, raw, end=True)
    assert read_status(answer) in (0, 400, 401, 408, 421, 431)
    if answer:
        json.loads(answer.partition(b"\r\n\r\n")[2])
    assert read_status(exchange(port, b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")) == 200


def test_a_smuggled_request_is_not_answered(served: SmallServer, port: int) -> None:
    head = f"POST /reload HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {served.token}\r\n"
    inner = "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
    raw = f"{head}Content-Length: {len(inner) + 5}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{inner}"
    assert exchange(port, raw.encode(), end=True).count(b"HTTP/1.1 200") <= 1


def test_an_upgrade_to_something_else_is_not_made(served: SmallServer, port: int) -> None:
    raw = b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: upgrade, close\r\nUpgrade: websocket\r\n\r\n"
    assert read_status(exchange(port, raw)) == 200


def test_a_body_that_is_too_large_is_not_read(served: SmallServer, client: httpx2.Client, port: int) -> None:
    body = json.dumps({"variables": {"note": "x" * 70_000}}).encode()
    json_type = {"content-type": "application/json"}
    assert client.post(RUNS, content=body, headers=json_type).status_code == 413

    def give_parts() -> Iterator[bytes]:
        for _ in range(30):
            yield b" " * 4096

    assert client.post(RUNS, content=give_parts(), headers=json_type).status_code == 413
    head = f"POST {RUNS} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {served.token}\r\n"
    huge = exchange(port, f"{head}Content-Type: application/json\r\nContent-Length: 99999999999\r\n\r\n".encode())
    assert read_status(huge) == 413


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 202),
        (b"{}", 202),
        (b"[]", 400),
        (b"null", 400),
        (b"{", 400),
        (b'{"variables": {}} {}', 400),
        (b'{"variables": {"limit": 1}, "variables": {"limit": 2}}', 400),
        (b'{"variables": {"limit": 1, "limit": 2}}', 400),
        (b'{"variables": {"limit": NaN}}', 400),
        (b'{"variables": {"limit": 1e999}}', 400),
        (b'{"variables": {"limit": ' + b"9" * 5000 + b"}}", 400),
        (b'{"variables": {"note": "\xff"}}', 400),
        (b'\xef\xbb\xbf{"variables": {}}', 400),
        (b"[" * 20_000, 400),
        (b'{"a":' * 10_000, 400),
        (b'{"variable": {}}', 422),
        (b'{"variables": {}, "as_of": "2026-01-01"}', 422),
    ],
)
def test_a_body_is_one_json_object_that_every_reader_reads_alike(
    client: httpx2.Client, body: bytes, status: int
) -> None:
    answer = client.post(RUNS, content=body, headers={"content-type": "application/json; charset=utf-8"})
    assert answer.status_code == status
    assert status == 202 or answer.json()["error"]


def test_a_client_that_sends_or_reads_too_slowly_is_disconnected(
    served: SmallServer, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "EXCHANGE_SECONDS", 0.5)
    head = f"POST {RUNS} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {served.token}\r\n"
    unfinished = (
        b"",
        b"GET /livez HT",
        f"{head}Content-Type: application/json\r\nContent-Length: 9\r\n\r\n{{".encode(),
    )
    for raw in unfinished:
        began = time.monotonic()
        assert exchange(port, raw) == b""
        assert 0.3 < time.monotonic() - began < 10


def test_many_connections_that_say_nothing_do_not_stop_the_server(served: SmallServer, port: int) -> None:
    idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(100)]
    try:
        assert read_status(exchange(port, b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")) == 200
    finally:
        for connection in idle:
            connection.close()


TEXTS = st.text(max_size=40)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
PATHS = st.sampled_from(
    [
        RUNS,
        "/projects/shop/scenarios/nightly/pause",
        "/projects/shop/scenarios/nightly/resume",
        "/projects/shop/runs/none/abort",
        "/reload",
    ]
)
FUZZ = settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@FUZZ
@given(
    path=PATHS,
    body=JSON
    | st.fixed_dictionaries({"variables": st.dictionaries(st.sampled_from(["day", "limit", "place", "note"]), JSON)})
    | st.fixed_dictionaries({"until": JSON, "reason": TEXTS, "by": JSON}),
)
def test_no_body_of_json_makes_a_fault(client: httpx2.Client, path: str, body: object) -> None:
    answer = client.post(path, content=json.dumps(body), headers={"content-type": "application/json"})
    assert answer.status_code in (200, 202, 400, 404, 422), (answer.status_code, answer.text)
    answer.json()


@FUZZ
@given(body=st.binary(max_size=200))
def test_no_bytes_make_a_fault(client: httpx2.Client, body: bytes) -> None:
    answer = client.post(RUNS, content=body, headers={"content-type": "application/json"})
    assert answer.status_code in (202, 400, 422)


@FUZZ
@given(
    path=st.lists(st.sampled_from(["projects", "shop", "runs", "fires", "triggers", "..", "%2e"]) | TEXTS, max_size=6),
    query=st.dictionaries(st.sampled_from(["from", "last", "scenario", "token"]) | TEXTS, TEXTS, max_size=3),
    method=st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE"]),
)
def test_no_path_makes_a_fault(client: httpx2.Client, path: list[str], query: dict[str, str], method: str) -> None:
    parts = "/".join(part if part in ("..", "%2e") else quote(part, safe="") for part in path)
    target = f"/{parts.lstrip('/')}"  # the client sends no path that begins with //
    encoded = "&".join(f"{quote(name)}={quote(value)}" for name, value in query.items())
    answer = client.request(method, f"{target}?{encoded}")
    assert answer.status_code in (200, 303, 403, 404, 405, 422), (answer.status_code, answer.text)


HEADER_VALUES = st.binary(max_size=60).map(
    lambda raw: bytes(each for each in raw if each >= 32 and each != 127).strip()
)


@FUZZ
@given(
    name=st.sampled_from(
        ["accept", "idempotency-key", "content-type", "content-encoding", "cookie", "range", "x-forwarded-for"]
    ),
    value=HEADER_VALUES | TEXTS.filter(str.isascii).map(lambda text: quote(text, safe=",;=/* ").strip().encode()),
)
def test_no_header_makes_a_fault(client: httpx2.Client, name: str, value: bytes) -> None:
    for answer in (client.get("/metrics", headers={name: value}), client.post(RUNS, headers={name: value})):
        assert answer.status_code in (200, 202, 400), (answer.status_code, answer.text)


@FUZZ
@given(raw=st.binary(max_size=300))
def test_no_bytes_instead_of_http_make_a_fault(port: int, raw: bytes) -> None:
    assert read_status(exchange(port, raw, b"\r\n\r\n", end=True)) in (0, 400, 401, 404, 405, 421, 429, 431)


@given(value=st.dictionaries(TEXTS, JSON, max_size=4))
def test_what_is_a_json_object_is_read_as_python_reads_it(value: dict[str, object]) -> None:
    raw = json.dumps(value)
    assert parse_object(raw.encode()) == json.loads(raw)
