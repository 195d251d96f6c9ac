"""The messages of a run: its result becomes the facts for its reporters, and the outbox is delivered."""

import traceback
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cache
from typing import TYPE_CHECKING, Literal

from pydantic_core import to_json

from engine import notifications
from engine.errors import StoreError
from engine.evaluation.check_counts import sort_by_severity, tell_muted_checks
from engine.evaluation.record import Evaluation
from engine.outcome import CheckOutcome, Outcome, worst_check_outcome, worst_outcome
from engine.pipeline.changes_since_ok import summarize_changes
from engine.scenarios.context import RunContext
from engine.scenarios.result import Delivery, RunResult, StepResult
from engine.spec.conditions import ConditionFacts
from engine.spec.moment import list_fire_values
from engine.spec.resources.checks import Check, PythonCheck, ValuesCheck
from engine.spec.resources.scenarios import AnyStep, Reporter, SendMessageStep
from engine.spec.segments import FOUND_SEGMENTS
from engine.store import Event, OutboxMessage, ReporterState
from engine.store.databases.errors import build_store_error, translate_errors

if TYPE_CHECKING:
    from engine.views import EvaluationFacts

CSV_BATCH_ROWS = 10_000

LEFT_TO_SERVER = "the server sends it"

TOLD_OUTCOMES = (Outcome.WARNING, Outcome.FAILED, Outcome.ABORTED)
"""Outcomes of a run for which each reporter that does not send says why."""


@dataclass(frozen=True, slots=True)
class ComposedMessages:
    """The messages of a run's reporters, those that do not send although the run gives cause, and their states."""

    messages: Sequence[OutboxMessage]
    skipped: Sequence[Delivery]
    states: Sequence[ReporterState] = ()


def compose_messages(
    at: Literal["start", "end"],
    result: RunResult,
    condition_facts: ConditionFacts,
    context: RunContext,
    *,
    notes: Sequence[str] = (),
    recorded: bool = True,
) -> ComposedMessages:
    """Return the messages of the run's reporters; in a preview they are shown instead and none is returned.

    Parameters
    ----------
    notes
        Texts that are added to every message.
    recorded
        Whether the end of the run can be recorded. If not, nothing can be remembered, and every reporter whose
        condition holds sends, whatever it told before.
    """
    facts = _collect_run_facts(result, condition_facts, context, notes)
    messages, skipped, states = [], [], []
    for number, reporter in enumerate(context.get_scenario(result.scenario).reporters):
        if reporter.at != at:
            continue
        sending = _decide_sending(reporter, result, condition_facts, context, recorded)
        if sending.sends:
            told = replace(facts, notes=[*facts.notes, *([sending.note] if sending.note else [])])
            messages += _show_or_keep(reporter, f"{result.id}.{number}", result, told, context, sending.recovery)
        elif context.preview is not None:
            context.preview(notifications.preview_silence(reporter, sending.reason, context.secrets))
        elif result.outcome in TOLD_OUTCOMES or sending.held_back:
            skipped.append(_explain_silence(reporter, sending, context))
        if sending.state is not None and context.preview is None:  # what was only shown was not told
            states.append(sending.state)
    return ComposedMessages(messages, skipped, states)


def send_step_message(step: SendMessageStep, result: RunResult, context: RunContext) -> Delivery | None:
    """Commit the message of a step to the outbox and deliver it if possible; a preview shows it instead (None).

    The message has the same id at each attempt at the step, so one that has been committed is not committed again.

    Parameters
    ----------
    result
        The run as it is so far.
    """
    scenario = context.get_scenario(result.scenario)
    number = [one.name for one in scenario.steps].index(step.name)
    facts = _collect_run_facts(result, collect_condition_facts(result.steps, context), context, ())
    messages = _show_or_keep(step, f"{result.id}.step{number}.{context.turn}", result, facts, context)
    if not messages:
        return None
    (message,) = messages
    context.store.outbox.add(message)
    delivered = {each.message: each for each in deliver_waiting_messages(context, of_earlier_runs=False)}
    # It is not among them if an earlier attempt at the step has sent it.
    sent = Delivery(message=message.id, reporter=message.reporter, channel=message.channel, state="SENT")
    return delivered.get(message.id, sent)


