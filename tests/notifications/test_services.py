"""Slack, Teams, Google Chat, Telegram and PagerDuty through Apprise: what each is really sent.

Their addresses are fixed, so a proxy on this machine takes the place of the network: it ends TLS itself, with a
certificate of an authority of our own, which `REQUESTS_CA_BUNDLE` trusts. Nothing of apprise is replaced.
"""

import json
import socket
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from engine.notifications import apprise
from engine.notifications.envelope import Envelope, RefusedError
from engine.outcome import Outcome
from engine.spec.resources.channels import AppriseChannel
from engine.spec.urls.apprise_url import load_service
from engine.store import OutboxMessage

SLACK = "https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"
TEAMS = (
    "https://prod-21.westeurope.logic.azure.com:443/workflows/643e69f83c8944e5be8c7c6bdcd67c83/triggers/manual/paths/"
    "invoke?api-version=2016-06-01&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig=abcdefSIGNATURE"
)
POWER_PLATFORM = (
    "https://default1234567890abcdef.12.environment.api.powerplatform.com:443/powerautomate/automations/direct/workflows/"
    "643e69f83c8944e5be8c7c6bdcd67c83/triggers/manual/paths/invoke?api-version=1&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig=abcdefSIG"
)
GOOGLE_CHAT = "https://chat.googleapis.com/v1/spaces/AAAAspace/messages?key=AIzaKEY123&token=TOKEN456"
TELEGRAM = "tgram://123456789:AAEabcdefghijklmnopqrstuvwxyz123456/-1001234567890"
PAGERDUTY = "pagerduty://a1b2c3d4e5f6a1b2c3d4e5f6a1b2c3d4@u+abcdefghijklmnop?action=map&dedup=card-fraud-drift"


@dataclass
class Network:
    """Requests to any server: its name, the path, the body. Each is answered with `status` and `words`."""

    requests: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    status: str = "200 OK"
    words: str = ""


def serve(listening: socket.socket, tls: ssl.SSLContext, network: Network) -> None:
    while True:
        try:
            connection, _ = listening.accept()
        except OSError:
            return
        with connection:
            asked = b""
            while b"\r\n\r\n" not in asked:
                asked += connection.recv(4096)
            host = asked.split()[1].decode().rpartition(":")[0]
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            try:
                with tls.wrap_socket(connection, server_side=True) as secure, secure.makefile("rb") as stream:
                    path = stream.readline().split()[1].decode()
                    length = 0
                    while (line := stream.readline().strip().lower()) != b"":
                        length = int(line.partition(b":")[2]) if line.startswith(b"content-length") else length
                    network.requests.append((host, path, json.loads(stream.read(length) or b"{}")))
                    words = "ok" if host == "hooks.slack.com" else '{"ok": true}'
                    answer = (network.words or words).encode()
                    head = f"HTTP/1.1 {network.status}\r\nContent-Length: {len(answer)}\r\nConnection: close\r\n\r\n"
                    secure.sendall(head.encode() + answer)
            except OSError:
                continue


@pytest.fixture
def network(service_certificates: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Network]:
    found = Network()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, args=(listening, service_certificates.context, found))
        thread.start()
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{listening.getsockname()[1]}")
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(service_certificates.ca))
        for name in ("https_proxy", "NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.delenv(name, raising=False)
        yield found
        listening.shutdown(socket.SHUT_RDWR)
    thread.join()


def send(url: str, *, recovered: bool = False, outcome: Outcome = Outcome.FAILED) -> None:
    message = OutboxMessage(
        id="1-a.0",
        run=None,
        reporter="r",
        channel="chat",
        to=(),
        subject="Recovered: drift" if recovered else "drift",
        text="drift of <age> is 0.4",
        created=datetime(2026, 11, 23, tzinfo=UTC),
        recovered=recovered,
    )
    apprise.send(AppriseChannel(url=url), Envelope(message, url, Path(), Path(), "", outcome))


@pytest.mark.parametrize(
    ("url", "host", "path"),
    [
        (SLACK, "hooks.slack.com", "/services/T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"),
        (TEAMS, "prod-21.westeurope.logic.azure.com", "/workflows/643e69f83c8944e5be8c7c6bdcd67c83/"),
        (GOOGLE_CHAT, "chat.googleapis.com", "/v1/spaces/AAAAspace/messages"),
        (TELEGRAM, "api.telegram.org", "/bot123456789:AAEabcdefghijklmnopqrstuvwxyz123456/sendMessage"),
        (PAGERDUTY, "events.pagerduty.com", "/v2/enqueue"),
    ],
    ids=["slack", "teams", "google_chat", "telegram", "pagerduty"],
)
def test_the_url_of_the_recipe_reaches_the_service_with_the_text(
    network: Network, url: str, host: str, path: str
) -> None:
    send(url)
    [(asked, where, body)] = network.requests
    assert asked == host
    assert where.startswith(path)
    assert "drift of" in json.dumps(body)


def test_a_recovery_ends_the_incident_that_the_alert_began(network: Network) -> None:
    send(PAGERDUTY)
    send(PAGERDUTY, recovered=True, outcome=Outcome.WARNING)
    bodies = [body for _, _, body in network.requests]
    assert [body["event_action"] for body in bodies] == ["trigger", "resolve"]
    assert {body["dedup_key"] for body in bodies} == {"card-fraud-drift"}


def test_a_service_says_why_it_refuses(network: Network) -> None:
    network.status, network.words = "400 Bad Request", "invalid_blocks"
    with pytest.raises(RefusedError, match="invalid_blocks") as caught:
        send(SLACK)
    assert "TIiajkdnlazkcOXrIdevi7FQ" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "service"),
    [
        ("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ", "Slack"),
        ("slack://xoxb-1234-1234-4ddbc191d40ee098cbaae6f3523ada2d/#ops", "Slack"),
        (
            "workflows://prod-21.westeurope.logic.azure.com:443/643e69f83c8944e5be8c7c6bdcd67c83/abcdefSIGNATURE",
            "Power Automate / Workflows (for MSTeams)",
        ),
        (POWER_PLATFORM, "Power Automate / Workflows (for MSTeams)"),
        ("gchat://AAAAspace/AIzaKEY123/TOKEN456", "Google Chat"),
        ("pagerduty://a1b2c3d4e5f6a1b2c3d4e5f6a1b2c3d4@u+abcdefghijklmnop/engine/drift?region=eu", "Pager Duty"),
    ],
)
def test_other_forms_of_their_urls_are_accepted(url: str, service: str) -> None:
    """These are only read, and not sent to."""
    assert load_service(url).service_name == service
