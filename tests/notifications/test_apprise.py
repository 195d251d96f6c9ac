"""Apprise through a real HTTP server: what arrives, and why it did not."""

import base64
import contextlib
import dataclasses
import os
import socket
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from engine.errors import DeliveryError
from engine.notifications import apprise
from engine.notifications.envelope import Envelope, RefusedError
from engine.notifications.mime import create_html_part
from engine.notifications.shortening import shorten_text
from engine.outcome import Outcome
from engine.spec.resources.channels import AppriseChannel
from engine.spec.urls.apprise_url import load_service
from engine.store import Attachment, OutboxMessage

from .conftest import limit_files

MESSAGE = OutboxMessage(
    id="20261123-013800-123456-7f3a9c1b",
    run=None,
    reporter="r",
    channel="hook",
    to=(),
    subject="Überwachung ${x} {y}",
    text="Données <b>\nline two",
    created=datetime(2026, 11, 23, tzinfo=UTC),
    attachments=(create_html_part("<p>Données</p>"), Attachment("batch.csv", "text/csv", b"a\n1\n")),
)
CHANNEL = AppriseChannel(url="${secret.hook_url}")


def send(url: str, outcome: Outcome | None = Outcome.WARNING) -> None:
    apprise.send(CHANNEL, Envelope(MESSAGE, url, Path(), Path(), "engine@localhost", outcome))


@pytest.mark.parametrize(
    ("outcome", "type_"),
    [
        (Outcome.WARNING, "warning"),
        (Outcome.ABORTED, "failure"),
        (Outcome.FAILED, "failure"),
        (Outcome.SUCCESS, "success"),
        (None, "info"),
    ],
)
def test_text_and_files_arrive(webhook, outcome, type_):
    send(f"json://user:pass@127.0.0.1:{webhook.port}/alerts/ops", outcome)
    [post] = webhook.posts
    assert webhook.paths == ["/alerts/ops"]
    assert (post["title"], post["message"], post["type"]) == ("Überwachung ${x} {y}", "Données <b>\nline two", type_)
    [file] = post["attachments"]
    assert (file["filename"], file["mimetype"]) == ("batch.csv", "text/csv")
    assert base64.b64decode(file["base64"]) == b"a\n1\n"


def test_a_service_that_takes_no_files_gets_their_names(webhook):
    send(f"gotify://127.0.0.1:{webhook.port}/token")
    [post] = webhook.posts
    assert post["message"] == f"{MESSAGE.text}\n\n(Not attached, because this service does not accept files: batch.csv)"


@pytest.mark.parametrize(
    ("url", "taken"),
    [
        (f"https://hooks.slack.com/services/T0123ABCD/B0123ABCD/{'x' * 24}", False),
        ("slack://xoxb-1234-1234-abcd124/#alerts", True),
        (f"https://api.ciscospark.com/v1/webhooks/incoming/{'a' * 80}", False),
        ("matrix://user:token@localhost/?mode=hookshot", False),
        ("matrix://user:password@localhost/#room", True),
        ("discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js", True),
        ("gotify://localhost/token", False),
    ],
)
def test_whether_files_are_taken_depends_on_the_mode_too(url, taken):
    assert apprise.takes_files(load_service(url)) is taken