def _collect_run_facts(
    result: RunResult, condition_facts: ConditionFacts, context: RunContext, notes: Sequence[str]
) -> notifications.RunFacts:
    muted = tell_muted_checks(check for step in result.all_steps() for check in step.checks)
    return notifications.RunFacts(
        project=result.project,
        scenario=result.scenario,
        run_id=result.id,
        started=result.started,
        condition_facts=condition_facts,
        ended=result.ended,
        checks=[check for step in result.all_steps() for check in step.checks],
        events=list_events(result),
        server_url=context.project.server.url if context.project.server else None,
        log=context.log.files.text_path if context.log.files else None,
        notes=[*notes, *([muted] if muted else []), *_tell_unchecked_segments(result, context)],
        changes=cache(lambda: summarize_changes(_list_last_evaluations(result, context), context)),
        fire=_describe_fire(context),
    )


def _describe_fire(context: RunContext) -> Mapping[str, date | str]:
    """Return the values of FIRE_NAMES for a run; of one that answers no fire, nothing was before it or has changed."""
    moment, fire = context.project.as_of, context.fire
    if fire is None:
        return list_fire_values(moment, ())
    return list_fire_values((fire.previous or moment).astimezone(moment.tzinfo), fire.changed)


def _show_or_keep(
    sender: Reporter | SendMessageStep,
    message_id: str,
    result: RunResult,
    facts: notifications.RunFacts,
    context: RunContext,
    recovery: str = "",
) -> list[OutboxMessage]:
    """Return the message of a reporter or a step; in a preview it is shown instead."""
    message = _compose_message(sender, message_id, result, facts, recovery, context)
    if context.preview is None:
        return [message]
    context.preview(notifications.preview_message(sender, message, context.project, context.secrets))
    return []


def _decide_sending(
    reporter: Reporter, result: RunResult, facts: ConditionFacts, context: RunContext, recorded: bool
) -> notifications.Sending:
    """Return whether a reporter sends; one with a state remembers that, if the end of the run can be recorded."""
    if not notifications.has_state(reporter) or not recorded:
        return notifications.decide_sending(reporter, facts)
    known = context.store.reporter_states.find(result.scenario, reporter.name)
    declared = {step.name: step for step in context.get_scenario(result.scenario).steps}
    lifted = collect_condition_facts([_lift_mutes(step, declared.get(step.name)) for step in result.steps], context)
    unmuted = replace(facts, outcome=lifted.outcome, steps=lifted.steps, checks=lifted.checks)
    made = [one for step in result.all_steps() for one in step.evaluations]
    return notifications.follow_state(
        reporter,
        facts,
        result.scenario,
        known,
        as_of=result.as_of or result.started,
        now=context.clock(),
        unmuted=unmuted if any(check.muted for step in result.steps for check in step.checks) else None,
        backfill=bool(made) and not any(one.newest for one in made),
    )


def _lift_mutes(step: StepResult, declared: AnyStep | None) -> StepResult:
    """Return the result of a step as it would be if its muted checks counted."""
    found = {check.outcome for check in step.checks if check.muted}
    outcome = Outcome.FAILED if CheckOutcome.ERROR in found else Outcome.WARNING
    if declared is not None and outcome is Outcome.FAILED and declared.on_failure == "warn":
        outcome = Outcome.WARNING
    elif declared is not None and outcome is Outcome.WARNING and declared.on_warning == "fail":
        outcome = Outcome.FAILED
    raised = worst_outcome([step.outcome, outcome]) if found - {CheckOutcome.OK} else step.outcome
    checks = [replace(check, mute=None) for check in step.checks]
    return step.model_copy(update={"outcome": raised, "checks": checks})


def _explain_silence(reporter: Reporter, sending: notifications.Sending, context: RunContext) -> Delivery:
    """Log why a reporter does not send although the run gives cause, and return that as its delivery."""
    context.log.info(f"{reporter.name} to {reporter.channel}: not sent, because {sending.reason}")
    return Delivery(reporter=reporter.name, channel=reporter.channel, state="SKIPPED", reason=sending.reason)


