"""Facts about a run, for conditions and for the texts of messages."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import date
from functools import cache

from engine import notifications
from engine.evaluation.checks.counts import describe_muted_checks, sort_by_severity
from engine.evaluation.record import Evaluation
from engine.outcome import CheckOutcome, Outcome, worst_check_outcome, worst_outcome
from engine.pipeline.changes_since_ok import summarize_changes
from engine.scenarios.context import RunContext
from engine.scenarios.result import RunResult, StepResult
from engine.spec.conditions import ConditionFacts
from engine.spec.resources.checks import Check, PythonCheck, ValuesCheck
from engine.spec.segments import FOUND_SEGMENTS
from engine.spec.variables.moment import list_fire_values
from engine.store import Event


def collect_run_facts(
    result: RunResult, condition_facts: ConditionFacts, context: RunContext, notes: Sequence[str]
) -> notifications.RunFacts:
    """Return the facts that messages can mention; `notes` are texts that are added to every message."""
    muted = describe_muted_checks(check for step in result.all_steps() for check in step.checks)
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
        notes=[*notes, *([muted] if muted else []), *_describe_unchecked_segments(result, context)],
        changes=cache(lambda: summarize_changes(list_last_evaluations(result, context), context)),
        fire=_describe_fire(context),
    )


def _describe_fire(context: RunContext) -> Mapping[str, date | str]:
    """Return the values of FIRE_NAMES for a run.

    Without a fire, the previous moment is the run's own moment, and no files have changed.
    """
    moment, fire = context.project.as_of, context.fire
    if fire is None:
        return list_fire_values(moment, ())
    return list_fire_values((fire.previous or moment).astimezone(moment.tzinfo), fire.changed)


def collect_condition_facts(found: Sequence[StepResult], context: RunContext) -> ConditionFacts:
    """Return the facts that conditions can use; a step or check that ran several times has its worst outcome."""
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


def _describe_unchecked_segments(result: RunResult, context: RunContext) -> Iterator[str]:
    """Yield a sentence about the notable segments of each store whose segments have no check.

    Without a check, nothing else in a message would name these segments.
    """
    stores = context.project.evaluation_stores
    unchecked = {
        name for name, one in stores.items() if one.has_segments and not any(map(_is_of_segments, one.checks.values()))
    }
    if not unchecked:
        return
    from engine.views.segments import describe_segments

    for evaluation in list_last_evaluations(result, context, unchecked):
        segments = describe_segments(evaluation, None)
        if segments is not None and segments.is_notable:
            yield f"{evaluation.store}: {segments.sentence}"


def _is_of_segments(check: Check) -> bool:
    """Return whether a check is about segments."""
    if isinstance(check, PythonCheck):
        return False
    return (not isinstance(check, ValuesCheck) and check.segment is not None) or check.metric.startswith(
        ("segment.", FOUND_SEGMENTS)
    )


def list_last_evaluations(
    result: RunResult, context: RunContext, stores: Collection[str] | None = None
) -> list[Evaluation]:
    """Return the last evaluation of each store (of `stores`, if given) that the run has built, reused or checked."""
    last: dict[str, str] = {}
    for step in result.all_steps():
        last |= {made.store: made.id for made in step.evaluations}
        last |= {check.target: check.evaluation for check in step.checks if check.evaluation}
    return [context.store.evaluations.get(id_) for name, id_ in last.items() if stores is None or name in stores]
