"""A mail server that is gone, then back: the alert arrives, once, and the exit code tells until it has."""

import json
import subprocess
from pathlib import Path

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from ..command_line import call_engine
from ..mailboxes import run_mailbox
from ..ports import find_free_port

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


def knows(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: LoginPassword) -> AuthResult:
    return AuthResult(success=data == LoginPassword(b"user", PASSWORD.encode()))


def test_a_mail_server_that_is_gone_gets_the_alert_when_it_is_back(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(SPEC)
    (tmp_path / "mine.py").write_text(
        "import os\ndef warn():\n    print('talk')\n    return 'WARNING', 'the url is ' + os.environ['MAIL_URL']\n"
    )
    port = find_free_port()
    url = f"smtp://user:tr0ub4dor%263@127.0.0.1:{port}"

    def run(scenario: str) -> subprocess.CompletedProcess[str]:
        return call_engine(tmp_path, "run", "p.yaml", scenario, "--format", "json", MAIL_URL=url)

    first = run("loud")
    assert first.returncode == 4, first.stderr
    (delivery,) = json.loads(first.stdout)["runs"][0]["deliveries"]
    assert delivery["state"] == "PENDING"
    assert "Connection refused" in delivery["reason"]
    assert run("quiet").returncode == 4
    with run_mailbox(port, authenticator=knows, auth_require_tls=False) as mailbox:
        sender = run("quiet")
        assert sender.returncode == 0
        assert run("quiet").returncode == 0
    ids = [json.loads(each.stdout)["runs"][0]["id"] for each in (first, sender)]
    shown = call_engine(tmp_path, "show", "p.yaml", "--run", ids[0], "--format", "json")
    told = json.loads(shown.stdout)
    (delivery,) = told["deliveries"]
    assert delivery["state"] == "SENT"
    assert delivery["reason"].endswith(f" by run {ids[1]}")
    events = [event["what"] for event in told["events"] if event["kind"] == "delivery"]
    assert [event.split(": ")[1] for event in events] == ["PENDING", f"SENT by run {ids[1]}"]
    (alert,) = mailbox.mails
    assert alert["Message-ID"]
    assert [part.get_filename() for part in alert.walk() if part.get_filename()] == ["scenario_log.txt"]
    (log,) = [part.get_payload(decode=True) for part in alert.walk() if part.get_filename()]
    assert b"the url is ***" in log
    written = [path.read_bytes() for path in (tmp_path / ".engine").rglob("*") if path.is_file()]
    for secret in (PASSWORD, "tr0ub4dor%263", url):
        assert secret not in first.stderr
        assert all(secret.encode() not in content for content in [*written, alert.as_bytes()])
