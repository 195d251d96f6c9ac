"""Runs whose process has died: they are marked ABORTED, and the messages of their reporters are sent.

The messages are composed from the steps, checks and evaluations that the run has stored, and from its log: the last
step that the log mentions is the one during which the process died.
"""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import fields, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from engine.errors import EngineError, StoreError
from engine.formatting.moments import format_second
from engine.outcome import CheckOutcome, Outcome
from engine.pipeline.log import STARTED, LogFiles
from engine.scenarios.alerts.composition import compose_messages
from engine.scenarios.alerts.delivery import deliver_waiting_messages
from engine.scenarios.alerts.run_facts import collect_condition_facts
from engine.scenarios.context import RunContext
from engine.scenarios.result import EvaluationMade, RunResult, StepResult
from engine.scenarios.run_file import write_run_file
from engine.scenarios.scenario_selection import is_declared
from engine.spec.conditions import ConditionFacts
from engine.store import EvaluationFilter, OutboxMessage, ReporterState, RunRecord, StepRecord

MAX_LOG_BYTES = 1 << 20
"""Bytes that are read from the end of a log to find the last step: enough for thousands of lines, so that a huge log
costs no memory."""


def abort_dead_runs(context: RunContext, cause: str = "") -> None:
    """Mark the runs whose process has died as ABORTED; commit their messages in the same transaction, then deliver.

    Parameters
    ----------
    cause
        Why the process of a step was ended; it is reported for the runs that the run of `context` started in it.
    """
    found: dict[str, tuple[RunResult, RunContext]] = {}

    def compose(run: RunRecord) -> tuple[Sequence[OutboxMessage], Sequence[ReporterState]]:
        ancestry = _list_ancestry(run, context)
        then = _restore_context(run, ancestry, context)
        known = cause if context.run in [one.id for one in ancestry[1:]] else find_fire_reason(then)
        result, died = _describe_dead_run(run, known, then)
        found[run.id] = result, then
        replace(then.log, listeners=()).error(f"ABORTED: {died}")
        context.log.warning(
            f"run {run.id} of {run.scenario} was killed before it ended; it is now marked ABORTED: {died}"
        )
        if not is_declared(context.project, run.scenario):
            then.log.warning(
                f"no message reports run {run.id}: the spec has no scenario {run.scenario!r} any more, "
                "so its reporters are unknown"
            )
            return (), ()
        composed = compose_messages("end", result, _collect_known_facts(result, then), then, notes=[died])
        found[run.id] = result.model_copy(update={"deliveries": list(composed.skipped)}), then
        return composed.messages, composed.states

    for run in context.store.runs.abort_dead(compose):
        result, then = found[run.id]
        deliveries = [*result.deliveries, *deliver_waiting_messages(then, of_earlier_runs=False)]
        try:
            write_run_file(result.model_copy(update={"deliveries": deliveries}), then)
        except StoreError as error:
            then.log.warning(str(error))


def find_unfinished_step(log: Path, finished: Iterable[str]) -> tuple[str, datetime] | None:
    """Return the step that a run was executing when its log ended, and when that step started; None if there is none.

    Parameters
    ----------
    log
        The folder of the run.
    finished
        The names of the steps that the run has recorded; a name occurs once for each iteration of `for_each`.
    """
    lines = _read_log(log)
    started = [line for line in lines if line["step"] and line["text"] == STARTED]
    if not started:
        return None
    last = started[-1]
    times = Counter(line["step"] for line in started)
    whole = lines[0]["step"] == ""  # else only the end of the log was read, and earlier starts were not counted
    if whole and times[last["step"]] <= Counter(finished)[last["step"]]:
        return None
    return last["step"], datetime.fromisoformat(last["at"])


def _list_ancestry(run: RunRecord, context: RunContext) -> list[RunRecord]:
    """Return a run, its parent, the parent of that one, and so on."""
    found = [run]
    while (parent := found[-1].parent) is not None and (record := context.store.runs.find(parent)) is not None:
        found.append(record)
    return found


def _restore_context(run: RunRecord, ancestry: Sequence[RunRecord], context: RunContext) -> RunContext:
    """Return the context of an earlier run: its scenario, its log, and those of its variables that still exist.

    Its fire is that of its oldest ancestor.
    """
    number = ancestry[-1].fire
    fire = None if number is None else context.store.fires.get(number)
    log = replace(context.log, files=LogFiles(context.store.runs.path_of(run.id)), scenario=run.scenario, step="")
    restored = replace(context, run=run.id, trigger=run.trigger, fire=fire, log=log)
    known = {name: value for name, value in run.variables.items() if name in context.project.variables}
    try:
        then = restored if run.as_of is None else restored.with_moment(run.as_of)
        return then.with_values(known)
    except EngineError:  # the spec has changed, and does not allow these values any more
        return restored


