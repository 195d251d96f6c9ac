"""Decides whether a reporter sends at the end of a run, from the facts of the run and the reporter's earlier messages.

A reporter with `only_on_change` or `cooldown` has a state, which every run updates, even if nothing is sent: otherwise
the reporter would miss the end of a condition, and then not report its next beginning.

**No missed alerts.** If a condition cannot be decided, the reporter sends and its state stays as it is. A message that
a cooldown holds back is logged, and sent after the cooldown by the first run for which the condition still holds. The
end of a condition is reported only if its beginning was.

**Only the newest moment counts.** A run for an earlier moment than that of the state, or whose evaluations are for
earlier times than the newest ones (a backfill), neither alerts nor recovers.
"""

from datetime import datetime, time
from typing import NamedTuple

from engine.formatting.moments import format_second
from engine.formatting.numbers import format_duration
from engine.outcome import Outcome
from engine.spec.conditions import ConditionFacts, UndecidedCondition, evaluate_condition
from engine.spec.resources.scenarios import Reporter
from engine.store import ReporterState

HOLDS, HOLDS_NOT = "holds", "does not hold"
"""The observation of a run by a reporter with a run condition; without one, the observation is the run's outcome."""


class Sending(NamedTuple):
    """Whether a reporter sends.

    Attributes
    ----------
    reason
        Why it does not send.
    held_back
        Whether it does not send although its condition holds; this is always logged.
    note
        A note about the decision, which is added to the message.
    recovery
        A text about the recovery, if the message reports one.
    state
        The state of the reporter after the run, if it changes.
    """

    sends: bool
    reason: str = ""
    held_back: bool = False
    note: str = ""
    recovery: str = ""
    state: ReporterState | None = None


def has_state(reporter: Reporter) -> bool:
    """Return whether the messages of a reporter depend on its earlier ones."""
    return reporter.only_on_change or reporter.cooldown is not None


def decide_sending(reporter: Reporter, facts: ConditionFacts) -> Sending:
    """Return whether a reporter sends, without regard to its earlier messages."""
    if not reporter.active:
        return Sending(False, "it is not active")
    try:
        observed = _observe_run(reporter, facts)
    except UndecidedCondition as undecided:
        note = f"the run condition {reporter.run_condition} cannot be evaluated, so this was sent: {undecided}"
        return Sending(True, note=note)
    if observed == HOLDS_NOT:
        return Sending(False, f"its run_condition is false: {reporter.run_condition}")
    return Sending(True)


def follow_state(
    reporter: Reporter,
    facts: ConditionFacts,
    scenario: str,
    known: ReporterState | None,
    as_of: datetime,
    now: datetime,
    unmuted: ConditionFacts | None = None,
    *,
    backfill: bool = False,
) -> Sending:
    """Return whether a reporter with a state sends, and its state after the run.

    Parameters
    ----------
    known
        Its state before the run; None if it has none.
    as_of
        The moment that the run stands for.
    now
        The time of the message.
    unmuted
        The facts as they would be without mutes; None if no check is muted. A condition that ends only because of a
        mute is not a recovery; if it holds again after the mute, it is reported as new.
    backfill
        Whether all evaluations of the run are for earlier times than the newest ones of their stores.
    """
    plain = decide_sending(reporter, facts)
    if plain.note:  # it cannot be decided
        return plain
    definition = describe_definition(reporter)
    usual = Outcome.SUCCESS.value if reporter.run_condition is None else HOLDS_NOT  # needs no message
    moment = min(as_of, now)  # a mistaken date in the future must not silence all runs until then
    before = known if known and known.definition == definition else None
    before = before or ReporterState(scenario, reporter.name, definition, usual, moment, usual, None, moment)
    if not reporter.active:
        return plain._replace(state=before)
    past = ""
    if backfill:
        past = "the run has evaluated earlier times than the newest ones"
    elif _precedes(moment, before.as_of) and before.as_of <= now:
        past = f"the run is for {format_second(moment)}, and an earlier one was for {format_second(before.as_of)}"
    if past:
        return Sending(False, f"{past}: past times neither start nor end an alert", held_back=plain.sends)
    observed = _observe_run(reporter, facts)
    since = before.since if observed == before.observed else moment
    state = before._replace(observed=observed, since=since, as_of=max(moment, before.as_of))
    if not reporter.only_on_change:
        return _apply_cooldown(reporter, state, now) if plain.sends else plain._replace(state=state)
    if observed == before.told:
        sent = f", and its message was made at {format_second(state.sent_at)}" if state.sent_at else ""
        # Not "nothing has changed": another problem may have begun, under the same condition.
        what = f"nothing has changed: the outcome has been {observed}"
        if reporter.run_condition:
            what = "it reports a beginning once: its run_condition was already true"
        unchanged = f"{what} since {format_second(state.since)}{sent}"
        return Sending(False, plain.reason or unchanged, state=state)
    if observed == usual and unmuted is not None and _is_other_than(usual, reporter, unmuted):
        reason = "it would report a recovery, but only muted checks make the difference"
        return Sending(False, reason, held_back=True, state=state._replace(told=usual))
    if observed == usual:
        return _report_recovery(reporter, before, state)
    return _apply_cooldown(reporter, state, now)


