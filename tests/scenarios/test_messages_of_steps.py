"""Steps that send a message: to a real mail server, to one that is gone, in a plan, in a dry run, and after a kill."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session

from engine.scenarios.session import CallResult
from engine.store import Store

from ..command_line import call_engine
from ..mailboxes import Mailbox, read_text, run_mailbox
from ..ports import find_free_port

Run = Callable[..., CallResult]


def mail(port: int) -> str:
    return f'{{kind: mail, url: "smtp://127.0.0.1:{port}?tls=none", from: engine@example.com}}'


@pytest.mark.slow
def test_a_step_sends_what_is_known_at_that_point(
    spec: Callable[[str], Path], run: Run, rows: Callable[..., Path], mailbox: Mailbox, tmp_path: Path
) -> None:
    rows("new.parquet", 50)
    (tmp_path / "text.txt").write_text(
        "turn ${n}: ${checksSummary}\n${steps['check'].outcome}, ${metrics['row_count']}\n"
    )
    spec(f"""
        variables: {{n: 1}}
        datasets: {{new: {{path: new.parquet, checks: {{many: {{metric: row_count, soft_min: 100}}}}}}}}
        channels: {{ops: {mail(mailbox.port)}}}
        scenarios:
          all:
            for_each: [{{n: 1}}, {{n: 2}}]
            steps:
              - {{name: first, kind: send_message, channel: ops, to: [a@example.com], subject: "${{n}} ${{outcome}}"}}
              - {{name: check, kind: run_checks, target: new}}
              - name: then
                kind: send_message
                channel: ops
                to: [a@example.com]
                bcc: [b@example.com]
                attach: [scenario_log, "dataset:new"]
                message_file: text.txt
              - {{name: quiet, kind: send_message, channel: ops, to: [a@b.c], run_condition: "outcome == 'FAILED'"}}
              - {{name: own, kind: send_message, channel: ops, to: [a@example.com], timeout: 60s,
                  message: "${{stepOutcome_check}} ${{n}} ${{stepOutcome_quiet}}"}}
    """)
    (result,) = run().runs
    assert [str(step.outcome) for step in result.steps] == ["SUCCESS", "WARNING", "SUCCESS", "SKIPPED", "SUCCESS"] * 2
    first, then, own, *second = mailbox.mails
    assert first["Subject"] == "1 SUCCESS"
    assert second[0]["Subject"] == "2 SUCCESS"  # each iteration begins anew
    assert then["Subject"] == "all: WARNING so far"
    assert read_text(then).startswith("turn 1: checks: 1 WARNING\n")
    assert "\nWARNING, 50\n" in read_text(then)
    assert "many: row_count is 50" in read_text(second[1])
    assert then["Bcc"] is None
    assert [part.get_filename() for part in then.walk() if part.get_filename()] == ["scenario_log.txt", "new.csv"]
    assert read_text(own).strip() == "WARNING 1 SKIPPED"
    assert read_text(second[2]).strip() == "WARNING 2 SKIPPED"
    assert len({letter["Message-ID"] for letter in mailbox.mails}) == len(mailbox.mails) == 6
    assert [(one.reporter, one.state) for one in result.deliveries] == [
        (name, "SENT") for name in ("first", "then", "own") * 2
    ]
    assert result.steps[2].reason.startswith("to ops: SENT")


@pytest.mark.slow
def test_a_plan_says_that_it_would_be_sent_and_a_dry_run_and_a_preview_show_it(
    spec: Callable[[str], Path], mailbox: Mailbox, tmp_path: Path
) -> None:
    spec(f"""
        channels: {{ops: {mail(mailbox.port)}}}
        scenarios:
          all:
            steps:
              - {{name: tell, kind: send_message, channel: ops, to: [a@example.com], message: hello at last}}
              - {{name: own, kind: send_message, channel: ops, to: [a@example.com], message: from afar, timeout: 60s}}
              - {{name: off, kind: send_message, channel: ops, to: [a@example.com], active: false}}
    """)
    planned = call_engine(tmp_path, "plan", "project.yaml")
    assert "· send tell to ops: at this point of the run" in planned.stdout
    assert "2 messages may be sent" in planned.stdout
    for option in ("--dry-run", "--preview-reporters"):
        shown = call_engine(tmp_path, "run", "project.yaml", option)
        assert shown.returncode == 0, shown.stderr
        assert 'Step "tell" would send through channel "ops"' in shown.stdout
        assert "hello at last" in shown.stdout
        assert "from afar" in shown.stdout
        assert "tell  SUCCESS  shown, and not sent" in shown.stdout
    assert mailbox.mails == []
    assert call_engine(tmp_path, "run", "project.yaml").returncode == 0
    assert len(mailbox.mails) == 2


@pytest.mark.slow
def test_a_message_to_a_server_that_is_gone_waits_and_is_sent_once_it_is_back(
    spec: Callable[[str], Path], tmp_path: Path
) -> None:
    port = find_free_port()
    spec(f"""
        channels: {{ops: {mail(port)}}}
        scenarios:
          all: {{steps: [{{name: tell, kind: send_message, channel: ops, to: [a@example.com]}}]}}
          quiet: {{steps: [{{name: s, kind: set_variables, variables: {{x: 1}}}}]}}
        variables: {{x: 0}}
    """)
    first = call_engine(tmp_path, "run", "project.yaml", "all", "--format", "json")
    assert first.returncode == 4
    (result,) = json.loads(first.stdout)["runs"]
    assert result["outcome"] == result["steps"][0]["outcome"] == "SUCCESS"
    assert "PENDING" in result["steps"][0]["reason"]
    assert "Connection refused" in result["steps"][0]["reason"]
    assert [one["state"] for one in result["deliveries"]] == ["PENDING"]
    with run_mailbox(port) as mailbox:
        assert [call_engine(tmp_path, "run", "project.yaml", "quiet").returncode for _ in "ab"] == [0, 0]
    assert [letter["Subject"] for letter in mailbox.mails] == ["all: SUCCESS so far"]


@pytest.mark.parametrize(("on_warning", "code"), [("warn", 4), ("fail", 3)])
def test_a_message_that_is_refused_for_good_is_a_warning_which_may_fail_the_run(
    on_warning: str, code: int, spec: Callable[[str], Path], mailbox: Mailbox, tmp_path: Path
) -> None:
    mailbox.refusal = "550 nobody of that name"
    spec(f"""
        channels: {{ops: {mail(mailbox.port)}}}
        scenarios:
          all:
            steps:
              - {{name: tell, kind: send_message, channel: ops, to: [a@example.com], on_warning: {on_warning}}}
    """)
    done = call_engine(tmp_path, "run", "project.yaml")
    assert done.returncode == code, done.stdout
    outcome = "FAILED" if on_warning == "fail" else "WARNING"
    assert f"tell  {outcome}  to ops: REFUSED: refused for good: 127.0.0.1: a@example.com: 550 nobody" in done.stdout


KILLER = """
import os, signal

