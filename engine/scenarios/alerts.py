"""The messages of a run: its result becomes the facts for its reporters, and the outbox is delivered."""

from collections.abc import Iterable
from typing import Literal

from engine import reporting
from engine.data import WatchedFiles, explain_read_errors
from engine.data.csv_output import disarm_formulas
from engine.reporting.pages import EvaluationFacts
from engine.scenarios.context import Context
from engine.scenarios.result import Delivery, RunResult
from engine.scenarios.steps.report import collect_report_facts
from engine.spec.conditions import ConditionFacts
from engine.store import Event, OutboxMessage

CSV_BATCH_ROWS = 10_000


def compose_messages(
    at: Literal["start", "end"], result: RunResult, condition_facts: ConditionFacts, context: Context
) -> list[OutboxMessage]:
    """Return the messages of the run's reporters; in a preview they are shown instead and none is returned."""
    facts = reporting.RunFacts(
        project=result.project,
        scenario=result.scenario,
        run_id=result.id,
        started=result.started,
        condition_facts=condition_facts,
        ended=result.ended,
        checks=[check for step in result.all_steps() for check in step.checks],
        events=list_events(result),
        server_url=context.project.server.url if context.project.server else None,
        log=context.log.text_path,
    )
    messages = []
    for number, reporter in enumerate(context.get_scenario(result.scenario).reporters):
        if reporter.at != at:
            continue
        message = reporting.compose_message(
            reporter,
            facts,
            context.secrets,
            message_id=f"{result.id}.{number}",
            now=context.clock(),
            csv_of=lambda dataset: _stream_csv(dataset, context),
            evaluations=lambda: _load_last_evaluations(result, context),
        )
        if context.preview is not None:
            context.preview(reporting.preview_message(reporter, message, context.project, context.secrets))
        elif message is not None:
            messages.append(message)
    return messages


def list_events(result: RunResult) -> list[Event]:
    """Return the events of a run and of its child runs: each check result and each step outcome."""
    collected = []
    for step in result.all_steps():
        at = step.ended or result.started
        collected += [reporting.create_check_event(check, at) for check in step.checks]
        collected.append(reporting.create_step_event(step.name, step.outcome, step.reason, at))
    return collected


def deliver_waiting_messages(context: Context, *, of_earlier_runs: bool) -> list[Delivery]:
    """Send this run's messages that wait in the outbox; return their deliveries.

    With `of_earlier_runs`, all other waiting messages are sent too. That is tried once per run, so that a server which
    is down costs its time once.
    """
    if context.preview is not None or context.mode != "run":
        return []
    messages = context.store.list_undelivered(None if of_earlier_runs else context.run)
    deliveries = []
    for delivery in reporting.deliver_messages(
        context.store, context.project, context.secrets, early=True, messages=messages
    ):
        message = delivery.message
        line = f"{message.reporter} to {message.channel}: {delivery.state}"
        text = f"{line}: {delivery.reason}" if delivery.reason else line
        context.log.write("info" if delivery.state == "SENT" else "warning", text)
        if message.run == context.run:
            state, reason = delivery.state.value, delivery.reason
            deliveries.append(Delivery(reporter=message.reporter, channel=message.channel, state=state, reason=reason))
    return deliveries


def _load_last_evaluations(result: RunResult, context: Context) -> list[EvaluationFacts]:
    """Return, for each store that the run has built, reused or checked, its last evaluation."""
    last: dict[str, str] = {}
    for step in result.all_steps():
        last |= {made.store: made.id for made in step.evaluations}
        last |= {check.target: check.evaluation for check in step.checks if check.evaluation}
    return [collect_report_facts(context.store.get_evaluation(id_), context) for id_ in last.values()]


def _stream_csv(dataset: str, context: Context) -> Iterable[bytes]:
    """Yield a dataset as CSV without formulas of spreadsheets: the header, then batches of rows."""
    files = WatchedFiles(context.datasets.files.hashes)
    table = context.datasets.with_files(files).open(dataset)
    with explain_read_errors(table):
        yield disarm_formulas(table.frame.limit(0).collect()).write_csv().encode()
        for batch in table.frame.collect_batches(chunk_size=CSV_BATCH_ROWS, maintain_order=True):
            yield disarm_formulas(batch).write_csv(include_header=False).encode()