def _describe_dead_run(run: RunRecord, cause: str, context: RunContext) -> tuple[RunResult, str]:
    """Return the result of a dead run, with its unfinished step, and a description of its end."""
    at_step = (
        f"the run never ended: {cause}" if cause else "the run was killed or has crashed while it was at this step"
    )
    cause = cause or "it was killed or has crashed"
    folder = context.store.runs.path_of(run.id)
    unfinished = find_unfinished_step(folder, [step.name for step in run.steps])
    times = [datetime.fromisoformat(line["at"]) for line in _read_log(folder)[-1:]]
    last_sign = max([run.started, *times, *(step.ended for step in run.steps)])
    died = describe_end(f"never ended: {cause}", run.started, run.steps, unfinished)
    died += f" It was last active at {format_second(last_sign)}."
    steps = [_make_step_result(step) for step in run.steps]
    reason = at_step if unfinished else "the run has never ended"
    evaluations = [
        EvaluationMade.describe(made, reused=False, newest=context.store.evaluations.is_newest(made))
        for store in context.project.evaluation_stores
        if (made := context.store.evaluations.find_newest(store, EvaluationFilter(run=run.id)))
    ]
    if unfinished or not steps:
        name, at = unfinished or ("(not known)", last_sign)
        steps.append(StepResult(name=name, kind="", outcome=Outcome.ABORTED, reason=reason, started=at))
    # Check results are stored with their run, not with its step.
    kept = {"checks": context.store.checks.list_of_run(run.id), "evaluations": evaluations}
    steps[-1] = steps[-1].model_copy(update=kept)
    copied = ("id", "project", "scenario", "started", "trigger", "who", "parent", "variables", "as_of")
    result = RunResult(
        **{field: getattr(run, field) for field in copied},
        outcome=Outcome.ABORTED,
        ended=last_sign,
        steps=steps,
        log=f"runs/{run.id}/log.txt",
    )
    return result, died


def find_fire_reason(context: RunContext) -> str:
    """Return the reason that the server recorded for the end of a run's process; empty if there is none."""
    fire = None if context.fire is None else context.store.fires.get(context.fire.number)
    return "" if fire is None else fire.reason


def describe_end(
    how: str,
    started: datetime,
    finished: Sequence[StepRecord] | Sequence[StepResult],
    unfinished: tuple[str, datetime] | None,
) -> str:
    """Return a text about a run that ended early: how, at which step, when it started, and which steps it finished."""
    at = f" at step {unfinished[0]!r}, which had started at {format_second(unfinished[1])}" if unfinished else ""
    done = ", ".join(f"{step.name} {step.outcome}" for step in finished) or "none"
    return f"this run {how}{at}. It had started at {format_second(started)}. Steps that it had finished: {done}."


def _collect_known_facts(result: RunResult, context: RunContext) -> ConditionFacts:
    """Return the facts for the conditions of a dead run's reporters, without those that were not final yet.

    A condition on a missing fact is undecided, and its message is sent. In a loop, an iteration that did not run could
    have worsened every good outcome, so good outcomes are missing.
    """
    facts = collect_condition_facts(result.steps, context)
    looped = bool(context.get_scenario(result.scenario).for_each)
    return replace(
        facts,
        outcome=Outcome.ABORTED,
        steps={
            name: outcome
            for name, outcome in facts.steps.items()
            if outcome is not Outcome.ABORTED and not (looped and outcome in (Outcome.SUCCESS, Outcome.SKIPPED))
        },
        checks={
            name: outcome
            for name, outcome in facts.checks.items()
            if not (looped and outcome in (CheckOutcome.OK, CheckOutcome.EMPTY))
        },
    )


def _make_step_result(step: StepRecord) -> StepResult:
    return StepResult(**{field.name: getattr(step, field.name) for field in fields(step)})


def _read_log(folder: Path) -> list[dict[str, Any]]:
    """Return the last entries of a run's log, without lines that are incomplete or not in the format of the log."""
    try:
        with (folder / "log.jsonl").open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - MAX_LOG_BYTES))
            lines = file.read().split(b"\n")
    except OSError:
        return []
    found = []
    for line in lines:
        try:
            entry = json.loads(line)
            datetime.fromisoformat(entry["at"])
            found.append({"at": entry["at"], "step": str(entry["step"]), "text": str(entry["text"])})
        except (ValueError, TypeError, KeyError):
            continue
    return found
