"""Runs one scenario: records its start, walks its steps, records its end with the messages of its reporters."""

import math
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import fields, replace

from engine.acting_user import describe_acting_user
from engine.errors import EngineError, StoreError
from engine.formatting.moments import format_minute
from engine.notifications import DeliveryTime
from engine.outcome import Outcome, worst_outcome
from engine.pipeline.log import LogFiles
from engine.pipeline.mutes import find_idle_mutes
from engine.scenarios.alerts.composition import compose_messages, report_unrecorded_end
from engine.scenarios.alerts.delivery import deliver_waiting_messages, send_unrecorded_messages
from engine.scenarios.alerts.run_facts import collect_condition_facts, list_events
from engine.scenarios.context import RunContext
from engine.scenarios.dead_runs import describe_end, find_fire_reason, find_unfinished_step
from engine.scenarios.interpreter import walk_scenario
from engine.scenarios.result import Delivery, RunResult, StepResult
from engine.scenarios.run_executor import AbortRequested, RunExecutor, RunTimedOut, require_no_abort
from engine.scenarios.run_file import write_run_file
from engine.store import Event, LockBusy, RunRecord, StepRecord, generate_id, make_delivery_event


class DuplicateRunError(EngineError):
    """A run with this id exists already: another process has begun it."""


def run_scenario(name: str, context: RunContext, run: str | None = None) -> RunResult:
    """Run a scenario and return its result. If `context` belongs to a run, that run is the parent.

    Parameters
    ----------
    run
        The id of the run; by default a new one is generated.

    Raises
    ------
    LockBusy
        The scenario is already running, and it has `on_busy: refuse` or the run was started by a fire.
    DuplicateRunError
        A run with this id exists already.
    StoreError
        The run or its end cannot be recorded; its messages have been sent nevertheless, as far as possible.
    KeyboardInterrupt
        The user has interrupted the run: it is ABORTED, and its messages wait in the outbox. As AbortRequested,
        somebody has asked it to end; then its messages are sent.
    """
    now = context.clock()
    given, run = run, run or generate_id(now)
    delivery_time = context.delivery_time if context.run else DeliveryTime(now)
    trigger = f"scenario {context.log.scenario}" if context.run else context.trigger
    log = replace(context.log, files=LogFiles(context.store.runs.path_of(run)), scenario=name, step="")
    ready = replace(context, trigger=trigger, log=log, delivery_time=delivery_time).with_defaults(
        context.get_scenario(name).variables
    )
    with ExitStack() as stack:
        try:
            answers_fire = context.fire is not None and context.run is None  # the server starts it again later
            wait = context.get_scenario(name).on_busy == "wait" and not answers_fire
            locked = stack.enter_context(replace(context, run=run).lock(f"scenario {name}", wait=wait))
        except LockBusy:
            raise
        except StoreError as problem:
            report_impossible_run(name, run, ready, problem)
            raise
        if given and context.store.runs.find(given) is not None:
            raise DuplicateRunError(f"run {given} has already begun")
        timeout = ready.get_scenario(name).timeout
        deadline = time.monotonic() + timeout.total_seconds() if timeout else math.inf
        begun = _begin_result(name, run, ready)
        return _execute_run(begun, replace(ready, run=run, held_locks=locked.held_locks, deadline=deadline))


def report_impossible_run(name: str, run: str, context: RunContext, problem: StoreError) -> None:
    """Send the `end` messages of a run that cannot even start, because the state cannot be used."""
    result = _begin_result(name, run, context).model_copy(update={"outcome": Outcome.ABORTED, "ended": context.clock()})
    facts = replace(collect_condition_facts([], context), outcome=Outcome.ABORTED)
    without_log = replace(context.log, files=None)  # there is no folder for it
    report_unrecorded_end(result, facts, replace(context, run=run, log=without_log), problem)


def _begin_result(name: str, run: str, context: RunContext) -> RunResult:
    """Return the result of a run that starts now; `context` is that of the parent run, if there is one."""
    return RunResult(
        id=run,
        project=context.project.name,
        scenario=name,
        started=context.clock(),
        trigger=context.trigger,
        who=describe_acting_user(),
        parent=context.run,
        as_of=context.project.as_of,
        variables=context.secrets.redact_values(
            {name: str(value) for name, value in context.project.variables.items()}
        ),
        log=f"runs/{run}/log.txt",
    )


def _execute_run(begun: RunResult, context: RunContext) -> RunResult:
    finished: list[StepResult] = []
    deliveries: list[Delivery] = []
    outcome = Outcome.ABORTED
    stopped: BaseException | None = None
    try:
        deliveries += _start_run(begun, context)
        for step in walk_scenario(begun.scenario, context, RunExecutor):
            finished.append(step)
            deliveries += step.deliveries
            context.store.runs.add_step(begun.id, _make_step_record(step))  # at once: a killed run keeps its steps
        require_no_abort(context)  # asked during the last step
        outcome = worst_outcome(step.outcome for step in finished)
    except RunTimedOut as timeout:
        stopped = timeout
        finished.append(timeout.step)
    except BaseException as error:  # the end of an interrupted run is recorded too, as ABORTED
        stopped = error
        raise
    finally:
        ended = {"outcome": outcome, "ended": context.clock(), "steps": finished, "deliveries": deliveries}
        result = _finish_run(begun.model_copy(update=ended), stopped, context)
    return result