def test_a_refusal_is_reported_in_the_services_words_without_the_token(webhook, root_log, capfd):
    webhook.status, webhook.words = 404, "no channel C42 for Zq7token"
    with pytest.raises(DeliveryError) as caught:
        send(f"json://Zq7user:Zq7pass@127.0.0.1:{webhook.port}/Zq7token")
    assert "error=404" in str(caught.value)
    assert "no channel C42 for ***" in str(caught.value)
    assert len(webhook.posts) == 1
    assert "Zq7" not in str(caught.value) + root_log.getvalue()
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("form://127.0.0.1:{port}/Zq7token?attach-as=file", "Multiple attachments provided"),
        ("ntfy://127.0.0.1:{port}/alerts/Zq7!room", "ntfy topic (***) is invalid"),
    ],
)
def test_what_apprise_warns_of_beside_a_delivery_is_a_remark_without_parts_of_the_url(webhook, url, words):
    files = (Attachment("a.csv", "text/csv", b"a"), Attachment("b.csv", "text/csv", b"b")) * url.startswith("form")
    webhook.parse = lambda _: {}
    post = Envelope(
        dataclasses.replace(MESSAGE, attachments=files),
        url.format(port=webhook.port),
        Path(),
        Path(),
        "e@localhost",
        None,
    )
    apprise.send(CHANNEL, post)
    [remark] = post.remarks
    assert remark.startswith(f"{url.partition(':')[0]} accepted it, but Apprise warned: ")
    assert words in remark
    assert "Zq7" not in remark


def test_a_service_that_opens_the_file_by_its_path_gets_it(webhook):
    webhook.parse = lambda body: {"body": body}
    send(f"form://127.0.0.1:{webhook.port}/alerts")
    [post] = webhook.posts
    assert b'filename="batch.csv"' in post["body"]
    assert b"a\n1\n" in post["body"]


def test_files_without_room_on_the_disk_are_reported_and_the_message_is_tried_again(webhook):
    words = r"^there is no room for the attached files: File too large$"
    with limit_files(), pytest.raises(DeliveryError, match=words) as caught:
        send(f"json://127.0.0.1:{webhook.port}/alerts")
    assert type(caught.value) is DeliveryError  # of this message, which may pass
    assert webhook.posts == []


SPEC_WITH_FILES = """\
version: 1
project: p
variables: {day: 1}
channels: {chat: {kind: apprise, url: "json://127.0.0.1:PORT/x"}}
scenarios:
  s:
    steps: [{name: say, kind: set_variables, variables: {day: 2}}]
    reporters: [{name: tell, channel: chat, attach: [scenario_log]}]
"""


def test_a_process_that_is_killed_while_it_sends_leaves_nothing_in_temporary_folders(tmp_path):
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        (tmp_path / "p.yaml").write_text(SPEC_WITH_FILES.replace("PORT", str(silent.getsockname()[1])))
        environ = {**os.environ, "TMPDIR": str(temporary)}
        silent.settimeout(30)
        with subprocess.Popen([sys.executable, "-m", "engine", "run", "p.yaml"], cwd=tmp_path, env=environ) as process:
            connection, _ = silent.accept()
            with connection:
                assert b"scenario_log" in receive_until(connection, b"scenario_log")  # the file is on its way
                process.kill()
    assert [path for path in temporary.rglob("*") if path.is_file()] == []


def receive_until(connection: socket.socket, words: bytes) -> bytes:
    got = b""
    while words not in got and (part := connection.recv(65536)):
        got += part
    return got


def test_nothing_is_remarked_where_nothing_was_warned_of(webhook):
    post = Envelope(MESSAGE, f"json://127.0.0.1:{webhook.port}/alerts", Path(), Path(), "e@localhost", None)
    apprise.send(CHANNEL, post)
    assert post.remarks == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_unless_the_url_says_so(webhook, status):
    webhook.status = status
    url = f"json://127.0.0.1:{webhook.port}/alerts"
    with pytest.raises(RefusedError, match=rf"error={status}.* \(redirects are not followed: ") as caught:
        send(url)
    assert caught.value.counted == 1
    assert webhook.paths == ["/alerts"]
    if status < 304:
        send(f"{url}?redirect=yes")
        assert webhook.paths == ["/alerts", "/alerts", "/sign-in"]


def test_nobody_listens(webhook, root_log):
    with pytest.raises(DeliveryError, match="Connection refused") as caught:
        send("json://Zq7user:Zq7pass@127.0.0.1:1/Zq7token/Zq7more")
    assert "127.0.0.1" in str(caught.value)
    assert "Zq7" not in str(caught.value) + root_log.getvalue()


