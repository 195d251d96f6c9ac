"""Both examples, run as processes: what they find, whom they tell, what the second run does not do again."""

import json
from collections.abc import Callable
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from engine.evaluation.record import Evaluation
from engine.outcome import Outcome
from engine.store import Store

from ..mailboxes import Mailbox

Done = CompletedProcess[str]
SUBJECT = 'DSS scenario "Data drift monitor" issued a warning'
MOVED = {"card_age", "card_fico_score"}


def evaluations(folder: Path, store: str, project: str = "card_fraud") -> list[Evaluation]:
    with Store.open(folder / ".engine" / project) as state:
        return state.evaluations.history(store)


def drift_table(evaluation: Evaluation) -> dict[str, float]:
    """Each column's drift, the largest first."""
    found = {name: metric.value for name, metric in evaluation.metrics.items() if name.startswith("drift.")}
    return {name.removeprefix("drift."): value for name, value in sorted(found.items(), key=lambda i: -(i[1] or 0))}


def outbox(folder: Path) -> list[EmailMessage]:
    mails = [message_from_bytes(path.read_bytes(), policy=policy.default) for path in folder.glob("outbox/*.eml")]
    assert all(isinstance(mail, EmailMessage) for mail in mails)
    return mails


def assert_is_the_warning(mail: EmailMessage) -> None:
    assert mail["Subject"] == SUBJECT
    assert mail["From"] == "dss@example.com"
    assert mail["To"] == "mlops@example.com"
    plain, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert plain is not None
    assert html is not None
    first, second, *summary, last = plain.get_content().strip().splitlines()
    assert first == "The “Data drift monitor” scenario returned a warning for exceeding the data drift threshold."
    assert second == "Here’s the summary of warning events:"
    assert any("data drift < 0.45" in line and "the_MES" in line for line in summary)
    assert last.startswith(
        "You can find the attached scenario log or view the scenario run here: http://127.0.0.1:7310/"
    )
    (log,) = mail.iter_attachments()
    assert "MES_Warn" in log.get_content()


def test_card_fraud_warns_and_does_not_fail(first_run: tuple[Path, Done]) -> None:
    folder, done = first_run
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    json.loads(done.stdout)
    with Store.open(folder / ".engine" / "card_fraud") as state:
        monitored = state.runs.history("Data drift monitor")
        built = state.runs.history("Build_Project_MES")
    assert [run.outcome for run in monitored] == [Outcome.WARNING]
    assert [run.outcome for run in built] == [Outcome.SUCCESS]


def test_card_fraud_evaluates_each_quarter_once(card_fraud: Path) -> None:
    found = evaluations(card_fraud, "the_MES")
    assert [evaluation.name for evaluation in found] == ["Q2 2017", "Q3 2017", "Q4 2017"]
    assert [evaluation.labels["quarter"] for evaluation in found] == ["Q2 2017", "Q3 2017", "Q4 2017"]
    with Store.open(card_fraud / ".engine" / "card_fraud") as state:
        (monitored,) = state.runs.history("Data drift monitor")
    assert {step.name: step.reused for step in monitored.steps}["Build MES"]


def test_card_fraud_finds_the_two_columns_that_moved(card_fraud: Path) -> None:
    *quiet, autumn = evaluations(card_fraud, "the_MES")
    for evaluation in quiet:
        assert {name: drift for name, drift in drift_table(evaluation).items() if drift} == {}
        assert evaluation.metrics["data_drift"].value == pytest.approx(0.5, abs=0.03)
        assert evaluation.metrics["data_drift_significant"].value == 0
    table = drift_table(autumn)
    assert set(list(table)[:2]) == MOVED
    assert all(0.1 < table[name] < 0.3 for name in MOVED)
    assert {name for name, drift in table.items() if drift} == MOVED
    assert 0.53 < (autumn.metrics["data_drift"].value or 0) < 0.65
    assert autumn.metrics["data_drift_significant"].value == 1


def test_card_fraud_model_loses_a_little_every_quarter(card_fraud: Path) -> None:
    found = [evaluation.metrics["roc_auc"].value or 0 for evaluation in evaluations(card_fraud, "the_MES")]
    assert found == sorted(found, reverse=True)
    assert all(0.70 < auc < 0.85 for auc in found)
    for evaluation in evaluations(card_fraud, "the_MES"):
        assert evaluation.metrics["labelled_share"].value == pytest.approx(0.78, abs=0.01)


