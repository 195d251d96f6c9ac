"""Webhooks through a real HTTP server: what arrives, what an answer means, and what is never sent or told."""

import base64
import contextlib
import dataclasses
import http.server
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from engine.errors import DeliveryError, UnreachableError
from engine.notifications import webhook, write_message_schema
from engine.notifications.channels import send_message
from engine.notifications.envelope import DelayedError, Envelope, RefusedError
from engine.notifications.mime import create_html_part
from engine.outcome import Outcome
from engine.spec import ProjectSpec, Secrets, load
from engine.spec.project_yaml import render_project
from engine.spec.resources.channels import WebhookChannel
from engine.store import Attachment, OutboxMessage

MESSAGE = OutboxMessage(
    id="20261123-013800-123456-7f3a9c1b.0",
    run="20261123-013800-123456-7f3a9c1b",
    reporter="Data drift warning",
    channel="hook",
    to=(),
    subject="Überwachung ${x} {y}",
    text='Données <b>\nline "two"',
    created=datetime(2026, 11, 23, tzinfo=UTC),
    attachments=(create_html_part("<p>Données</p>"), Attachment("batch.csv", "text/csv", b"a\n1\n")),
    tries=1,
    scenario="monitor",
)
CHANNEL = WebhookChannel(url="${secret.hook}")


@dataclasses.dataclass
class Server:
    """An HTTP server that keeps requests and answers each with what `answer` gives: status, headers, body."""

    port: int = 0
    requests: list[tuple[str, dict[str, str], bytes]] = dataclasses.field(default_factory=list)
    answer: Callable[[], tuple[int, dict[str, str], bytes]] = lambda: (204, {}, b"")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hooks/t0ken"


@pytest.fixture
def server() -> Iterator[Server]:
    kept = Server()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            kept.requests.append((self.path, dict(self.headers), body))
            status, headers, answer = kept.answer()
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_POST

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    kept.port = running.server_port
    thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield kept
    running.shutdown()
    thread.join()
    running.server_close()


def send(url: str, message: OutboxMessage = MESSAGE, channel: WebhookChannel = CHANNEL, **headers: str) -> None:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    webhook.send(
        channel, Envelope(message, url, Path(), Path(), "engine@localhost", Outcome.WARNING, [], "fraud", named)
    )


def test_what_arrives_is_what_the_schema_says(server: Server, tmp_path: Path) -> None:
    send(server.url, Authorization="Bearer s3cret")
    [(path, headers, body)] = server.requests
    document = json.loads(body)
    schema = json.loads(write_message_schema(tmp_path).read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(document)
    assert path == "/hooks/t0ken"
    assert headers["Authorization"] == "Bearer s3cret"
    assert headers["Content-Type"] == "application/json"
    assert headers["Idempotency-Key"] == document["id"] == MESSAGE.id
    assert document == {
        "schema_version": 1,
        "id": MESSAGE.id,
        "event": "message",
        "project": "fraud",
        "scenario": "monitor",
        "run": MESSAGE.run,
        "outcome": "WARNING",
        "reporter": "Data drift warning",
        "created": "2026-11-23T00:00:00Z",
        "tries": 1,
        "subject": "Überwachung ${x} {y}",
        "text": 'Données <b>\nline "two"',
        "attachments": [
            {
                "name": "batch.csv",
                "media_type": "text/csv",
                "size": 4,
                "content": base64.b64encode(b"a\n1\n").decode(),
            }
        ],
    }


def test_the_committed_schema_is_what_the_code_generates(tmp_path: Path) -> None:
    path = write_message_schema(tmp_path)
    committed = Path(__file__).parents[2] / "schemas" / path.name
    assert committed.read_text(encoding="utf-8") == path.read_text(encoding="utf-8"), "run: engine schema"


def test_large_attachments_are_named_without_content(server: Server) -> None:
    files = (Attachment("a.csv", "text/csv", b"x" * 600_000), Attachment("b.csv", "text/csv", b"y" * 600_000))
    send(server.url, dataclasses.replace(MESSAGE, attachments=files, recovered=True))
    document = json.loads(server.requests[0][2])
    assert document["event"] == "recovery"
    assert [(file["name"], file["size"], file["content"]) for file in document["attachments"]] == [
        ("a.csv", 600_000, None),
        ("b.csv", 600_000, None),
    ]
    assert document["text"].endswith("\n\n(Not attached, because they have more than 1 MB together: a.csv, b.csv)")


@pytest.mark.parametrize("status", [400, 413, 422])
def test_an_answer_about_the_message_refuses_it_for_good_in_the_servers_words(server: Server, status: int) -> None:
    server.answer = lambda: (status, {}, b"subject is\ntoo long" + b"x" * 5000)
    with pytest.raises(RefusedError, match=rf"^127.0.0.1 answered {status} .*: subject is too longx+…$") as caught:
        send(server.url)
    assert caught.value.complete
    assert len(str(caught.value)) < 450


@pytest.mark.parametrize("status", [401, 404, 410])
def test_an_answer_that_somebody_may_mend_is_final_at_the_third_time(server: Server, status: int) -> None:
    server.answer = lambda: (status, {}, b"")
    for refusals, complete in ((0, False), (1, False), (2, True)):
        with pytest.raises(RefusedError) as caught:
            send(server.url, dataclasses.replace(MESSAGE, refusals=refusals))
        assert caught.value.complete == complete


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503])
def test_an_answer_that_passes_is_tried_again(server: Server, status: int) -> None:
    server.answer = lambda: (status, {}, b"later")
    with pytest.raises(DeliveryError, match=f"answered {status} .*later") as caught:
        send(server.url)
    assert not isinstance(caught.value, RefusedError | UnreachableError)


