"""The messages of the reporters and steps of a run: which are sent, and what they hold."""

import traceback
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

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
    facts = collect_run_facts(result, condition_facts, context, notes)
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
    facts = collect_run_facts(result, collect_condition_facts(result.steps, context), context, ())
    messages = _show_or_keep(step, f"{result.id}.step{number}.{context.turn}", result, facts, context)
    if not messages:
        return None
    (message,) = messages
    context.store.outbox.add(message)
    delivered = {each.message: each for each in deliver_waiting_messages(context, of_earlier_runs=False)}
    # It is not among them if an earlier attempt at the step has sent it.
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
            csv_of=lambda dataset: stream_csv(dataset, context),
            evaluations=lambda: load_last_evaluations(result, context),
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
