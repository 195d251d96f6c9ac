"""A mail server that is gone, then back: the alert arrives, once, and the exit code tells until it has."""

import json
import os
import socket
import subprocess
import sys
from email import message_from_bytes
from pathlib import Path

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from ..notifications.mail_server import MailServer  # noqa: TID252 - one mail server for all tests

ENGINE = Path(sys.executable).with_name("engine")
PASSWORD = "tr0ub4dor&3"
SPEC = """
version: 1
project: p
secrets: {mail: {env: MAIL_URL}}
channels: {ops: {kind: mail, url: "${secret.mail}", from: engine@example.com}}
scenarios:
  quiet: {steps: [{name: say, kind: python, function: "mine:warn"}]}
  loud:
    steps: [{name: say, kind: python, function: "mine:warn"}]
    reporters: [{name: tell, channel: ops, to: [ops@example.com], attach: [scenario_log]}]
"""


class Inbox:
    """Keeps what arrives."""

    def __init__(self) -> None:
        self.mails: list[bytes] = []

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - its name
        assert isinstance(envelope.content, bytes)
        self.mails.append(envelope.content)
        return "250 taken"


def knows(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: LoginPassword) -> AuthResult:
    return AuthResult(success=data == LoginPassword(b"user", PASSWORD.encode()))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_a_mail_server_that_is_gone_gets_the_alert_when_it_is_back(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(SPEC)
    (tmp_path / "mine.py").write_text(
        "import os\ndef warn():\n    print('talk')\n    return 'WARNING', 'the url is ' + os.environ['MAIL_URL']\n"
    )
    port = free_port()
    url = f"smtp://user:tr0ub4dor%263@127.0.0.1:{port}"

    def run(scenario: str) -> subprocess.CompletedProcess[str]:
        environ = {**os.environ, "MAIL_URL": url}
        return subprocess.run(
            [ENGINE, "run", "p.yaml", scenario, "--format", "json"],
            cwd=tmp_path,
            env=environ,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    first = run("loud")
    assert first.returncode == 4, first.stderr
    (delivery,) = json.loads(first.stdout)["runs"][0]["deliveries"]
    assert delivery["state"] == "PENDING"
    assert "Connection refused" in delivery["reason"]
    assert run("quiet").returncode == 4
    inbox = Inbox()
    server = MailServer(inbox, hostname="127.0.0.1", port=port, authenticator=knows, auth_require_tls=False)
    server.start()
    try:
        sender = run("quiet")
        assert sender.returncode == 0
        assert run("quiet").returncode == 0
    finally:
        server.stop()
    ids = [json.loads(each.stdout)["runs"][0]["id"] for each in (first, sender)]
    shown = subprocess.run(
        [ENGINE, "show", "p.yaml", "--run", ids[0], "--format", "json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    told = json.loads(shown.stdout)
    (delivery,) = told["deliveries"]
    assert delivery["state"] == "SENT"
    assert delivery["reason"].endswith(f" by run {ids[1]}")
    events = [event["what"] for event in told["events"] if event["kind"] == "delivery"]
    assert [event.split(": ")[1] for event in events] == ["PENDING", f"SENT by run {ids[1]}"]
    (mail,) = inbox.mails
    alert = message_from_bytes(mail)
    assert alert["Message-ID"]
    assert [part.get_filename() for part in alert.walk() if part.get_filename()] == ["scenario_log.txt"]
    (log,) = [part.get_payload(decode=True) for part in alert.walk() if part.get_filename()]
    assert b"the url is ***" in log
    written = [path.read_bytes() for path in (tmp_path / ".engine").rglob("*") if path.is_file()]
    for secret in (PASSWORD, "tr0ub4dor%263", url):
        assert secret not in first.stderr
        assert all(secret.encode() not in content for content in [*written, mail])