def test_retry_after_is_respected(server: Server) -> None:
    server.answer = lambda: (503, {"Retry-After": "120"}, b"")
    with pytest.raises(DelayedError) as caught:
        send(server.url)
    assert caught.value.seconds == 120


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(server: Server, status: int) -> None:
    server.answer = lambda: (status, {"Location": f"http://localhost:{server.port}/elsewhere?key=s3cret"}, b"")
    with pytest.raises(RefusedError, match=r"redirects to localhost are not followed") as caught:
        send(server.url, Authorization="Bearer s3cret")
    assert len(server.requests) == 1
    assert "s3cret" not in str(caught.value)


def test_a_server_that_is_not_there(server: Server) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(UnreachableError, match=r"^127.0.0.1 cannot be reached: .*refused"):
        send(f"http://127.0.0.1:{port}/t0ken")


def test_a_server_that_does_not_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/t0ken"
        began = time.monotonic()
        with pytest.raises(UnreachableError, match=r"did not answer in 0.3 s"):
            send(url, channel=WebhookChannel(url="x", timeout=0.3))
        assert time.monotonic() - began < 3


def test_a_server_that_hangs_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as rude:

        def hang_up() -> None:
            connection, _ = rude.accept()
            connection.recv(10)
            connection.close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        with pytest.raises(UnreachableError, match=r"^127.0.0.1 "):
            send(f"http://127.0.0.1:{rude.getsockname()[1]}/t0ken")
        thread.join()


def test_an_endless_answer_does_not_hold_the_run(server: Server) -> None:
    server.answer = lambda: (200, {}, b"x" * 50_000_000)
    began = time.monotonic()
    send(server.url)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("status", [200, 400])
def test_an_answer_that_comes_byte_by_byte_does_not_hide_whether_the_message_was_taken(status: int) -> None:
    def drip() -> None:
        connection, _ = slow.accept()
        with connection, contextlib.suppress(OSError):
            connection.recv(65536)
            connection.sendall(f"HTTP/1.1 {status} Said\r\n\r\n".encode())
            while not done.wait(0.1):
                connection.sendall(b"x")

    done = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as slow:
        thread = threading.Thread(target=drip)
        thread.start()
        began = time.monotonic()
        refused = pytest.raises(RefusedError, match=r"answered 400 Said: xx+$")
        with refused if status == 400 else contextlib.nullcontext():
            send(f"http://127.0.0.1:{slow.getsockname()[1]}/t0ken")
        assert time.monotonic() - began < 10
        done.set()
        thread.join()


