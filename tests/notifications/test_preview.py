"""A preview shows what would be sent and sends nothing."""

from datetime import UTC, datetime

from engine.notifications import RunFacts, compose_message, decide_sending, preview_message, preview_silence
from engine.outcome import Outcome
from engine.spec import Secrets, load
from engine.spec.conditions import ConditionFacts

NOW = datetime(2026, 11, 23, 1, 38, tzinfo=UTC)


def text_of(spec_file, environ, step=Outcome.WARNING):
    project = load(spec_file, environ=environ)
    secrets = Secrets(project, environ)
    log = spec_file.with_name("log.txt")
    log.write_text("a line\n")
    known = ConditionFacts(outcome=Outcome.WARNING, steps={"MES_Warn": step})
    facts = RunFacts("card_fraud", "Data drift monitor", "1-a", NOW, known, ended=NOW, log=log)
    reporter = project.scenarios["Data drift monitor"].reporters[0]
    sending = decide_sending(reporter, known)
    if not sending.sends:
        return preview_silence(reporter, sending.reason, secrets)
    message = compose_message(reporter, facts, secrets, message_id="2-b", now=NOW, csv_of=lambda _: ())
    return preview_message(reporter, message, project, secrets)


def test_the_message_and_where_it_would_go(spec_file, servers, tmp_path):
    inbox = servers.start()
    text = text_of(spec_file, {"SMTP_URL": f"smtp://Zq7user:Zq7pass@127.0.0.1:{inbox.port}"})
    assert text == (
        'Reporter "Data drift warning" would send through channel "ops_mail", '
        f"mail from dss@example.com through 127.0.0.1:{inbox.port} (not encrypted):\n"
        "  To: mlops@example.com\n"
        '  Subject: DSS scenario "Data drift monitor" issued a warning\n'
        "  Attached: scenario_log.txt (7 bytes)\n"
        "\n"
        "  The “Data drift monitor” scenario returned a warning for exceeding the data drift threshold.\n"
        "  Here’s the summary of warning events:\n"
        "  no warnings\n"
        "  You can find the attached scenario log or view the scenario run here: "
        "[no scenarioRunURL: the spec has no server url]\n\n"
    )
    assert inbox.mails == []


def test_a_preview_says_that_mails_become_files_without_the_secret(spec_file, tmp_path):
    assert 'channel "ops_mail", files in outbox, because the secret smtp_url is absent:' in text_of(spec_file, {})
    assert not (tmp_path / "outbox").exists()


def test_a_condition_that_does_not_hold(spec_file):
    text = text_of(spec_file, {}, Outcome.SUCCESS)
    start = 'Reporter "Data drift warning" would send nothing: its run_condition is false: '
    assert text.startswith(start)


def test_a_channel_that_cannot_be_used_is_said(spec_file):
    text = text_of(spec_file, {"SMTP_URL": "smtp://Zq7user:Zq7/pass@host"})
    assert "which cannot be used: the mail URL cannot be read." in text
    assert "Zq7" not in text
