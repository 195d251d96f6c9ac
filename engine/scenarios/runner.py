"""Runs one scenario: its steps in order, once per iteration of its loop, then its reporters.

A step's result changes the context of the steps after it. No step can change what an earlier one has seen.
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from engine.acting_user import describe_acting_user
from engine.errors import StoreError
from engine.notifications import DeliveryTime
from engine.outcome import Outcome, worst_outcome
from engine.pipeline.log import STARTED
from engine.scenarios import process, steps
from engine.scenarios.alerts import (
    collect_condition_facts,
    compose_messages,
    deliver_waiting_messages,
    list_events,
    send_unrecorded_messages,
    tell_unrecorded_end,
    write_run_file,
)
from engine.scenarios.context import RunContext
from engine.scenarios.dead_runs import describe_end, find_unfinished_step
from engine.scenarios.result import RunResult, StepResult
from engine.spec.conditions import ConditionFacts, UndecidedCondition, evaluate_condition
from engine.spec.resources.scenarios import AnyStep
from engine.store import LockBusy, RunRecord, StepRecord, generate_id


def run_scenario(name: str, context: RunContext) -> RunResult:
    """Run a scenario and return its result. If `context` belongs to a run, that run is the parent.

    Raises
    ------
    LockBusy
        The scenario is already running, and it has `on_busy: refuse`.
    StoreError
        The run or its end cannot be recorded; its messages have been sent nevertheless, as far as that was possible.
    KeyboardInterrupt
        The user has interrupted the run: it is ABORTED, and its messages wait in the outbox.
    """
    now = context.clock()
    run = generate_id(now)
    delivery_time = context.delivery_time if context.run else DeliveryTime(now)
    trigger = f"scenario {context.log.scenario}" if context.run else "manual"
    log = replace(context.log, folder=context.store.runs.path_of(run), scenario=name, step="", failures=[])
    ready = replace(context, trigger=trigger, log=log, delivery_time=delivery_time).with_defaults(
        context.get_scenario(name).variables
    )
    with ExitStack() as stack:
        try:
            wait = context.get_scenario(name).on_busy == "wait"
            locked = stack.enter_context(replace(context, run=run).lock(f"scenario {name}", wait=wait))
        except LockBusy:
            raise
        except StoreError as problem:
            tell_impossible_run(name, run, ready, problem)
            raise
        return _execute_run(_begin_result(name, run, ready), replace(ready, run=run, held_locks=locked.held_locks))


def tell_impossible_run(name: str, run: str, context: RunContext, problem: StoreError) -> None:
    """Send the `end` messages of a run that cannot even start, because the state cannot be used."""
    result = _begin_result(name, run, context).model_copy(update={"outcome": Outcome.ABORTED, "ended": context.clock()})
    facts = replace(collect_condition_facts([], context), outcome=Outcome.ABORTED)
    without_log = replace(context.log, folder=None)  # there is no folder that it could be written into
    tell_unrecorded_end(result, facts, replace(context, run=run, log=without_log), problem)


def _begin_result(name: str, run: str, context: RunContext) -> RunResult:
    """Return the result of a run that starts now; `context` belongs to the run that starts it, if one does."""
    return RunResult(
        id=run,
        project=context.project.name,
        scenario=name,
        started=context.clock(),
        trigger=context.trigger,
        who=describe_acting_user(),
        parent=context.run,
        variables=context.secrets.redact_values(
            {name: str(value) for name, value in context.project.variables.items()}
        ),
        log=f"runs/{run}/log.txt",
    )


def _execute_run(result: RunResult, context: RunContext) -> RunResult:
    outcome, stopped = Outcome.ABORTED, None
    try:
        _start_run(result, context)
        for step in _run_iterations(result.scenario, context):
            result.steps.append(step)
            context.store.runs.add_step(
                result.id, _make_step_record(step)
            )  # at once: a killed run keeps what it finished
        outcome = worst_outcome(step.outcome for step in result.steps)
    except BaseException as error:  # the end is recorded after an interruption too; the outcome is ABORTED then
        stopped = error
        raise
    finally:
        result = result.model_copy(update={"outcome": outcome, "ended": context.clock()})
        _finish_run(result, stopped, context)
    return result


def _start_run(result: RunResult, context: RunContext) -> None:
    """Record the start of the run with its messages, and deliver those."""
    context.store.runs.folder_of(result.id)
    context.log.info(f"{result.scenario} of {context.project.name} started, {context.trigger}")
    started = replace(collect_condition_facts([], context), outcome=None)
    context.store.runs.start(_make_run_record(result), compose_messages("start", result, started, context))
    result.deliveries.extend(deliver_waiting_messages(context, of_earlier_runs=False))


def _finish_run(result: RunResult, stopped: BaseException | None, context: RunContext) -> None:
    """Commit the run and its messages in one transaction, deliver them unless the run was interrupted, write run.json.

    Messages are committed before they are sent, so an alert is not lost if the process dies in between. If the end
    cannot be recorded, they are sent all the same.
    """
    context.log.info(f"{result.scenario} ended {result.outcome}")
    for step in result.steps:
        # `turn` holds the variables of the iteration that the step ran in; values that an iteration sets end with it
        if step.turn is None:
            context = context.with_values(step.variables)
    condition_facts = replace(collect_condition_facts(result.steps, context), outcome=result.outcome)
    notes = [] if stopped is None else [_describe_interruption(result, stopped, context)]
    messages = compose_messages("end", result, condition_facts, context, notes=notes)
    try:
        context.store.runs.finish(_make_run_record(result), messages)
    except StoreError as problem:
        cause = stopped if isinstance(stopped, StoreError) else problem
        if stopped is not None and (so_far := worst_outcome(step.outcome for step in result.steps)) != "SUCCESS":
            condition_facts = replace(condition_facts, outcome=so_far)  # an alert must not wait for the next run
        tell_unrecorded_end(result, condition_facts, context, cause)
        if stopped is None:
            raise
        return
    if not isinstance(stopped, KeyboardInterrupt):
        try:
            delivered = deliver_waiting_messages(context, of_earlier_runs=result.parent is None)
        except StoreError:
            send_unrecorded_messages(context.store.outbox.list_undelivered(result.id), context)
            raise
        # A message of `at: start` that was pending may have been sent now: the later delivery replaces the earlier.
        deliveries = [*result.deliveries, *delivered]
        result.deliveries[:] = {delivery.reporter: delivery for delivery in deliveries}.values()
    write_run_file(result, context)


def _describe_interruption(result: RunResult, stopped: BaseException, context: RunContext) -> str:
    """Return what has interrupted the run, and at which step."""
    how = f"was interrupted ({stopped})" if isinstance(stopped, KeyboardInterrupt) and str(stopped) else ""
    how = how or ("was interrupted" if isinstance(stopped, KeyboardInterrupt) else f"was ended by {stopped!r}")
    unfinished = find_unfinished_step(context.store.runs.path_of(result.id), [step.name for step in result.steps])
    text = describe_end(how, result.started, result.steps, unfinished)
    replace(context.log, listeners=()).error(f"ABORTED: {text}")
    return text


def _run_iterations(name: str, context: RunContext) -> Iterator[StepResult]:
    """Run the steps once per iteration of `for_each`, or once without any."""
    scenario = context.get_scenario(name)
    for iteration in scenario.for_each or [{}]:
        failed = False
        if iteration:
            context.log.info("for_each: " + ", ".join(f"{variable} = {value}" for variable, value in iteration.items()))
        for step in _run_iteration(name, context.with_values(iteration)):
            failed |= step.outcome is Outcome.FAILED
            yield step.model_copy(update={"turn": context.secrets.redact_values(iteration) or None})
        if failed and scenario.fail_fast:
            return


def _run_iteration(name: str, context: RunContext) -> Iterator[StepResult]:
    """Run the steps of one iteration."""
    finished: list[StepResult] = []
    for index in range(len(context.get_scenario(name).steps)):
        # Read anew each time: an earlier step may have set variables that this step's settings contain.
        step = context.get_scenario(name).steps[index]
        at_step = replace(context, log=replace(context.log, step=step.name))
        started = context.clock()
        result = _execute_step(index, step, at_step, collect_condition_facts(finished, context))
        finished.append(result.model_copy(update={"started": started, "ended": context.clock()}))
        yield finished[-1]
        built = {made.store: made.id for made in result.evaluations}
        context = replace(context.with_values(result.variables), built={**context.built, **built})


def _execute_step(index: int, step: AnyStep, context: RunContext, condition_facts: ConditionFacts) -> StepResult:
    """Evaluate the step's condition, run the step, retry it if it fails, and apply `on_failure`."""
    try:
        wanted = _should_run(step, condition_facts)
    except UndecidedCondition as undecided:
        # Neither running nor skipping would be right, so the step fails and the reporters say so.
        return steps.fail_step(step, f"its run_condition cannot be evaluated: {undecided}", context)
    if not wanted:
        reason = "its run_condition does not hold" if step.run_condition else "an earlier step FAILED"
        context.log.info(f"SKIPPED: {reason}")
        return StepResult(name=step.name, kind=step.kind, outcome=Outcome.SKIPPED, reason=reason)
    context.log.info(STARTED)
    tries = 1 + (step.retries.count if step.retries else 0)
    for attempt in range(1, tries + 1):
        result = _attempt_step(index, step, context)
        if result.outcome is not Outcome.FAILED or attempt == tries:
            break
        context.log.warning(f"attempt {attempt} of {tries} FAILED; trying again")
        if step.retries and step.retries.delay:
            time.sleep(step.retries.delay.total_seconds())
    changes: dict[str, Any] = {"tries": attempt}
    # The exit code is made from the causes of steps and from the outcomes of checks. With the cause removed, the
    # failure does not affect it; a check that is ERROR still does.
    if result.outcome is Outcome.FAILED and step.on_failure == "warn":
        changes |= {"outcome": Outcome.WARNING, "cause": None}
    return result.model_copy(update=changes)


def _should_run(step: AnyStep, condition_facts: ConditionFacts) -> bool:
    """Return whether the step runs: by its condition, or without one unless an earlier step FAILED."""
    if step.run_condition is None:
        return Outcome.FAILED not in condition_facts.steps.values()
    return evaluate_condition(step.run_condition, condition_facts)


def _attempt_step(index: int, step: AnyStep, context: RunContext) -> StepResult:
    if step.timeout is None:
        return steps.run(step, context)
    return process.run_step_in_process(index, step, step.timeout.total_seconds(), context)


def _make_run_record(result: RunResult) -> RunRecord:
    return RunRecord(
        **result.model_dump(include={"id", "project", "scenario", "started", "who", "trigger", "parent", "variables"}),
        ended=result.ended,
        outcome=result.outcome,
        steps=tuple(_make_step_record(step) for step in result.steps),
        events=tuple(list_events(result)),
    )


def _make_step_record(step: StepResult) -> StepRecord:
    fields = ("name", "kind", "outcome", "started", "ended", "reused", "reason", "turn")
    return StepRecord(**{field: getattr(step, field) for field in fields})
