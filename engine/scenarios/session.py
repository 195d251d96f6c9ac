"""One call of the engine: opens the state, runs scenarios, tells what is still undelivered.

Whatever a run needs from outside (environment, clock, terminal) comes in here and is passed on.
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
DISPLAYED = ["data_drift", "drifted_columns"]


@dataclass(frozen=True, slots=True)
class StoreView:
    """The newest evaluations of a store, oldest first, and the metrics that it displays."""

    metrics: list[str]
    evaluations: list[Evaluation]


@dataclass(frozen=True, slots=True)
class Finished:
    """What a call found: its runs in order, the stores that they built, every message that is still undelivered.

    Of a dry run nothing of it was kept.
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
    preview
        Is given what the reporters would send, instead of sending it.
    dry
        Compute everything on a copy of the state, keep nothing and send nothing.

    Raises
    ------
    StoreError
        The state cannot be used, or a scenario is busy and refuses to wait.
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
    """Say what `run` would do, and why, and change nothing.

    Data are opened for it: files are hashed, schemas read, functions of `python` datasets called.

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
    """Open the project's state and give the context that runs start from; runs that were killed become ABORTED.

    In any other mode than run, a copy of the state is opened. `state` is one that is there already.
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
                log.warning(f"run {dead.id} of {dead.scenario} was killed before its end; it is ABORTED now")
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
    """Return the folder of the project's state: its own, so that specs in one folder share nothing by accident."""
    return project.folder / project.state.path / safe_name(project.name)
