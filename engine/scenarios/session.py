"""One call of the engine: opens the state, runs or plans scenarios, and returns the results.

Environment, clock and terminal are passed in here and handed on, so nothing below reads globals.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from engine.data import Datasets
from engine.evaluation.record import Evaluation
from engine.scenarios.context import Context, Mode
from engine.scenarios.log import Line, RunLog
from engine.scenarios.planning import Plan, Planner
from engine.scenarios.result import RunResult
from engine.scenarios.runner import run_scenario
from engine.scenarios.seen_files import SeenFiles
from engine.scenarios.shadow import shadow
from engine.spec import Project
from engine.spec.catalogue import canonical
from engine.spec.secrets import Secrets
from engine.store import OutboxMessage, Store, safe_name, utc_now

LAST = 10
"""Evaluations per store that are shown after a run."""
DISPLAYED = ["data_drift", "drifted_columns"]


@dataclass(frozen=True, slots=True)
class StoreView:
    """The newest evaluations of a store, oldest first, and the metrics that the store displays."""

    metrics: list[str]
    evaluations: list[Evaluation]


@dataclass(frozen=True, slots=True)
class Finished:
    """The result of a call: its runs in order, the stores that they built, and every undelivered message.

    If `dry`, none of it was kept.
    """

    runs: list[RunResult]
    stores: dict[str, StoreView]
    undelivered: list[OutboxMessage]
    dry: bool = False


def run(
    project: Project,
    scenarios: Sequence[str],
    *,
    environ: Mapping[str, str] = os.environ,
    clock: Callable[[], datetime] = utc_now,
    listeners: Sequence[Callable[[Line], None]] = (),
    preview: Callable[[str], None] | None = None,
    dry: bool = False,
) -> Finished:
    """Run scenarios one after the other.

    Parameters
    ----------
    listeners
        Called with each entry of the log.
    preview
        Called with what each reporter would send; nothing is sent.
    dry
        Compute everything on a copy of the state; keep nothing and send nothing.

    Raises
    ------
    StoreError
        The state cannot be used, or a scenario is already running and has `on_busy: refuse`.
    """
    mode: Mode = "dry run" if dry else "run"
    with opened(project, environ=environ, clock=clock, listeners=listeners, preview=preview, mode=mode) as context:
        runs = [run_scenario(name, context) for name in scenarios]
        built = dict.fromkeys(made.store for run in runs for step in run.all_steps() for made in step.evaluations)
        stores = {
            name: StoreView(
                list(map(canonical, project.evaluation_stores[name].display.metrics)) or DISPLAYED,
                context.store.evaluations(name, LAST),
            )
            for name in built
        }
        return Finished(runs, stores, context.store.undelivered(), dry)


def plan(
    project: Project,
    scenarios: Sequence[str],
    *,
    environ: Mapping[str, str] = os.environ,
    clock: Callable[[], datetime] = utc_now,
) -> Plan:
    """Return what `run` would do, each action with its reason. Nothing is changed.

    Data are opened: files are hashed, schemas are read, and functions of `python` datasets are called.

    Raises
    ------
    StoreError
        The state cannot be read.
    """
    planner = Planner()
    with opened(project, environ=environ, clock=clock, mode="plan") as context:
        planned = [planner.scenario(name, context) for name in scenarios]
    planner.findings.extend(project.warnings)
    return Plan(
        project=project.name,
        variables={name: str(value) for name, value in project.variables.items()},
        scenarios=planned,
        findings=list(planner.findings.in_order()),
    )


@contextmanager
def opened(
    project: Project,
    *,
    environ: Mapping[str, str],
    clock: Callable[[], datetime] = utc_now,
    listeners: Sequence[Callable[[Line], None]] = (),
    preview: Callable[[str], None] | None = None,
    mode: Mode = "run",
    state: Path | None = None,
) -> Iterator[Context]:
    """Open the project's state and yield the context that runs start from.

    Parameters
    ----------
    mode
        `"run"` works on the state itself and marks killed runs as ABORTED; the other modes work on a temporary copy.
    state
        The folder to use as it is, state or copy; a worker process uses the one of its parent.
    """
    secrets = Secrets(project, environ)
    log = RunLog(None, "", clock, secrets.redact, listeners)
    with ExitStack() as stack:
        folder = state or state_folder(project)
        if mode != "run" and state is None:
            folder = stack.enter_context(shadow(folder))
        store = stack.enter_context(Store.open(folder, now=clock))
        if mode == "run":
            for dead in store.abort_dead_runs():
                log.warning(f"run {dead.id} of {dead.scenario} was killed before it ended; it is now marked ABORTED")
        hashes = SeenFiles(store.file_hashes)
        yield Context(
            project=project,
            datasets=Datasets(project, hashes),
            store=store,
            secrets=secrets,
            environ=environ,
            clock=clock,
            log=log,
            start=run_scenario,
            preview=preview,
            mode=mode,
            touched=hashes.touched,
        )


def state_folder(project: Project) -> Path:
    """Return the folder of the project's state; each project has its own, so specs in one folder share no state."""
    return project.folder / project.state.path / safe_name(project.name)