@pytest.mark.parametrize(
    "url", ["nope://Zq7token/Zq7more", "slack://Zq7token", "json://", "Zq7token", "", "json://[Zq7"]
)
def test_a_url_that_apprise_cannot_use(url, root_log):
    with pytest.raises(DeliveryError, match=r"^apprise cannot use the URL: ") as caught:
        send(url)
    assert "Zq7" not in str(caught.value) + root_log.getvalue()


@pytest.mark.parametrize(
    ("url", "told"),
    [("slack://a/b/c", "slack through apprise"), ("Zq7token", "apprise"), ("Zq7a:Zq7b", "apprise")],
)
def test_a_channel_is_described_without_its_token(url, told):
    assert apprise.describe(CHANNEL, url) == told


LONG = dataclasses.replace(MESSAGE, text="\n".join(f"column_of_a_wide_table_{n} is 0.9" for n in range(200)))


def send_long(url: str) -> None:
    apprise.send(CHANNEL, Envelope(LONG, url, Path(), Path(), "engine@localhost", Outcome.FAILED))


def test_a_text_that_is_too_long_is_cut_at_a_line_and_says_how_much_is_left_out(webhook):
    send_long(f"mmost://127.0.0.1:{webhook.port}/3ccdd113474722377935511fc85d3dd4")
    [post] = webhook.posts
    _, *lines, last, _, note = post["text"].splitlines()  # the first line is the title
    assert len(post["text"]) <= 4000
    assert lines[-1] == f"column_of_a_wide_table_{len(lines) - 1} is 0.9"
    assert last == f"… and {200 - len(lines)} more lines, for which this service has no room"
    assert note == "(Not attached, because this service does not accept files: batch.csv)"


def test_a_service_that_takes_less_than_apprise_knows_gets_less(webhook):
    webhook.judge = lambda post: 200 if len(post["text"]) <= 1000 else 400
    send_long(f"mmost://127.0.0.1:{webhook.port}/3ccdd113474722377935511fc85d3dd4")
    sizes = [len(post["text"]) for post in webhook.posts]
    assert sizes == sorted(sizes, reverse=True)
    assert 500 < sizes[-1] <= 1000
    assert "more lines" in webhook.posts[-1]["text"]


def test_a_url_that_says_what_to_do_with_long_texts_is_obeyed(webhook):
    send_long(f"mmost://127.0.0.1:{webhook.port}/3ccdd113474722377935511fc85d3dd4?overflow=split")
    assert len(webhook.posts) > 1
    assert "199 is 0.9" in webhook.posts[-1]["text"]


@pytest.mark.parametrize("size", [1, 10, 60, 200, 1000])
@pytest.mark.parametrize("text", ["", "one", "a line of some length\n" * 40, "x" * 500, "x" * 500 + "\ny"])
def test_a_shortened_text_fits_if_one_character_of_each_line_does(text, size):
    shorter = shorten_text(text, lambda part: len(part) <= size)
    if len(text) <= size:
        assert shorter == text
    elif size >= 200:
        assert len(shorter) <= size
        assert shorter.endswith(("no room", "…"))
    assert shorter or not text


def test_a_process_ends_although_a_server_that_it_has_given_up_goes_on():
    def drip() -> None:
        connection, _ = slow.accept()
        with connection, contextlib.suppress(OSError):
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\n")
            while not given_up.wait(0.2):
                connection.sendall(b"X")

    script = (
        "import threading, time\n"
        "from engine.spec.urls.apprise_url import load_service\n"
        "service = load_service(URL)\n"
        "threading.Thread(target=service.notify, kwargs={'body': 'text'}, daemon=True).start()\n"
        "time.sleep(3)\n"
    )
    given_up = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as slow:
        server = threading.Thread(target=drip)
        server.start()
        script = script.replace("URL", f"'json://127.0.0.1:{slow.getsockname()[1]}/x'")
        began = time.monotonic()
        subprocess.run([sys.executable, "-c", script], timeout=60, check=True)
        assert time.monotonic() - began < 30
        given_up.set()
        server.join()