def _start_run(begun: RunResult, context: RunContext) -> list[Delivery]:
    """Record the start of the run with its `start` messages, and deliver them."""
    context.store.runs.folder_of(begun.id)
    context.log.info(f"{begun.scenario} of {context.project.name} started, {context.trigger}")
    for mute in find_idle_mutes(context) if begun.parent is None else ():
        context.log.warning(
            f"the mute of the check {mute.check!r} of {mute.target}, until {format_minute(mute.until)} by "
            f"{mute.by}, has no effect: the spec has no such check any more"
        )
    started = replace(collect_condition_facts([], context), outcome=None)
    composed = compose_messages("start", begun, started, context)
    context.store.runs.start(_make_run_record(begun, context), composed.messages)
    return deliver_waiting_messages(context, of_earlier_runs=False) if composed.messages else []


def _finish_run(result: RunResult, stopped: BaseException | None, context: RunContext) -> RunResult:
    """Commit the run and its messages in one transaction, deliver them unless the run was interrupted, write run.json.

    Messages are committed before they are sent, so that no alert is lost if the process dies in between. If the end
    cannot be recorded, they are sent anyway. Returns the result with all its deliveries.
    """
    context.log.info(f"{result.scenario} ended {result.outcome}")
    for step in result.steps:
        # variables that are set in an iteration (`turn` is not None) are valid only in that iteration
        if step.turn is None:
            context = context.with_values(step.variables)
    condition_facts = replace(collect_condition_facts(result.steps, context), outcome=result.outcome)
    notes = [] if stopped is None else [_describe_interruption(result, stopped, context)]
    composed = compose_messages("end", result, condition_facts, context, notes=notes)
    deliveries = [*result.deliveries, *composed.skipped]
    try:
        record = _make_run_record(result, context, notes, composed.skipped)
        context.store.runs.finish(record, composed.messages, composed.states)
    except StoreError as problem:
        cause = stopped if isinstance(stopped, StoreError) else problem
        if stopped is not None and (so_far := worst_outcome(step.outcome for step in result.steps)) != "SUCCESS":
            condition_facts = replace(condition_facts, outcome=so_far)  # an alert must not wait for the next run
        report_unrecorded_end(result, condition_facts, context, cause)
        if stopped is None or isinstance(stopped, RunTimedOut):
            raise
        return result
    if isinstance(stopped, AbortRequested) or not isinstance(stopped, KeyboardInterrupt):
        try:
            deliveries += deliver_waiting_messages(context, of_earlier_runs=result.parent is None)
        except StoreError:
            send_unrecorded_messages(context.store.outbox.list_undelivered(result.id), context)
            raise
    # A pending message of the start or of a step may have been sent now: the later delivery replaces the earlier.
    last = {delivery.message or (delivery.reporter,): delivery for delivery in deliveries}
    result = result.model_copy(update={"deliveries": list(last.values())})
    write_run_file(result, context)
    return result


def _describe_interruption(result: RunResult, stopped: BaseException, context: RunContext) -> str:
    """Log and return what has interrupted the run, and during which step."""
    finished = [step for step in result.steps if step.outcome is not Outcome.ABORTED]
    match stopped:
        case RunTimedOut(step=step):
            how = step.reason.removeprefix("the run ").removesuffix(" at this step")
        case AbortRequested():
            how = f"was {stopped}"
        case KeyboardInterrupt():
            cause = str(stopped) or find_fire_reason(context)
            how = f"was interrupted ({cause})" if cause else "was interrupted"
        case _:
            how = f"was ended by {stopped!r}"
    unfinished = find_unfinished_step(context.store.runs.path_of(result.id), [step.name for step in finished])
    text = describe_end(how, result.started, finished, unfinished)
    (context.log if isinstance(stopped, RunTimedOut | AbortRequested) else replace(context.log, listeners=())).error(
        f"ABORTED: {text}"
    )
    return text


def _make_run_record(
    result: RunResult, context: RunContext, notes: Sequence[str] = (), skipped: Sequence[Delivery] = ()
) -> RunRecord:
    """Return the record of a run; `notes` say why it ended before its steps did, `skipped` who does not send."""
    at = result.ended or result.started
    events = [Event("run", "error", note, at) for note in notes]
    events += [
        make_delivery_event(one.reporter, one.channel, f"{one.state}: {one.reason}", "info", at) for one in skipped
    ]
    return RunRecord(
        **result.model_dump(
            include={"id", "project", "scenario", "started", "who", "trigger", "parent", "variables", "as_of"}
        ),
        ended=result.ended,
        outcome=result.outcome,
        steps=tuple(_make_step_record(step) for step in result.steps),
        fire=context.fire.number if context.fire is not None and result.parent is None else None,
        spec=context.project.digest,
        release=revision.release if (revision := context.project.revision) else None,
        events=(*list_events(result), *events),
    )


def _make_step_record(step: StepResult) -> StepRecord:
    return StepRecord(**{field.name: getattr(step, field.name) for field in fields(StepRecord)})