def _compose_message(
    sender: Reporter | SendMessageStep,
    message_id: str,
    result: RunResult,
    facts: notifications.RunFacts,
    recovery: str,
    context: RunContext,
) -> OutboxMessage:
    """Return the message of a reporter or a step; one whose attachments fail because of a bug is sent without them."""
    try:
        return notifications.compose_message(
            sender,
            facts,
            context.secrets,
            message_id=message_id,
            now=context.clock(),
            csv_of=lambda dataset: _stream_csv(dataset, context),
            evaluations=lambda: _load_last_evaluations(result, context),
            recovery=recovery,
        )
    except BaseException as bug:  # also a panic of polars, which is no Exception
        if not sender.attach or isinstance(bug, KeyboardInterrupt):
            raise
        context.log.error("".join(traceback.format_exception(bug)))
        missing = ", ".join(sender.attach)
        note = f"not attached, because of an internal error ({type(bug).__name__}; see the log): {missing}"
        plain = sender.model_copy(update={"attach": []})
        noted = replace(facts, notes=[*facts.notes, note])
        return _compose_message(plain, message_id, result, noted, recovery, context)


def collect_condition_facts(found: Sequence[StepResult], context: RunContext) -> ConditionFacts:
    """Return the facts that conditions can ask for; of a step or a check that ran several times, the worst outcome."""
    outcomes: dict[str, Outcome] = {}
    checks: dict[str, CheckOutcome] = {}
    metrics: dict[str, float | None] = {}
    for step in found:
        earlier = outcomes.get(step.name)
        outcomes[step.name] = step.outcome if earlier is None else max(earlier, step.outcome, key=list(Outcome).index)
        metrics |= step.metrics
        for check in step.checks:
            outcome = CheckOutcome.OK if check.muted else check.outcome
            checks[check.check] = worst_check_outcome([outcome, checks.get(check.check, CheckOutcome.OK)])
    return ConditionFacts(
        outcome=worst_outcome(outcomes.values()),
        steps=outcomes,
        checks=checks,
        metrics=metrics,
        trigger=context.trigger,
        variables=context.project.names,
    )


def list_events(result: RunResult) -> list[Event]:
    """Return the events of a run and of its child runs: each check result and each step outcome."""
    collected = []
    for step in result.all_steps():
        at = step.ended or result.started
        collected += [notifications.create_check_event(check, at) for check in sort_by_severity(step.checks)]
        collected.append(notifications.create_step_event(step.name, step.outcome, step.reason, at))
    return collected


def deliver_waiting_messages(context: RunContext, *, of_earlier_runs: bool) -> list[Delivery]:
    """Send this run's messages that wait in the outbox; return their deliveries.

    With `of_earlier_runs`, all other waiting messages are sent too. That is tried once per run, at its end, so that a
    server which is down costs its time once; some time is kept for it. What this run could not deliver becomes an event
    of it. A run that does not deliver leaves all of them to the server that has started it.
    """
    if context.preview is not None or context.mode != "run":
        return []
    if not context.deliver:
        waiting = context.store.outbox.list_undelivered(context.run)
        return _log_deliveries([notifications.Delivery(one, one.state, LEFT_TO_SERVER) for one in waiting], context)
    delivered = notifications.deliver_messages(
        context.store,
        context.project,
        context.secrets,
        messages=None if of_earlier_runs else context.store.outbox.list_undelivered(context.run),
        time_of_run=context.delivery_time,
        reserved=0 if of_earlier_runs else notifications.LAST_SECONDS,
    )
    deliveries = _log_deliveries(delivered, context)
    events = [
        Event("delivery", "error", f"{sent.reporter} to {sent.channel}: {sent.state}: {sent.reason}", context.clock())
        for sent in deliveries
        if sent.state != "SENT"
    ]
    if events and context.run:
        context.store.runs.add_events(context.run, events)
    return deliveries


def tell_unrecorded_end(
    result: RunResult, condition_facts: ConditionFacts, context: RunContext, problem: StoreError
) -> None:
    """Send the `end` messages of a run whose end cannot be recorded, since the disk is full, say.

    A reporter whose condition holds for the outcome that the run has had, or for ABORTED, sends: the next run that can
    write marks this one ABORTED.
    """
    if context.preview is not None or context.mode != "run":
        return
    context.log.error(f"the run cannot be recorded, its messages are sent all the same: {problem}")
    notes = [f"this run could not be recorded: {problem}"]
    aborted = replace(condition_facts, outcome=Outcome.ABORTED)
    messages = {
        message.id: message
        for facts in (aborted, condition_facts)
        for message in compose_messages("end", result, facts, context, notes=notes, recorded=False).messages
    }
    send_unrecorded_messages(list(messages.values()), context)


