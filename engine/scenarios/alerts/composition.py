"""Compose the messages of a run's reporters and steps: decide which are sent, and write their content."""

import traceback
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, NamedTuple

from engine import notifications
from engine.errors import StoreError
from engine.outcome import CheckOutcome, Outcome, worst_outcome
from engine.scenarios.alerts.attachments import load_last_evaluations, stream_csv
from engine.scenarios.alerts.delivery import deliver_waiting_messages, send_unrecorded_messages
from engine.scenarios.alerts.run_facts import collect_condition_facts, collect_run_facts
from engine.scenarios.context import RunContext
from engine.scenarios.result import Delivery, RunResult, StepResult
from engine.spec.conditions import ConditionFacts
from engine.spec.resources.scenarios import AnyStep, Reporter, SendMessageStep
from engine.store import OutboxMessage, ReporterState

EXPLAINED_OUTCOMES = (Outcome.WARNING, Outcome.FAILED, Outcome.ABORTED)
"""Outcomes of a run for which the log says why a reporter did not send."""


class ComposedMessages(NamedTuple):
    """The messages of a run's reporters, the reporters that did not send, and the new states of reporters.

    `skipped` lists only reporters that do not send although the run did not succeed, or whose message is held back.
    """

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
    """Return the messages of the run's reporters; a preview shows them instead and returns none.

    Parameters
    ----------
    notes
        Texts that are added to every message.
    recorded
        Whether the end of the run can be recorded. If not, reporter states cannot be stored either, so every reporter
        whose condition holds sends, even if it has reported the same before.
    """
    facts = collect_run_facts(result, condition_facts, context, notes)
    messages, skipped, states = [], [], []
    for number, reporter in enumerate(context.get_scenario(result.scenario).reporters):
        if reporter.at != at:
            continue
        sending = _decide_sending(reporter, result, condition_facts, context, recorded)
        if sending.sends:
            noted = replace(facts, notes=[*facts.notes, *([sending.note] if sending.note else [])])
            messages += _show_or_keep(reporter, f"{result.id}.{number}", result, noted, context, sending.recovery)
        elif context.preview is not None:
            context.preview(notifications.preview_silence(reporter, sending.reason, context.secrets))
        elif result.outcome in EXPLAINED_OUTCOMES or sending.held_back:
            skipped.append(_explain_silence(reporter, sending, context))
        if sending.state is not None and context.preview is None:  # a preview sends nothing
            states.append(sending.state)
    return ComposedMessages(messages, skipped, states)


def send_step_message(step: SendMessageStep, result: RunResult, context: RunContext) -> Delivery | None:
    """Commit the message of a step to the outbox and deliver it if possible; a preview shows it instead (None).

    Each attempt at the step uses the same message id, so the message is committed only once.

    Parameters
    ----------
    result
        The run with the steps that have ended so far.
    """
    scenario = context.get_scenario(result.scenario)
    number = [one.name for one in scenario.steps].index(step.name)
    facts = collect_run_facts(result, collect_condition_facts(result.steps, context), context, ())
    messages = _show_or_keep(step, f"{result.id}.step{number}.{context.turn}", result, facts, context)
    if not messages:
        return None
    (message,) = messages
    context.store.outbox.add(message)
    delivered = {each.message: each for each in deliver_waiting_messages(context, of_earlier_runs=False)}
    # An earlier attempt at the step may have sent it already.
    sent = Delivery(message=message.id, reporter=message.reporter, channel=message.channel, state="SENT")
    return delivered.get(message.id, sent)


def _show_or_keep(
    sender: Reporter | SendMessageStep,
    message_id: str,
    result: RunResult,
    facts: notifications.RunFacts,
    context: RunContext,
    recovery: str = "",
) -> list[OutboxMessage]:
    """Return the message of a reporter or a step; a preview shows it instead and returns none."""
    message = _compose_message(sender, message_id, result, facts, recovery, context)
    if context.preview is None:
        return [message]
    context.preview(notifications.preview_message(sender, message, context.project, context.secrets))
    return []


def _decide_sending(
    reporter: Reporter, result: RunResult, facts: ConditionFacts, context: RunContext, recorded: bool
) -> notifications.Sending:
    """Return whether a reporter sends, and the new state of a reporter that has one.

    The state is ignored if the end of the run cannot be recorded.
    """
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
    """Log why a reporter does not send, and return a delivery with this reason."""
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
    """Return the message of a reporter or a step; if a bug breaks its attachments, it has none and a note says so."""
    try:
        return notifications.compose_message(
            sender,
            facts,
            context.secrets,
            message_id=message_id,
            now=context.clock(),
            csv_of=lambda dataset: stream_csv(dataset, context),
            evaluations=lambda: load_last_evaluations(result, context),
            recovery=recovery,
        )
    except BaseException as bug:  # a panic of polars is not an Exception
        if not sender.attach or isinstance(bug, KeyboardInterrupt):
            raise
        context.log.error("".join(traceback.format_exception(bug)))
        missing = ", ".join(sender.attach)
        note = f"not attached, because of an internal error ({type(bug).__name__}; see the log): {missing}"
        plain = sender.model_copy(update={"attach": []})
        noted = replace(facts, notes=[*facts.notes, note])
        return _compose_message(plain, message_id, result, noted, recovery, context)


def report_unrecorded_end(
    result: RunResult, condition_facts: ConditionFacts, context: RunContext, problem: StoreError
) -> None:
    """Send the `end` messages of a run whose end cannot be recorded, for example because the disk is full.

    A reporter sends if its condition holds for the outcome of the run, or for ABORTED: the next run that can write to
    the state marks this one ABORTED.
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
