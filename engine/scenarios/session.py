"""One call of the engine: opens the state, runs scenarios, tells what is still undelivered.

Whatever a run needs from outside (environment, clock, terminal) comes in here and is passed on.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from engine.data import Datasets
from engine.evaluation.record import Evaluation
from engine.scenarios.context import Context
from engine.scenarios.log import Line, RunLog
from engine.scenarios.result import RunResult
from engine.scenarios.runner import run_scenario
from engine.spec import Project
from engine.spec.catalogue import canonical
from engine.spec.secrets import Secrets
from engine.store import OutboxMessage, Store, utc_now

LAST = 10
DISPLAYED = ["data_drift", "drifted_columns"]


@dataclass(frozen=True, slots=True)
class StoreView:
    """The newest evaluations of a store, oldest first, and the metrics that it displays."""

    metrics: list[str]
    evaluations: list[Evaluation]


@dataclass(frozen=True, slots=True)
class Finished:
    """What a call found: its runs in order, the stores that they built, every message that is still undelivered."""

    runs: list[RunResult]
    stores: dict[str, StoreView]
    undelivered: list[OutboxMessage]


def run(
    project: Project,
    scenarios: Sequence[str],
    *,
    environ: Mapping[str, str] = os.environ,
    clock: Callable[[], datetime] = utc_now,
    listeners: Sequence[Callable[[Line], None]] = (),
    preview: Callable[[str], None] | None = None,
) -> Finished:
    """Run scenarios one after the other.

    Parameters
    ----------
    preview
        Is given what the reporters would send, instead of sending it.

    Raises
    ------
    StoreError
        The state cannot be used, or a scenario is busy and refuses to wait.
    """
    with opened(project, environ=environ, clock=clock, listeners=listeners, preview=preview) as context:
        runs = [run_scenario(name, context) for name in scenarios]
        built = dict.fromkeys(made.store for run in runs for step in run.all_steps() for made in step.evaluations)
        stores = {
            name: StoreView(
                list(map(canonical, project.evaluation_stores[name].display.metrics)) or DISPLAYED,
                context.store.evaluations(name, LAST),
            )
            for name in built
        }
        return Finished(runs, stores, context.store.undelivered())


@contextmanager
def opened(
    project: Project,
    *,
    environ: Mapping[str, str],
    clock: Callable[[], datetime] = utc_now,
    listeners: Sequence[Callable[[Line], None]] = (),
    preview: Callable[[str], None] | None = None,
) -> Iterator[Context]:
    """Open the project's state and give the context that runs start from; runs that were killed become ABORTED."""
    secrets = Secrets(project, environ)
    log = RunLog(None, "", clock, secrets.redact, listeners)
    with Store.open(state_folder(project), now=clock) as store:
        for dead in store.abort_dead_runs():
            log.warning(f"run {dead.id} of {dead.scenario} was killed before its end; it is ABORTED now")
        yield Context(
            project=project,
            datasets=Datasets(project, store.file_hashes),
            store=store,
            secrets=secrets,
            environ=environ,
            clock=clock,
            log=log,
            start=run_scenario,
            preview=preview,
        )


def state_folder(project: Project) -> Path:
    """Return the folder of the project's state."""
    return project.folder / project.state.path
