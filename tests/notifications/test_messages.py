"""What a reporter says of a run: the texts word for word, what is missing, what is attached, what is masked."""

import dataclasses
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from engine.errors import DataError, Position, Severity
from engine.evaluation.bounds import bounds_from_json
from engine.evaluation.record import CheckResult
from engine.formatting.numbers import format_duration
from engine.notifications import (
    RunFacts,
    compose_message,
    create_check_event,
    create_step_event,
    decide_sending,
    format_event,
)
from engine.notifications.facts import summarize_events
from engine.notifications.messages import MAX_ATTACHMENT_BYTES
from engine.notifications.mime import is_html_part
from engine.outcome import CheckOutcome, Outcome
from engine.spec import ProjectSpec, Secrets, load
from engine.spec.conditions import ConditionFacts
from engine.spec.resources.scenarios import Reporter
from engine.store import OutboxMessage

STARTED = datetime(2026, 11, 23, 1, 38, tzinfo=UTC)
ENDED = datetime(2026, 11, 23, 1, 41, 20, tzinfo=UTC)
PLANTED = "Zq7<pl&nted>\"secret'"
DRIFT = CheckResult(
    target="the_MES",
    check="data drift < 0.45",
    metric="data_drift",
    outcome=CheckOutcome.WARNING,
    counts_as=CheckOutcome.WARNING,
    value=0.52134567,
    bounds=bounds_from_json({"soft_max": 0.45}),
    reason="0.521346 is above soft_max 0.45",
    position=Position("card_fraud.yaml", 62, 7),
)
MOVED = dataclasses.replace(
    DRIFT, check="feature drift", metric="drift.card_age", value=0.01, outcome=CheckOutcome.OK,
    counts_as=CheckOutcome.OK, bounds=bounds_from_json({"soft_max": 0.1, "max": 0.3}),
)  # fmt: skip
EMPTY = dataclasses.replace(
    MOVED, metric="drift.flag", value=None, outcome=CheckOutcome.EMPTY, counts_as=CheckOutcome.WARNING,
    reason="the column is empty",
)  # fmt: skip
BROKEN = dataclasses.replace(
    MOVED, metric="drift.<i>", value=0.4, outcome=CheckOutcome.ERROR, counts_as=CheckOutcome.ERROR
)


def run_facts(*checks: CheckResult, **changes: Any) -> RunFacts:
    known = ConditionFacts(
        outcome=Outcome.WARNING,
        steps={"Build MES": Outcome.SUCCESS, "MES_Warn": Outcome.WARNING},
        checks={check.check: check.outcome for check in checks},
        metrics={"data_drift": 0.52134567, "roc_auc": None},
        variables={"quarter": "Q4 2017", "period_start": datetime(2017, 10, 1, tzinfo=UTC).date()},
    )
    facts = RunFacts(
        project="card_fraud",
        scenario="Data drift monitor",
        run_id="20261123-013800-123456-7f3a9c1b",
        started=STARTED,
        ended=ENDED,
        condition_facts=known,
        checks=checks,
        events=[create_check_event(check, ENDED) for check in checks],
        server_url="http://127.0.0.1:7310",
    )
    return dataclasses.replace(facts, **changes)


@pytest.fixture
def project(spec_file: Path) -> ProjectSpec:
    return load(spec_file, environ={})


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log.txt"
    path.write_text(f"Build MES: ü\nsaid {PLANTED}\n", encoding="utf-8")
    return path


def no_csv(name: str) -> Iterable[bytes]:
    raise DataError(f"{name}: no file matches")


def say(
    project: ProjectSpec, facts: RunFacts, csv_of: Any = no_csv, environ: Any = None, **settings: Any
) -> OutboxMessage:
    reporter = Reporter(name="r", channel="files", **settings)
    secrets = Secrets(project, environ or {})
    return compose_message(reporter, facts, secrets, message_id="1-a", now=ENDED, csv_of=csv_of)


def html_of(message: OutboxMessage) -> str:
    [content] = [part.content for part in message.attachments if is_html_part(part)]
    assert content is not None
    return content.decode()