from engine.scenarios.alerts import composition

deliver = composition.deliver_waiting_messages


def die_before_delivery(context, *, of_earlier_runs):
    if context.store.outbox.list_undelivered(context.run):
        os.kill(os.getpid(), signal.SIGKILL)
    return deliver(context, of_earlier_runs=of_earlier_runs)


composition.deliver_waiting_messages = die_before_delivery
from engine.cli.main import main

main()
"""
"""A run that dies at the moment at which its message has been committed and nothing was sent."""


@pytest.mark.slow
def test_a_run_killed_between_commit_and_delivery_sends_the_message_once_with_the_next_run(
    spec: Callable[[str], Path], mailbox: Mailbox, tmp_path: Path
) -> None:
    spec(f"""
        channels: {{ops: {mail(mailbox.port)}}}
        scenarios:
          all: {{steps: [{{name: tell, kind: send_message, channel: ops, to: [a@example.com]}}]}}
          quiet: {{steps: [{{name: s, kind: set_variables, variables: {{x: 1}}}}]}}
        variables: {{x: 0}}
    """)
    killer = tmp_path / "killer.py"
    killer.write_text(KILLER)
    died = subprocess.run(
        [sys.executable, killer, "run", "project.yaml", "all"],
        cwd=tmp_path,
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert died.returncode == -signal.SIGKILL
    assert mailbox.mails == []
    assert call_engine(tmp_path, "run", "project.yaml", "quiet").returncode == 0
    assert call_engine(tmp_path, "run", "project.yaml", "quiet").returncode == 0
    assert [letter["Subject"] for letter in mailbox.mails] == ["all: SUCCESS so far"]


def test_a_step_that_is_tried_again_does_not_send_twice(
    spec: Callable[[str], Path], run: Run, mailbox: Mailbox, tmp_path: Path
) -> None:
    """The server takes the message so slowly that the step's time is over, although the message has been committed."""
    spec(f"""
        channels: {{ops: {mail(mailbox.port)}}}
        scenarios:
          all:
            steps:
              - {{name: tell, kind: send_message, channel: ops, to: [a@b.c], timeout: 2s, retries: {{count: 2}}}}
    """)
    taken = mailbox.handle_DATA

    async def slow(server: SMTP, session: Session, envelope: Envelope) -> str:
        time.sleep(4 if not mailbox.mails else 0)
        return await taken(server, session, envelope)

    mailbox.handle_DATA = slow
    (result,) = run().runs
    with Store.open(tmp_path / ".engine" / "test") as store:
        ids = {letter["Message-ID"] for letter in mailbox.mails}
        waiting = {f"<{one.id}@example.com>" for one in store.outbox.list_undelivered()}
        assert len(ids | waiting) == 1
    assert result.steps[0].tries >= 2
