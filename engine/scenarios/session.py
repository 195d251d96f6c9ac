"""One call of the engine: opens the state, runs or plans scenarios, and returns the results.

Environment, clock and terminal are parameters and are passed on, so that nothing below reads globals. Modules that read
data are imported inside the functions that need them, so that commands that only read the state start quickly.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from engine.errors import StoreError
from engine.file_identity import FileIdentity
from engine.pipeline.actions import Mode
from engine.pipeline.context import StateContext
from engine.pipeline.log import LogLine, RunLog
from engine.scenarios.context import RunContext
from engine.scenarios.result import RunResult
from engine.spec import ProjectSpec
from engine.spec.metrics.displayed import list_displayed_metrics
from engine.spec.secrets.redaction import redact_exception
from engine.spec.secrets.values import Secrets
from engine.store import OutboxMessage, Store, generate_id, utc_now
from engine.store.location import locate_state, resolve_state_folder
from engine.views.store_view import StoreView, describe_store

if TYPE_CHECKING:
    from engine.scenarios.plan import Plan

SHOWN_EVALUATIONS = 10
"""Number of evaluations per store that are shown after a run: a table that fits on a screen."""


class CallResult(NamedTuple):
    """The result of a call: its runs in order, the stores that they built, and the messages that were not sent.

    `undelivered` has every message that waits, and those that were refused for good in this call. If `dry`, nothing was
    kept.
    """

    runs: list[RunResult]
    stores: dict[str, StoreView]
    undelivered: list[OutboxMessage]
    dry: bool = False


def run_scenarios(
    project: ProjectSpec,
    scenarios: Sequence[str],
    *,
    environ: Mapping[str, str] = os.environ,
    clock: Callable[[], datetime] = utc_now,
    listeners: Sequence[Callable[[LogLine], None]] = (),
    preview: Callable[[str], None] | None = None,
    dry: bool = False,
    trigger: str = "manual",
    run: str | None = None,
    settled: Mapping[str, FileIdentity] = MappingProxyType({}),
    fire: int | None = None,
    deliver: bool = True,
    state: Path | None = None,
) -> CallResult:
    """Run scenarios one after the other.

    Parameters
    ----------
    listeners
        Called with each entry of the log.
    preview
        If given, it is called with the text that each reporter would send, and nothing is sent.
    dry
        Compute everything on a copy of the state; keep nothing and send nothing.
    trigger
        What starts the runs, in the words of conditions and messages.
    run
        The id of the run, if there is only one scenario; by default a new one is generated.
    settled
        By absolute path, the identities of data files that were found to be complete.
    fire
        The number of the fire that starts the run. Such a run does not wait for its scenario's lock.
    deliver
        Whether to send the messages of the runs and those that wait. If not, messages are only committed, another
        process sends them, and the result does not list undelivered ones.
    state
        The folder of a copy of the state, which is used as it is.

    Raises
    ------
    StoreError
        The state cannot be used, or a scenario is already running and has `on_busy: refuse`.
    """
    from engine.scenarios.runner import run_scenario

    mode: Mode = "dry run" if dry else "run"
    with ExitStack() as stack:
        try:
            context = stack.enter_context(
                open_session(
                    project,
                    environ=environ,
                    clock=clock,
                    listeners=listeners,
                    preview=preview,
                    mode=mode,
                    deliver=deliver,
                    state=state,
                )
            )
        except StoreError as problem:
            if mode == "run" and preview is None:
                _report_unusable_state(project, scenarios, problem, environ, clock, listeners)
            raise
        refused = {message.id for message in context.store.outbox.list_refused()}
        answered = None if fire is None else context.store.fires.get(fire)
        if fire is not None and answered is None:
            raise StoreError(f"the state has no fire {fire}, for which this run was started")
        started = replace(context, trigger=trigger, settled=settled, fire=answered)
        runs = [run_scenario(name, started, run) for name in scenarios]
        built = dict.fromkeys(made.store for run in runs for step in run.all_steps() for made in step.evaluations)
        stores = {
            name: describe_store(
                name,
                metrics := list_displayed_metrics(project.evaluation_stores[name]),
                context.store.evaluations.history(name, SHOWN_EVALUATIONS, metrics=metrics),
                context.store.checks.list_outcomes(name),
            )
            for name in built
        }
        if not deliver:
            return CallResult(runs, stores, [], dry)
        refused_now = [message for message in context.store.outbox.list_refused() if message.id not in refused]
        return CallResult(runs, stores, [*context.store.outbox.list_undelivered(), *refused_now], dry)


def plan_scenarios(
    project: ProjectSpec,
    scenarios: Sequence[str],
    *,
    environ: Mapping[str, str] = os.environ,
    listeners: Sequence[Callable[[LogLine], None]] = (),
    state: Path | None = None,
) -> "Plan":
    """Return what `run` would do, each action with its reason. Nothing is changed.

    Data are opened: files are hashed, schemas are read, and functions of `python` datasets are called. `state` is an
    optional folder with a copy of the state, which is used instead.

    Raises
    ------
    StoreError
        The state cannot be read.
    """
    from engine.scenarios.plan import Plan
    from engine.scenarios.plan_executor import Planner

    planner = Planner()
    with open_session(project, environ=environ, listeners=listeners, mode="plan", state=state) as context:
        planned = [planner.plan_scenario(name, context) for name in scenarios]
    planner.findings.extend(project.warnings)
    return Plan(
        project=project.name,
        variables=context.secrets.redact_values({name: str(value) for name, value in project.variables.items()}),
        scenarios=planned,
        findings=list(planner.findings.sorted_by_position()),
    )


def _report_unusable_state(
    project: ProjectSpec,
    scenarios: Sequence[str],
    problem: StoreError,
    environ: Mapping[str, str],
    clock: Callable[[], datetime],
    listeners: Sequence[Callable[[LogLine], None]],
) -> None:
    """Send the `end` messages of scenarios that cannot run because the state cannot be opened.

    The messages are composed with an empty temporary state. If that cannot be created either, no message is sent, and
    only the error reports the problem.
    """
    from engine.scenarios.runner import report_impossible_run

    with (
        suppress(OSError, StoreError),
        TemporaryDirectory(prefix="engine-", ignore_cleanup_errors=True) as temporary,
        open_session(project, environ=environ, clock=clock, listeners=listeners, state=Path(temporary)) as context,
    ):
        for name in scenarios:
            at_scenario = replace(context, log=replace(context.log, scenario=name))
            report_impossible_run(name, generate_id(clock()), at_scenario, problem)


@contextmanager
def open_session(
    project: ProjectSpec,
    *,
    environ: Mapping[str, str],
    clock: Callable[[], datetime] = utc_now,
    listeners: Sequence[Callable[[LogLine], None]] = (),
    preview: Callable[[str], None] | None = None,
    mode: Mode = "run",
    state: Path | None = None,
    reading: bool = False,
    deliver: bool = True,
) -> Iterator[RunContext]:
    """Open the project's state and its data, and yield the context that runs start from.

    The parameters are those of `open_state`, and:

    Parameters
    ----------
    mode
        With `"run"`, killed runs are marked ABORTED.
    deliver
        Whether messages are sent; if not, they are only committed.
    """
    from engine.data.datasets import Datasets
    from engine.pipeline.touched_files import TouchedFileHashes
    from engine.scenarios.dead_runs import abort_dead_runs
    from engine.scenarios.runner import run_scenario

    with ExitStack() as stack:
        opened = stack.enter_context(
            open_state(
                project, environ=environ, clock=clock, listeners=listeners, mode=mode, state=state, reading=reading
            )
        )
        store = opened.store
        hashes = TouchedFileHashes(store.file_hashes)
        context = RunContext(
            project=project,
            datasets=Datasets(
                project,
                hashes,
                lambda: stack.enter_context(store.folders.stage()),
                opened.secrets,
                store.kept_rows,
                resolve_state_folder(project) / "objects",
            ),
            store=store,
            secrets=opened.secrets,
            environ=opened.environ,
            clock=clock,
            log=opened.log,
            start_scenario=run_scenario,
            preview=preview,
            mode=mode,
            hashes=hashes,
            deliver=deliver,
        )
        if mode == "run" and state is None and store.database.unwritable is None and preview is None:
            abort_dead_runs(context)
        yield context


@contextmanager
def open_state(
    project: ProjectSpec,
    *,
    environ: Mapping[str, str],
    clock: Callable[[], datetime] = utc_now,
    listeners: Sequence[Callable[[LogLine], None]] = (),
    mode: Mode = "run",
    state: Path | None = None,
    reading: bool = False,
) -> Iterator[StateContext]:
    """Open the project's state without its data, and yield a context with it.

    Parameters
    ----------
    mode
        `"run"` works on the state itself, a dry run on a temporary copy; a plan keeps its simulated changes in memory.
    state
        The folder of a state or of a copy, which is used as it is; a worker process uses the folder of its parent.
    reading
        Whether the caller mostly reads: a state that cannot be written is then read from a temporary copy, and any
        change raises a StoreError.
    """
    environ = project.select_environment(environ)
    secrets = Secrets(project, environ)
    log = RunLog(None, "", clock, secrets.redact, listeners)
    with ExitStack() as stack:
        stack.push(_mask_exception(secrets))
        location = locate_state(project, environ, state)
        if mode == "plan":
            from engine.store.state.suppositions import open_supposing

            store = stack.enter_context(open_supposing(location, now=clock))
        elif state is None and mode == "dry run":
            from engine.store.state.temporary_copy import copy_state

            store = stack.enter_context(Store.open(stack.enter_context(copy_state(location)), now=clock))
        elif not reading:
            store = stack.enter_context(Store.open(location, now=clock))
        else:
            from engine.store.state.temporary_copy import can_write, open_for_reading

            if can_write(location):
                store = stack.enter_context(Store.open(location, now=clock))
            else:
                store = stack.enter_context(open_for_reading(location, now=clock))
        if lost := store.describe_lost_history():
            log.warning(f"state folder {resolve_state_folder(project)}: {lost}")
        if migration := store.database.migration:
            log.warning(f"state folder {resolve_state_folder(project)}: {migration}")
        yield StateContext(project=project, store=store, secrets=secrets, environ=environ, clock=clock, log=log)


def _mask_exception(secrets: Secrets) -> Callable[[object, BaseException | None, object], None]:
    """Return an exit callback that masks secrets in an exception that leaves a session."""

    def mask(_type: object, error: BaseException | None, _traceback: object) -> None:
        if error is not None:
            redact_exception(error, secrets.redact)

    return mask
