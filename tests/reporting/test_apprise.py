"""Apprise through a real HTTP server: what arrives, and why it did not."""

import base64
from datetime import UTC, datetime
from pathlib import Path

import pytest

from engine.errors import DeliveryError
from engine.outcome import Outcome
from engine.reporting import apprise
from engine.reporting.envelope import Envelope
from engine.reporting.mime import create_html_part
from engine.spec.resources.channels import AppriseChannel
from engine.store import Attachment, OutboxMessage

# apprise loads all its services at the first use.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")

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
    apprise.send(CHANNEL, Envelope(MESSAGE, url, Path(), "engine@localhost", outcome))


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


def test_a_refusal_is_told_in_the_services_words_without_the_token(webhook, root_log, capfd):
    webhook.status, webhook.words = 404, "no channel C42 for Zq7token"
    with pytest.raises(DeliveryError) as caught:
        send(f"json://Zq7user:Zq7pass@127.0.0.1:{webhook.port}/Zq7token")
    assert "error=404" in str(caught.value)
    assert "no channel C42 for ***" in str(caught.value)
    assert len(webhook.posts) == 1
    assert "Zq7" not in str(caught.value) + root_log.getvalue()
    assert capfd.readouterr() == ("", "")


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