def test_card_fraud_writes_the_mail_where_no_server_is_configured(card_fraud: Path) -> None:
    (mail,) = outbox(card_fraud)
    assert_is_the_warning(mail)


def test_card_fraud_again_reuses_all_and_warns_again(card_fraud_copy: Path, engine: Callable[..., Done]) -> None:
    again = engine(card_fraud_copy, "run", "card_fraud.yaml", "--format", "json")
    assert again.returncode == 0, again.stderr
    assert len(evaluations(card_fraud_copy, "the_MES")) == 3
    assert len(outbox(card_fraud_copy)) == 2
    with Store.open(card_fraud_copy / ".engine" / "card_fraud") as state:
        newest = [state.runs.history(name)[-1] for name in ("Recursive_MES", "Data drift monitor")]
    assert all(step.reused for run in newest for step in run.steps if step.kind == "build")


def test_card_fraud_sends_the_mail_to_a_server(
    card_fraud_copy: Path, engine: Callable[..., Done], mailbox: Mailbox
) -> None:
    url = f"smtp://127.0.0.1:{mailbox.port}"
    sent = engine(card_fraud_copy, "run", "card_fraud.yaml", "Data drift monitor", CARD_FRAUD_SMTP_URL=url)
    assert sent.returncode == 0, sent.stderr
    (envelope,) = mailbox.envelopes
    assert envelope.mail_from == "dss@example.com"
    assert envelope.rcpt_tos == ["mlops@example.com"]
    assert_is_the_warning(mailbox.mails[0])
    assert len(outbox(card_fraud_copy)) == 1  # that of the run before


def test_hello_drift_finds_the_column_that_moved(specs: Path, engine: Callable[..., Done]) -> None:
    ran = engine(specs, "run", "hello_drift.yaml", "--format", "json")
    assert ran.returncode == 0, ran.stderr  # one column moved, which is a WARNING
    assert "drift.delivery_days" in ran.stderr  # its check says so: a WARNING
    json.loads(ran.stdout)
    (evaluation,) = evaluations(specs, "drift", "hello_drift")
    assert {name for name, drift in drift_table(evaluation).items() if drift} == {"delivery_days"}
    assert 0.1 < drift_table(evaluation)["delivery_days"] < 0.25
    # one column of six has moved, and the drift model finds it too; but the rows as a whole differ little
    assert evaluation.metrics["data_drift_significant"].value == 1
    assert evaluation.metrics["data_drift_low"].value == pytest.approx(0.521, abs=5e-4)  # as the README says
    assert set(evaluation.left_out) == {"order_id", "ordered_at"}


def test_hello_drift_fails_on_its_warning_if_asked(specs: Path, engine: Callable[..., Done]) -> None:
    ran = engine(specs, "run", "hello_drift.yaml", "--fail-on", "warning")
    assert ran.returncode == 1
    assert "WARNING  column drift: drift.delivery_days" in ran.stdout


def test_fresh_orders_tells_old_and_repeated_rows(specs: Path, engine: Callable[..., Done]) -> None:
    first = engine(specs, "run", "fresh_orders.yaml", "--var", "until=2026-02-13", "--fail-on", "never")
    assert first.returncode == 0, first.stderr
    assert "ERROR  fresh: age.ordered_at" in first.stdout
    assert "new rows" not in first.stdout
    second = engine(specs, "run", "fresh_orders.yaml")
    assert second.returncode == 1
    assert (
        "    WARNING  new rows: repeated_share 0.572667 is above soft_max 0.1\n" in second.stdout
    )  # as the guide says


def test_order_segments_names_the_countries_and_the_one_that_is_too_small(
    specs: Path, engine: Callable[..., Done]
) -> None:
    ran = engine(specs, "run", "order_segments.yaml")
    assert ran.returncode == 0, ran.stderr
    assert "WARNING  all orders: drift.delivery_days 0.208054" in ran.stdout
    shown = engine(specs, "show", "order_segments.yaml", "orders", "2026-W07").stdout
    assert "Of 6 segments 5 drifted: country = AT (delivery_days 0.2449)" in shown
    assert "country = BE: too small: 50 rows in the batch and 229 in the reference" in shown


@pytest.mark.parametrize(
    "spec", ["card_fraud.yaml", "hello_drift.yaml", "fresh_orders.yaml", "order_segments.yaml", "spark.yaml"]
)
def test_examples_are_valid(specs: Path, engine: Callable[..., Done], spec: str) -> None:
    assert engine(specs, "validate", spec).returncode == 0
