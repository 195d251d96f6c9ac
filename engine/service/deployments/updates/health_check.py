"""Checks whether a newly active revision is healthy.

It is healthy if its spec loads, its triggers have times or causes, its server (if there is one) has loaded the
triggers, the hooks after the update succeeded, and the scenarios of `health:` ended neither FAILED nor ABORTED. The
outcomes of checks do not count: they depend on data, and drift must not roll back a good release.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path

from engine.errors import EngineError, UsageError
from engine.formatting.hints import suggest_name
from engine.formatting.lists import join_words
from engine.outcome import Outcome
from engine.scenarios.process import run_in_process
from engine.scenarios.requests import RunRequest
from engine.service.deployments.served_revision import NOT_SERVED, NotArmedError, await_server
from engine.service.deployments.settings import Care
from engine.service.deployments.updates.hooks import run_hook
from engine.service.triggers.trigger_states import reconcile_states
from engine.spec import load
from engine.spec.dataset_inputs import list_read_datasets
from engine.spec.resources.datasets import QueryDataset
from engine.spec.resources.project import ProjectResource
from engine.spec.resources.scenarios import Scenario, SetVariablesStep
from engine.spec.secrets.values import Secrets
from engine.spec.sql import bind_variables, list_sql_variables
from engine.spec.variables.references import find_references

HEALTH_TRIGGER = "health check"
"""The trigger name of a health check's runs in conditions and messages."""


_GIVE_VALUES = (
    "give it one under `variables:` of the deployment or of the scenario, or check the health with another scenario"
)


class UnhealthyError(EngineError):
    """The active revision is not healthy."""


def check_runnable(spec: Path, care: Care, environ: Mapping[str, str]) -> None:
    """Check that the scenarios of `health:` can be started in a revision before it is active.

    They are started without values for variables, so variables with the value null in the deployment have none.

    Raises
    ------
    SpecError
        The spec cannot be loaded here.
    UsageError
        The spec has no such scenario, or one uses a variable without a value.
    """
    project = load(spec, environ=environ)
    for name in care.health_run:
        scenario = project.scenarios.get(name)
        if scenario is None:
            hint = suggest_name(name, list(project.scenarios)) or f" (it has {', '.join(project.scenarios) or 'none'})"
            raise UsageError(f"health: run: the bundle has no scenario {name!r}{hint}")
        set_by_steps = (step.variables for step in scenario.steps if isinstance(step, SetVariablesStep))
        given = set(scenario.variables).union(*scenario.for_each or (), *set_by_steps)
        used = {one.parts[0] for one in find_references(json.dumps(project.written_data("scenarios", name)))}
        empty = [one for one in sorted(used - given) if one in project.variables and project.variables[one] is None]
        if empty:
            raise UsageError(
                f"health: run: scenario {name!r} uses {join_words(empty, 'and')}, and that has no value in this "
                f"deployment: {_GIVE_VALUES}"
            )
        for dataset, query in _list_read_queries(scenario, project.resources):
            if given.isdisjoint(list_sql_variables(query)):
                try:
                    bind_variables(query, project.names)
                except ValueError as problem:
                    raise UsageError(
                        f"health: run: scenario {name!r} reads the dataset {dataset!r}, and {problem}; {_GIVE_VALUES}"
                    ) from None


def _list_read_queries(scenario: Scenario, spec: ProjectResource) -> Iterator[tuple[str, str]]:
    """Yield the name and the SQL of each query that the targets of a scenario's steps use."""
    targets = (target for step in scenario.steps if step.active for target in step.targets)
    for name in dict.fromkeys(name for target in targets for name in list_read_datasets(target, spec)):
        if isinstance(dataset := spec.datasets[name], QueryDataset):
            yield name, dataset.sql


def check_health(
    spec: Path,
    care: Care,
    environ: Mapping[str, str],
    now: datetime,
    infrastructure: Path,
    report: Callable[[str], None],
) -> str:
    """Check a revision, and return the findings, one per line.

    Parameters
    ----------
    now
        The time from which its triggers count.
    infrastructure
        The folder with the deployment.
    report
        Called with each progress message and warning.

    Raises
    ------
    UnhealthyError
        The revision is not healthy; the message says why.
    """
    found = []
    try:
        project = load(spec, environ=environ)
        armed = reconcile_states(project, [], now, newest_end=0)
    except EngineError as error:
        raise UnhealthyError(f"the spec cannot be loaded: {error}") from error
    active = [one for one in project.scenarios.values() if one.active]
    triggers = sum(trigger.active for one in active for trigger in one.triggers)
    found.append(f"loaded; {triggers} of {len(armed)} triggers are active")
    try:
        served = await_server(project, infrastructure, care.health_seconds)
    except NotArmedError as error:
        raise UnhealthyError(str(error)) from error
    found.append(served or NOT_SERVED)
    if triggers and not served:
        report(NOT_SERVED)
    for argv, seconds in care.after:
        try:
            redact = Secrets(project, environ).redact
            printed = run_hook(argv, seconds, Path(care.hook_folder), environ, redact)
        except EngineError as error:
            raise UnhealthyError(str(error)) from error
        found.append(f"hook {argv[0]}: ended well{f': {printed}' if printed else ''}")
    deadline = time.monotonic() + care.health_seconds
    for name in care.health_run:
        report(f"health check: runs {name!r}")
        found.append(_run_scenario(spec, name, care, environ, deadline))
    return "\n".join(found)


def _run_scenario(spec: Path, name: str, care: Care, environ: Mapping[str, str], deadline: float) -> str:
    """Run a scenario in its own process; kill a run that exceeds the deadline."""
    errors: list[str] = []
    request = RunRequest(spec=spec, variables={}, scenarios=(name,), trigger=HEALTH_TRIGGER)
    done = run_in_process(
        request,
        environ,
        deadline=deadline,
        pass_on=lambda line: errors.append(line.text) if line.level == "error" else None,
    )
    if not done.runs:
        if time.monotonic() >= deadline:
            raise UnhealthyError(f"scenario {name!r} had not ended after {care.health_seconds:g} s")
        raise UnhealthyError(f"scenario {name!r} did not end: {done.describe_failure()}")
    run = done.runs[-1]
    # A check with the outcome ERROR makes its step FAILED, but concerns the data and not the release.
    if run.outcome is Outcome.ABORTED or run.cause == "failure":
        failed = [step for step in run.all_steps() if step.outcome in (Outcome.FAILED, Outcome.ABORTED)]
        reason = next((f"step {one.name!r}: {one.reason}" for one in failed if one.reason), "")
        why = reason or (errors[-1] if errors else "see its log")
        raise UnhealthyError(f"scenario {name!r} ended {run.outcome} (run {run.id}): {why}")
    return f"{name}: {run.outcome} (run {run.id})"
