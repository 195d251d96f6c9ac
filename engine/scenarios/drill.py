"""Drills: scenarios run on the real data and again on a disturbed batch, to see whether checks and reporters react.

All runs work on one copy of the state, which is discarded, and their messages are shown instead of sent. The disturbed
batch takes the place of the present one: before the second runs, the records of the first runs are removed from the
copy, and so is an earlier evaluation of the present batch. So both batches are compared with the same history.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from engine.data import Table, explain_read_errors
from engine.data.disturbances import describe_disturbances, require_deviations, require_possible
from engine.data.rereadable_tables import make_rereadable
from engine.drift.reading.blocks import count_frame_rows
from engine.errors import DataError, UsageError
from engine.evaluation.record import Evaluation
from engine.formatting.hints import suggest_name
from engine.formatting.lists import join_words
from engine.pipeline.journal import LoggedTexts
from engine.pipeline.log import LogLine
from engine.scenarios.context import RunContext
from engine.scenarios.drill_result import DrillResult, collect_checks, list_all_steps
from engine.scenarios.result import RunResult
from engine.scenarios.runner import run_scenario
from engine.scenarios.scenario_selection import list_run_scenarios, list_scenarios, require_scenarios
from engine.scenarios.session import open_session
from engine.spec import ProjectSpec
from engine.spec.disturbances import Disturbance, Drill
from engine.spec.metrics.names import MetricName
from engine.spec.resources.evaluation_stores import EvaluationReference
from engine.spec.resources.scenarios import AnyStep, BuildStep, RunScenarioStep, SetVariablesStep
from engine.store.retention.forgetting import forget_evaluations, forget_measurements, forget_runs


def drill_store(
    project: ProjectSpec,
    store: str,
    disturbances: Sequence[Disturbance],
    *,
    scenarios: Sequence[str],
    environ: Mapping[str, str] = os.environ,
    listeners: Sequence[Callable[[LogLine], None]],
) -> DrillResult:
    """Run the scenarios that build and check a store, without and with disturbances; keep and send nothing.

    Parameters
    ----------
    scenarios
        The scenarios, in order; by default the last one of `run:` that builds the store and those that follow it in
        `run:`, or else the last one of the spec that builds it.
    listeners
        Called with each entry of the log of the runs with the disturbances.

    Raises
    ------
    UsageError
        There is no such store or scenario, no scenario builds the store, or the batch does not allow a disturbance.
    DataError
        The batch cannot be read, or the store cannot be built without any disturbance.
    StoreError
        The state cannot be read.
    """
    if store not in project.evaluation_stores:
        raise UsageError(
            f"there is no evaluation store {store!r}{suggest_name(store, list(project.evaluation_stores))}"
        )
    if not disturbances:
        raise UsageError("a drill needs a disturbance, such as --shift COLUMN=+0.5sd; engine drill --help shows all")
    with open_session(project, environ=environ, listeners=listeners, mode="dry run") as context:
        names = _choose_scenarios(store, scenarios, context)
        others = [name for name in list_scenarios(project) if name not in names and _uses_store(name, store, context)]
        builds = [build for name in names for build in _list_builds(name, store, context)]
        for build in builds:
            _require_possible_in(store, disturbances, build)
        # a run that finds the present batch measured would compare it with itself
        _forget_measured(store, builds, context)
        silent = replace(context, preview=_ignore_preview, log=replace(context.log, listeners=()))
        before = tuple(run_scenario(name, silent) for name in names)
        evaluation = _find_evaluation(store, before, context)
        disturbances = [_measure_shift(one, evaluation) for one in disturbances]
        described = _describe_in(_open_batch(store, builds[-1]), disturbances, context)
        _forget_present(store, before, builds, context)
        datasets = tuple(dict.fromkeys(build.project.evaluation_stores[store].dataset for build in builds))
        messages: list[str] = []
        disturbed = replace(
            context,
            log=replace(context.log, listeners=[lambda line: _pass_on_marked(line, listeners)]),
            datasets=context.datasets.with_drill(Drill(datasets, tuple(disturbances))),
            preview=messages.append,
            logged=LoggedTexts(),
        )
        after = tuple(run_scenario(name, disturbed) for name in names)
        batches = len({_open_batch(store, build).fingerprint for build in builds})
    return DrillResult(
        store=store,
        datasets=datasets,
        scenarios=tuple(names),
        others=tuple(others),
        unchecked=tuple(_list_unchecked(store, datasets, (*before, *after), project)),
        disturbances=tuple(zip(disturbances, described, strict=True)),
        remarks=(f"{batches} batches are disturbed; the rows are those of the last one",) if batches > 1 else (),
        before=before,
        after=after,
        messages=tuple(messages),
    )


def _pass_on_marked(line: LogLine, listeners: Sequence[Callable[[LogLine], None]]) -> None:
    """Pass on an entry of the log marked as part of a drill, so that nobody takes its errors for real ones."""
    for listen in listeners:
        listen(line._replace(scenario=f"drill of {line.scenario}"))


def _ignore_preview(_text: str) -> None:
    """Discard the messages of the runs without disturbances: a drill does not show them."""


def _choose_scenarios(store: str, named: Sequence[str], context: RunContext) -> list[str]:
    """Return the scenarios to run: those that are named, else those described at `drill_store`."""
    require_scenarios(named, context.project)
    building = [name for name in list_scenarios(context.project) if any(_list_builds(name, store, context))]
    if not building:
        raise UsageError(
            f"no scenario builds evaluation store {store!r}, so no check would alert anybody: add a step "
            f"{{kind: build, target: {store}}} to a scenario"
        )
    if named:
        if not any(name in building for name in named):
            raise UsageError(
                f"scenario {join_words(map(repr, named))} does not build evaluation store {store!r}; name also "
                f"{join_words(building, 'or')}"
            )
        return list(named)
    run = list_run_scenarios(context.project)
    builders = [place for place, name in enumerate(run) if name in building]
    return run[builders[-1] :] if builders else building[-1:]


def _list_builds(name: str, store: str, context: RunContext) -> Iterator[RunContext]:
    """Yield the context of each step of a scenario that builds the store, with the variables as the step sees them."""
    return (at for step, at in _list_planned(name, context) if isinstance(step, BuildStep) and store in step.targets)


def _uses_store(name: str, store: str, context: RunContext) -> bool:
    """Return whether a scenario builds or checks a store."""
    return any(store in step.targets for step, _ in _list_planned(name, context))


def _list_planned(name: str, context: RunContext) -> Iterator[tuple[AnyStep, RunContext]]:
    """Yield the steps of a scenario and of those that it runs, each with the context that holds its variables.

    Conditions are not evaluated: a step that one would skip is yielded too.
    """
    context = context.with_defaults(context.get_scenario(name).variables)
    for turn in context.get_scenario(name).for_each or [{}]:
        at = context.with_values(turn)
        for index in range(len(at.get_scenario(name).steps)):
            step = at.get_scenario(name).steps[index]  # read anew: a step before may have set variables
            if not step.active:
                continue
            if isinstance(step, SetVariablesStep):
                at = at.with_values(step.variables)
            elif isinstance(step, RunScenarioStep):
                yield from _list_planned(step.scenario, at.with_values(step.variables))
            else:
                yield step, at


def _open_batch(store: str, context: RunContext) -> Table:
    return context.datasets.open(context.project.evaluation_stores[store].dataset)


def _require_possible_in(store: str, disturbances: Sequence[Disturbance], context: RunContext) -> None:
    table = _open_batch(store, context)
    require_possible(disturbances, table.frame.collect_schema(), table.name)
    wanted = [one for one in disturbances if one.kind == "rows"]
    with explain_read_errors(table):
        rows = count_frame_rows(table.frame) if wanted else 0
    for one in wanted:
        if one.amount >= rows:
            raise UsageError(f"{one.option}: dataset {table.name!r} has {rows:,} rows; give a smaller number")
        rows = int(one.amount)


def _find_evaluation(store: str, before: Sequence[RunResult], context: RunContext) -> Evaluation:
    """Return the last evaluation that the undisturbed runs made of the store; raise DataError if there is none."""
    steps = [step for _, step in list_all_steps(before)]
    made = [made.id for step in steps for made in step.evaluations if made.store == store]
    if not made:
        stopped = [f"step {step.name}: {step.reason}" for step in steps if step.cause and not step.run]
        why = "; ".join(stopped) or "its step is skipped"
        raise DataError(f"{store} cannot be built without any disturbance, so a drill would show nothing: {why}")
    return context.store.evaluations.get(made[-1])


def _list_unchecked(store: str, datasets: Sequence[str], runs: Sequence[RunResult], project: ProjectSpec) -> list[str]:
    """Return the names of the checks of a store and its datasets that no run has applied."""
    applied = {(target, check) for _, target, check, _ in collect_checks(runs)}
    declared = {store: project.evaluation_stores[store].checks} | {
        name: project.datasets[name].checks for name in datasets
    }
    return [check for target, checks in declared.items() for check in checks if (target, check) not in applied]


def _measure_shift(one: Disturbance, evaluation: Evaluation) -> Disturbance:
    """Return a disturbance; a shift in units of `sd` gets the standard deviation of its column in the reference."""
    if one.unit != "sd":
        return one
    metric = evaluation.metrics.get(str(MetricName("reference_std", one.column)))
    if metric is not None and metric.value:
        return replace(one, deviation=metric.value)
    left_out = evaluation.left_out.get(one.column)
    reason = "" if left_out is None else f"is not compared as a number: {left_out}"
    if metric is not None:
        reason = "has only one value there" if metric.value == 0 else metric.reason or ""
    raise UsageError(
        f"{one.option}: the standard deviation of {one.column} in the reference is not known, because the column "
        f"{reason or 'is not compared as a number'}; shift it by a number or in percent: {one.column}=+10%"
    )


def _describe_in(table: Table, disturbances: Sequence[Disturbance], context: RunContext) -> list[str]:
    require_deviations(disturbances, table.frame.collect_schema())
    with context.store.folders.stage() as folder, make_rereadable(table, folder) as rows, explain_read_errors(table):
        return describe_disturbances(rows.frame, disturbances)


def _forget_measured(store: str, builds: Sequence[RunContext], context: RunContext) -> None:
    for build in builds:
        table = _open_batch(store, build)
        forget_measurements(context.store, table.name, table.fingerprint)


def _forget_present(store: str, before: Sequence[RunResult], builds: Sequence[RunContext], context: RunContext) -> None:
    """Remove the undisturbed runs and the evaluations of the present batch from the copy of the state."""
    _forget_measured(store, builds, context)
    made = [made.id for _, step in list_all_steps(before) for made in step.evaluations]
    for build in builds:
        reference = build.project.evaluation_stores[store].reference
        kept = [reference.name] if isinstance(reference, EvaluationReference) else []
        forget_evaluations(context.store, store, _open_batch(store, build).fingerprint, made, kept)
    children = {step.run.id for _, step in list_all_steps(before) if step.run is not None}
    forget_runs(context.store, {*children, *(run.id for run in before)})