def test_the_examples_reporter_word_for_word(project, log):
    reporter = project.scenarios["Data drift monitor"].reporters[0]
    facts = run_facts(DRIFT, MOVED, log=log)
    message = compose_message(reporter, facts, Secrets(project, {}), message_id="1-a", now=ENDED, csv_of=no_csv)
    assert (message.channel, message.to, message.reporter) == ("ops_mail", ("mlops@example.com",), "Data drift warning")
    assert message.subject == 'DSS scenario "Data drift monitor" issued a warning'
    assert message.text == (
        "The “Data drift monitor” scenario returned a warning for exceeding the data drift threshold.\n"
        "Here’s the summary of warning events:\n"
        "data drift < 0.45: data_drift is 0.521346, allowed: soft_max 0.45 (the_MES, card_fraud.yaml:62)\n"
        "You can find the attached scenario log or view the scenario run here: "
        "http://127.0.0.1:7310/runs/20261123-013800-123456-7f3a9c1b\n"
    )
    [file] = [part for part in message.attachments if not is_html_part(part)]
    assert (file.name, file.media_type) == ("scenario_log.txt", "text/plain")
    assert file.content == log.read_bytes()


def test_every_name_is_filled(project):
    text = (
        "${scenarioName}|${projectKey}|${outcome}|${triggerName}|${trigger}|${scenarioRunId}|${startTime}|${duration}|"
        "${stepOutcome_Build_MES}|${steps['Build MES'].outcome}|${checks['data drift < 0.45'].outcome}|"
        "${metrics['data_drift']}|${quarter}|${period_start}|$${quarter}"
    )
    assert say(project, run_facts(DRIFT), message=text).text == (
        "Data drift monitor|card_fraud|WARNING|manual|manual|20261123-013800-123456-7f3a9c1b|2026-11-23 01:38:00 UTC|"
        "3 min 20 s|SUCCESS|SUCCESS|WARNING|0.521346|Q4 2017|2017-10-01|${quarter}"
    )


def test_what_has_no_value_is_a_visible_note(project):
    facts = run_facts(server_url=None, ended=None, condition_facts=ConditionFacts(metrics={"roc_auc": None}))
    text = "${scenarioRunURL} ${outcome} ${duration} ${metrics['roc_auc']} ${metrics['psi.age']} ${nothing}"
    assert say(project, facts, message=text).text == (
        "[no scenarioRunURL: the spec has no server url] [the run has not ended] [the run has not ended] "
        "[roc_auc has no value] [${metrics['psi.age']} has no value in this run] [${nothing} has no value in this run]"
    )


def test_a_summary_lists_events_by_severity(project):
    step = create_step_event("Build MES", Outcome.FAILED, "transactions/*.parquet: no file\nmatches", ENDED)
    noted = create_step_event("MES_Warn", Outcome.WARNING, "", ENDED)
    facts = run_facts(DRIFT, MOVED, EMPTY, BROKEN)
    facts = dataclasses.replace(facts, events=[*facts.events, step, noted])
    where = "(the_MES, card_fraud.yaml:62)"
    assert summarize_events(facts, Severity.WARNING).split("\n") == [
        f"data drift < 0.45: data_drift is 0.521346, allowed: soft_max 0.45 {where}",
        f"feature drift: drift.flag has no value: the column is empty, allowed: soft_max 0.1, max 0.3 {where}",
    ]
    assert say(project, facts, message="${errorsEventsSummary}").text.split("\n") == [
        f"feature drift: drift.<i> is 0.4, allowed: soft_max 0.1, max 0.3 {where}",
        "step Build MES FAILED: transactions/*.parquet: no file matches",
    ]
    assert say(project, facts, message="${checksSummary}").text.split("\n") == [
        "checks: 1 ERROR, 1 WARNING, 1 EMPTY, 1 OK",
        f"ERROR feature drift: drift.<i> is 0.4, allowed: soft_max 0.1, max 0.3 {where}",
        f"WARNING data drift < 0.45: data_drift is 0.521346, allowed: soft_max 0.45 {where}",
        f"EMPTY feature drift: drift.flag has no value: the column is empty, allowed: soft_max 0.1, max 0.3 {where}",
        f"OK feature drift: drift.card_age is 0.01, allowed: soft_max 0.1, max 0.3 {where}",
    ]