@pytest.mark.parametrize(
    ("url", "headers", "words"),
    [
        ("file:///etc/passwd", {}, "not the URL of a webhook"),
        ("http://", {}, "not the URL of a webhook"),
        ("http://user:s3cret@127.0.0.1/", {}, "user name"),
        ("http://127.0.0.1/s3cret\r\nX: y", {}, "not a URL"),
        ("http://127.0.0.1:99999/s3cret", {}, "port cannot be read"),
        ("http://127.0.0.1/", {"Authorization": "Bearer s3cret\r\nX: y"}, "header Authorization is empty, or has"),
        ("http://127.0.0.1/", {"Authorization": "s3cr\u20act"}, "header Authorization is empty, or has"),
    ],
)
def test_what_cannot_be_sent_is_reported_without_its_secret(url: str, headers: dict[str, Any], words: str) -> None:
    with pytest.raises(DeliveryError, match=words) as caught:
        send(url, **headers)
    assert "s3cr" not in str(caught.value)


def test_only_the_host_of_the_url_is_shown() -> None:
    assert (
        webhook.describe(CHANNEL, "https://hooks.example.com/t0ken?key=s3cret") == "POST to https://hooks.example.com"
    )


def test_a_certificate_that_nobody_knows_is_refused(certificates: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as plain, certificates.context.wrap_socket(plain, True) as secure:

        def accept() -> None:
            with pytest.raises(OSError):  # noqa: PT011  (an alert of TLS)
                secure.accept()

        thread = threading.Thread(target=accept)
        thread.start()
        with pytest.raises(UnreachableError, match="CERTIFICATE_VERIFY_FAILED"):
            send(f"https://127.0.0.1:{secure.getsockname()[1]}/t")
        thread.join()


def declare(folder: Path, server: Server) -> ProjectSpec:
    path = folder / "p.yaml"
    path.write_text(
        "version: 1\nproject: fraud\nsecrets: {hook: {env: HOOK}, token: {env: TOKEN, optional: true}}\n"
        "channels:\n  hook:\n    kind: webhook\n    url: ${secret.hook}\n"
        "    headers: {Authorization: 'Bearer ${secret.token}'}\n    fallback: {kind: file, path: outbox}\n"
    )
    return load(path, environ={})


def test_no_secret_is_in_an_error_also_if_the_server_quotes_it(server: Server, tmp_path: Path) -> None:
    project = declare(tmp_path, server)
    secrets = Secrets(project, {"HOOK": server.url, "TOKEN": "s3cret-t0ken"})
    server.answer = lambda: (500, {}, b"no such hook: /hooks/t0ken for Bearer s3cret-t0ken")
    with pytest.raises(DeliveryError) as caught:
        send_message(project.channels["hook"], MESSAGE, secrets, tmp_path, tmp_path, project.name, 20)
    assert "no such hook" in str(caught.value)
    assert "t0ken" not in str(caught.value)
    [(_, headers, _)] = server.requests
    assert headers["Authorization"] == "Bearer s3cret-t0ken"


def test_the_fallback_is_used_while_the_secret_of_a_header_is_absent(server: Server, tmp_path: Path) -> None:
    project = declare(tmp_path, server)
    secrets = Secrets(project, {"HOOK": server.url})
    where = send_message(project.channels["hook"], MESSAGE, secrets, tmp_path, tmp_path, project.name, 20)
    assert where == "files in outbox, because the secret token is absent"
    assert server.requests == []
    assert len(list((tmp_path / "outbox").iterdir())) == 1


def test_render_keeps_the_reference_to_a_secret_and_masks_a_literal_header(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(
        "version: 1\nproject: p\nsecrets: {token: {env: TOKEN}}\nchannels:\n"
        "  hook: {kind: webhook, url: 'https://example.com/x', headers: {A: 'Bearer ${secret.token}', B: l1teral}}\n"
    )
    rendered = render_project(load(path, environ={}).resources)
    assert "Bearer ${secret.token}" in rendered
    assert "l1teral" not in rendered
    assert "example.com/x" not in rendered