def send_unrecorded_messages(messages: Sequence[OutboxMessage], context: RunContext) -> None:
    """Send messages past the outbox, which cannot be written."""
    sent = notifications.send_unrecorded(context.project, context.secrets, messages, Outcome.ABORTED)
    _log_deliveries(sent, context)


def write_run_file(result: RunResult, context: RunContext) -> None:
    """Write run.json.

    Raises
    ------
    StoreError
        It cannot be written, or the run's log could not.
    """
    document = context.secrets.redact_values(result.model_dump(mode="json"))
    with translate_errors(context.store.folder):
        path = context.store.runs.folder_of(result.id) / "run.json"
        path.write_bytes(to_json(document, indent=1))
    if context.log.files and (first := context.log.files.failure):
        cause = f"the log of run {result.id} is not complete, since it could not be written"
        raise build_store_error(
            context.store.folder, cause, "make room or give this user write access, then run again", str(first)
        )


def _log_deliveries(delivered: Iterable[notifications.Delivery], context: RunContext) -> list[Delivery]:
    """Log each delivery; return those of this run."""
    deliveries = []
    for delivery in delivered:
        message = delivery.message
        of_run = f" (run {message.run.rpartition('-')[2]})" if message.run and message.run != context.run else ""
        line = f"{message.reporter} to {message.channel}{of_run}: {delivery.state}"
        text = f"{line}: {delivery.reason}" if delivery.reason else line
        fine = delivery.state == "SENT" or delivery.reason == LEFT_TO_SERVER
        context.log.write("info" if fine else "warning", text)
        if message.run == context.run:
            state, reason = delivery.state.value, delivery.reason
            deliveries.append(
                Delivery(
                    message=message.id, reporter=message.reporter, channel=message.channel, state=state, reason=reason
                )
            )
    return deliveries


def _load_last_evaluations(result: RunResult, context: RunContext) -> "list[EvaluationFacts]":
    from engine.pipeline.reports import collect_report_facts

    return [collect_report_facts(evaluation, context) for evaluation in _list_last_evaluations(result, context)]


def _tell_unchecked_segments(result: RunResult, context: RunContext) -> Iterator[str]:
    """Give the worst segments of each store that has some and no check of them: else a message would not name them."""
    stores = context.project.evaluation_stores
    silent = {
        name for name, one in stores.items() if one.has_segments and not any(map(_is_of_segments, one.checks.values()))
    }
    if not silent:
        return
    from engine.views.segments import describe_segments

    for evaluation in _list_last_evaluations(result, context, silent):
        segments = describe_segments(evaluation, None)
        if segments is not None and segments.is_notable:
            yield f"{evaluation.store}: {segments.sentence}"


def _is_of_segments(check: Check) -> bool:
    """Tell whether a check is about segments."""
    if isinstance(check, PythonCheck):
        return False
    return (not isinstance(check, ValuesCheck) and check.segment is not None) or check.metric.startswith(
        ("segment.", FOUND_SEGMENTS)
    )


def _list_last_evaluations(
    result: RunResult, context: RunContext, stores: Collection[str] | None = None
) -> list[Evaluation]:
    """Return, for each store (or each of some) that the run has built, reused or checked, its last evaluation."""
    last: dict[str, str] = {}
    for step in result.all_steps():
        last |= {made.store: made.id for made in step.evaluations}
        last |= {check.target: check.evaluation for check in step.checks if check.evaluation}
    return [context.store.evaluations.get(id_) for name, id_ in last.items() if stores is None or name in stores]


def _stream_csv(dataset: str, context: RunContext) -> Iterable[bytes]:
    """Yield a dataset as CSV without formulas of spreadsheets: the header, then batches of rows."""
    from engine.data import WatchedFiles, explain_read_errors
    from engine.data.csv_output import disarm_formulas

    files = WatchedFiles(context.datasets.files.hashes)
    table = context.datasets.with_files(files).open(dataset)
    with explain_read_errors(table):
        yield disarm_formulas(table.frame.limit(0).collect()).write_csv().encode()
        for batch in table.frame.collect_batches(chunk_size=CSV_BATCH_ROWS, maintain_order=True):
            yield disarm_formulas(batch).write_csv(include_header=False).encode()