def test_checks_that_are_ok_but_measured_nothing_are_reported(project):
    late = CheckResult("the_MES", "auc", "roc_auc", CheckOutcome.EMPTY, CheckOutcome.OK, reason="no labels")
    fine = CheckResult("the_MES", "drift", "data_drift", CheckOutcome.OK, CheckOutcome.OK, value=0.5)
    text = say(project, run_facts(late, fine), message="${checksSummary}").text
    assert text.split("\n")[0] == "checks: 1 EMPTY, 1 OK; OK: 2 checks, 1 of them measured nothing: roc_auc (no labels)"


def test_a_check_that_is_a_function_tells_its_reason():
    check = CheckResult("the_MES", "mine", "", CheckOutcome.ERROR, CheckOutcome.ERROR, reason="too many zeros")
    assert format_event(create_check_event(check, ENDED)) == "mine: too many zeros (the_MES)"


def test_nothing_to_tell_is_said(project):
    text = "${warningsEventsSummary}, ${errorsEventsSummary}, ${checksSummary}"
    assert say(project, run_facts(), message=text).text == "no warnings, no errors, no checks"


def test_a_thousand_warnings_fit_into_a_mail(project):
    many = [dataclasses.replace(DRIFT, metric=f"drift.c{index}") for index in range(1000)]
    message = say(project, run_facts(*many), message="${warningsEventsSummary}")
    assert message.text.count("\n") == 100
    assert message.text.endswith("… and 900 more")
    assert html_of(message).count("<tr>") == 101
    assert "… and 900 more" in html_of(message)


def test_the_html_form_shows_the_text_and_the_checks_and_runs_nothing(project):
    facts = run_facts(DRIFT, BROKEN, scenario="<script>alert(1)</script>")
    html = html_of(say(project, facts, message="${scenarioName}\n<b>${warningsEventsSummary}</b>"))
    assert "<script" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;<br>\n&lt;b&gt;data drift &lt; 0.45: data_drift is 0.521346" in html
    cells = ["data drift &lt; 0.45", "the_MES", "data drift", "0.5213", "soft max 0.45", "WARNING"]
    assert all(f">{cell}</td>" in html for cell in cells)
    assert html.index("drift of &lt;i&gt;") < html.index(">data drift<")
    assert "http-equiv" not in html
    assert "src=" not in html


@pytest.mark.parametrize(
    ("condition", "sent"),
    [
        (None, True),
        ("stepOutcome_MES_Warn == 'WARNING'", True),
        ("outcome == 'FAILED'", False),
        ("checks['data drift < 0.45'].outcome == 'WARNING' && metrics['data_drift'] > 0.5", True),
        ("metrics['data_drift'] > 0.6", False),
        ("quarter == 'Q4 2017'", True),
    ],
)
def test_the_run_condition_decides(project, condition, sent):
    reporter = Reporter(name="r", channel="files", run_condition=condition)
    assert decide_sending(reporter, run_facts(DRIFT).condition_facts).sends == sent


def test_a_condition_that_cannot_be_decided_sends_and_says_so(project):
    reporter = Reporter(name="r", channel="files", run_condition="metrics['roc_auc'] < 0.7")
    sending = decide_sending(reporter, run_facts().condition_facts)
    assert sending.sends
    message = say(project, run_facts(notes=[sending.note]), message="Hello")
    first, note = message.text.split("\n")
    assert first == "Hello"
    assert note.startswith("Note: the run condition metrics['roc_auc'] < 0.7 cannot be evaluated, so this was sent: ")
    assert "Note: the run condition" in html_of(message)


def test_an_inactive_reporter_says_nothing(project):
    reporter = Reporter(name="r", channel="files", active=False)
    assert not decide_sending(reporter, run_facts().condition_facts).sends