def _precedes(moment: datetime, known: datetime) -> bool:
    """Return whether a moment is before the known one. A whole day (`--as-of 2026-11-28`) is, if the day is earlier."""
    if moment.time() == time():
        return moment.date() < known.astimezone(moment.tzinfo).date()
    return moment < known


def describe_definition(reporter: Reporter) -> str:
    """Return what a reporter watches and whether it is active; if this text changes, its state starts anew."""
    watched = f"run_condition: {reporter.run_condition}" if reporter.run_condition else "the outcome of the run"
    return watched if reporter.active else f"not active; {watched}"


def describe_state(reporter: Reporter, known: ReporterState | None) -> str:
    """Return when a reporter with a state sends, with its last observation and message."""
    watched = reporter.run_condition or "the outcome of the run"
    when = f"on a change of {watched}" if reporter.only_on_change else watched
    if reporter.cooldown is not None:
        when += f", at most once in {format_duration(reporter.cooldown.total_seconds())}"
    if known is None or known.definition != describe_definition(reporter):
        return f"{when}; no run has recorded it yet"
    sent = f", last message {format_second(known.sent_at)}" if known.sent_at else ""
    return f"{when}; now: {known.observed} since {format_second(known.since)}{sent}"


def _observe_run(reporter: Reporter, facts: ConditionFacts) -> str:
    """Return the observation of a run (see HOLDS); raise UndecidedCondition if the condition cannot be decided."""
    if reporter.run_condition is None:
        return str(facts.outcome)
    return HOLDS if evaluate_condition(reporter.run_condition, facts) else HOLDS_NOT


def _is_other_than(usual: str, reporter: Reporter, facts: ConditionFacts) -> bool:
    """Return whether the observation of these facts differs, or could differ, from the usual one."""
    try:
        return _observe_run(reporter, facts) != usual
    except UndecidedCondition:
        return True


def _report_recovery(reporter: Reporter, before: ReporterState, state: ReporterState) -> Sending:
    state = state._replace(told=state.observed)
    since = format_second(before.since)
    if reporter.run_condition is None:
        text = f"The outcome is {state.observed} again; it was {before.observed} since {since}."
        return Sending(True, recovery=text, state=state)
    if reporter.recovery:
        text = f"This is no longer true: {reporter.run_condition}. It was true since {since}."
        return Sending(True, recovery=text, state=state)
    return Sending(False, f"its run_condition is no longer true: {reporter.run_condition}", state=state)


def _apply_cooldown(reporter: Reporter, state: ReporterState, now: datetime) -> Sending:
    """Return that the reporter sends, unless the cooldown after its last message is not over."""
    if reporter.cooldown is not None and state.sent_at is not None:
        over = state.sent_at + reporter.cooldown
        if state.sent_at <= now < over:  # a clock that was set back must not prolong it
            reason = (
                f"its cooldown is {format_duration(reporter.cooldown.total_seconds())}, and its last message was made "
                f"at {format_second(state.sent_at)}: the next one at {format_second(over)} at the earliest"
            )
            return Sending(False, reason, held_back=True, state=state)
    return Sending(True, state=state._replace(told=state.observed, sent_at=now))