def test_a_dataset_is_attached_as_csv(project):
    def csv_of(name: str) -> Iterable[bytes]:
        assert name == "batch"
        yield b"a,b\n"
        yield "1,ü\n".encode()

    message = say(project, run_facts(), csv_of, attach=["dataset:batch"])
    [file] = [part for part in message.attachments if not is_html_part(part)]
    assert (file.name, file.media_type, file.content) == ("batch.csv", "text/csv", "a,b\n1,ü\n".encode())


def test_a_big_dataset_is_read_and_attached_in_part(project):
    read = []

    def csv_of(name: str) -> Iterable[bytes]:
        for row in range(1_000_000):
            read.append(row)
            yield b"%09d\n" % row * 1000

    message = say(project, run_facts(), csv_of, attach=["dataset:batch"], message="")
    [file] = [part for part in message.attachments if not is_html_part(part)]
    assert file.content is not None
    assert MAX_ATTACHMENT_BYTES - 10 <= len(file.content) <= MAX_ATTACHMENT_BYTES
    assert file.content.endswith(b"\n")
    assert len(read) <= MAX_ATTACHMENT_BYTES / 10_000 + 1
    assert "Note: batch.csv is truncated: only its first 2 MB are attached" in message.text


def test_a_long_log_keeps_its_end(project, tmp_path):
    log = tmp_path / "long.txt"
    log.write_text("".join(f"{line:09d}\n" for line in range(300_000)))
    message = say(project, run_facts(log=log), attach=["scenario_log"], message="")
    [file] = [part for part in message.attachments if not is_html_part(part)]
    assert file.content is not None
    assert len(file.content) == MAX_ATTACHMENT_BYTES
    assert file.content.endswith(b"000299999\n")
    assert "only its last 2 MB" in message.text


def test_what_cannot_be_attached_is_said_and_the_rest_goes_out(project, log, tmp_path):
    message = say(project, run_facts(log=log), attach=["dataset:batch", "scenario_log"], message="Hello")
    assert message.text.split("\n")[1] == "Note: dataset:batch is not attached: batch: no file matches"
    assert [part.name for part in message.attachments if not is_html_part(part)] == ["scenario_log.txt"]
    gone = say(project, run_facts(log=tmp_path / "gone"), attach=["scenario_log"], message="Hello")
    assert "Note: scenario_log is not attached: " in gone.text
    assert "the run keeps no log" in say(project, run_facts(), attach=["scenario_log"], message="Hello").text


def test_secrets_are_masked_wherever_they_come_from(project, log):
    def csv_of(name: str) -> Iterable[bytes]:
        yield f"a\n{PLANTED}\n".encode()

    said = dataclasses.replace(DRIFT, check=f"check {PLANTED}", target=PLANTED)
    message = say(
        project,
        run_facts(said, scenario=f"monitor {PLANTED}", log=log),
        csv_of,
        {"NEEDED": PLANTED},
        subject="${scenarioName}",
        message="${scenarioName} ${warningsEventsSummary}",
        attach=["scenario_log", "dataset:batch"],
        run_condition="metrics['roc_auc'] < 0.7",
    )
    everything = [message.subject, message.text, *[(part.content or b"").decode() for part in message.attachments]]
    assert len(everything) == 5
    for text in everything:
        assert "***" in text
        assert "Zq7" not in text
        assert "nted" not in text


def test_a_subject_is_one_line_whatever_a_variable_holds(project):
    known = ConditionFacts(variables={"quarter": "Q4\r\nBcc: everybody@example.com\x00"})
    message = say(project, run_facts(condition_facts=known), subject="${quarter}", message="a\x00\x1b[31m\tb")
    assert message.subject == "Q4 Bcc: everybody@example.com"
    assert message.text == "a  [31m\tb"


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0.0003, "0 s"),
        (0.0181, "0.018 s"),
        (9.96, "10.0 s"),
        (12.4, "12 s"),
        (59.9, "1 min 0 s"),
        (200, "3 min 20 s"),
        (7500, "2 h 5 min"),
    ],
)
def test_durations_are_written_for_people(seconds, told):
    assert format_duration(seconds) == told
