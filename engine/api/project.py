"""A project for Python: the spec is loaded once, the state is opened for each call and closed again.

Nothing stays open between calls, so an idle notebook holds no lock and no file.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from engine import spec
from engine.api import messages, mutes, tabulation, trigger_history
from engine.api.deployment_status import describe_deployed, describe_here, load_deployed
from engine.api.evaluation_store import EvaluationStore
from engine.api.lookup import choose_run, find_target, require_store
from engine.api.opened_state import open_session, open_state
from engine.api.project_tables import ProjectTables
from engine.bundles.project_bundles import list_project_bundles
from engine.errors import DataError, UsageError
from engine.evaluation.record import CheckResult
from engine.formatting.lists import join_some
from engine.notifications import Delivery
from engine.pipeline.context import StateContext
from engine.pipeline.log import LogLine
from engine.scenarios import scenario_selection, session
from engine.scenarios.context import RunContext
from engine.scenarios.plan import Plan
from engine.scenarios.result import RunResult as Run
from engine.service.deployments.deploying import deploy_bundle, roll_back_deployment
from engine.service.deployments.deployment_list import list_deployments, list_operations
from engine.service.deployments.pulling import Pulled, pull_evaluations
from engine.service.project_status import ProjectStatus
from engine.spec.disturbances import parse_term
from engine.spec.variable_references import Value
from engine.store import RunRecord, shorten_id, utc_now
from engine.store.node import OperationRow as Update
from engine.store.retention.pruning import Pruned, prune_state
from engine.store.state.size import StateSize, describe_size
from engine.views.trigger_view import describe_pause

if TYPE_CHECKING:
    import polars as pl

    from engine.api.replay import TriedValues
    from engine.pipeline.bundle_creation import CreatedBundle
    from engine.scenarios.drill import DrillResult


__all__ = ["Project", "Run", "Update", "load", "run"]


@dataclass(frozen=True, slots=True, repr=False)
class Project:
    """A project: the resources that its spec declares, and the results that its state holds.

    Attributes
    ----------
    spec
        The spec, read and validated.
    environ
        The environment that secrets are read from.
    listeners
        Called with each entry of the log while scenarios run.
    """

    spec: spec.ProjectSpec
    environ: Mapping[str, str]
    listeners: tuple[Callable[[LogLine], None], ...] = ()

    def __repr__(self) -> str:
        return f"Project({self.name!r}, scenarios={self.scenarios}, stores={self.stores})"

    @property
    def name(self) -> str:
        """The project's name."""
        return self.spec.name

    @property
    def scenarios(self) -> list[str]:
        """The names of the scenarios; `default` if the spec declares none."""
        return list(self.spec.scenarios) or [scenario_selection.DEFAULT_SCENARIO]

    @property
    def stores(self) -> list[str]:
        """The names of the evaluation stores."""
        return list(self.spec.evaluation_stores)

    @property
    def tables(self) -> ProjectTables:
        """What the state holds as tables that need no polars, as the command line prints them."""
        return ProjectTables(self.spec, self.open_state)

    def with_variables(self, **values: Value) -> "Project":
        """Return the project with other values of its variables.

        Raises
        ------
        SpecError
            A variable is not declared, or a value makes the spec invalid.
        """
        return replace(self, spec=self.spec.with_variables(values))

    def run(self, scenario: str) -> Run:
        """Run a scenario and return its outcome, its steps and the results of the checks.

        Raises
        ------
        UsageError
            There is no such scenario.
        StoreError
            The state cannot be used, or the scenario is already running and has `on_busy: refuse`.
        """
        return self._run_scenarios(scenario)[0]

    def run_all(self) -> list[Run]:
        """Run the scenarios of `run:` (or the only one), as `engine run` does, and return their runs in order.

        Raises
        ------
        UsageError
            There are several scenarios, and the spec has no `run:`.
        StoreError
            As `run`.
        """
        return self._run_scenarios()

    def plan(self, *scenarios: str) -> Plan:
        """Return what running scenarios (by default those of `run:`, or the only one) would do, and why.

        Nothing is changed. Data are opened: files are hashed, schemas are read, and functions of `python` datasets are
        called.

        Raises
        ------
        UsageError
            There is no such scenario; or none is named, there are several, and the spec has no `run:`.
        StoreError
            The state cannot be read.
        """
        names = scenario_selection.select_scenarios(self.spec, scenarios)
        return session.plan_scenarios(self.spec, names, environ=self.environ, listeners=self.listeners)

    def _run_scenarios(self, *named: str) -> list[Run]:
        names = scenario_selection.select_scenarios(self.spec, named)
        return session.run_scenarios(self.spec, names, environ=self.environ, listeners=self.listeners).runs

    def store(self, name: str) -> EvaluationStore:
        """Return an evaluation store; raises UsageError if the name is unknown."""
        require_store(name, self.spec)
        return EvaluationStore(name, self.spec, self.open_state, self.open_session)

    def runs(self, last: int | None = None) -> "pl.DataFrame":
        """Return the runs, oldest first; with `last`, only the newest ones.

        Returns
        -------
        id, scenario, state (RUNNING, or the outcome), started (UTC), seconds, trigger, who, parent.
        """
        return self.tables.runs(last).to_frame()

    def past_run(self, id: str) -> RunRecord:  # noqa: A002  the field of RunRecord has this name
        """Return the record of a run; the last part of its id is enough. Raises UsageError if the id is unknown."""
        with self.open_state() as context:
            return context.store.runs.get(choose_run(id, context))

    def log(self, run: str) -> "pl.DataFrame":
        """Return the log of a run and of the runs that it started: at (UTC), level, scenario, step, text.

        Raises
        ------
        UsageError
            There is no such run.
        """
        return self.tables.log(run).to_frame()

    def checks(self, target: str, last: int | None = None) -> "pl.DataFrame":
        """Return the results of the checks of a dataset or an evaluation store, oldest first; with `last`, the newest.

        Returns
        -------
        created (UTC), evaluation (its name), check, metric, outcome, counts_as, value, bounds, reason, run,
        evaluation_id, detectable (what would have broken an OK in 4 of 5 batches of this size).

        Raises
        ------
        UsageError
            There is no such dataset or store.
        """
        return self.tables.checks(target, last=last).to_frame()

    def check(self, target: str, evaluation: str | None = None) -> list[CheckResult]:
        """Apply the checks of a dataset or an evaluation store, as the spec declares them now; record the results.

        Parameters
        ----------
        evaluation
            The evaluation of the store to check; by default the newest.

        Raises
        ------
        UsageError
            There is no such dataset, store or evaluation.
        DataError
            The dataset cannot be read, or its contract does not hold.
        """
        from engine.pipeline.checks import apply_checks

        find_target(target, self.spec)
        if target in self.stores:
            return self.store(target).check(evaluation)
        if evaluation is not None:
            raise UsageError(f"{target!r} is a dataset, not an evaluation store; it has no evaluation {evaluation!r}")
        with self.open_session() as context:
            return list(context.read_unchanged(lambda attempt: apply_checks(target, attempt)).results)

    def replay(self, target: str, tried: "TriedValues | None" = None) -> "pl.DataFrame":
        """Apply the checks of a dataset or evaluation store to all that is stored of it, as `EvaluationStore.replay`.

        The evaluations of a dataset are its measurements, named by their time.

        Raises
        ------
        UsageError
            There is no such dataset or store, nothing is stored of it, or a tried setting is not possible.
        """
        from engine.api.replay import replay_target

        find_target(target, self.spec)
        with self.open_session() as context:
            return replay_target(target, tried or {}, context).to_frame()

    def drill(self, store: str, *disturbances: str, scenarios: Sequence[str] = ()) -> "DrillResult":
        """Disturb the batch of a store in memory: which checks fire, and what would be sent? Nothing is kept or sent.

        Parameters
        ----------
        disturbances
            As `engine drill` takes them, made in this order: "shift card_age=+0.5sd", "missing card_age=10%".
        scenarios
            The scenarios to run, in order; by default the last one of `run:` that builds the store and those that
            follow it there, or else the last one of the spec that builds it.

        Raises
        ------
        UsageError
            There is no such store or scenario, or the batch does not allow a disturbance.
        DataError
            The batch cannot be read, or the store cannot be built without any disturbance.
        StoreError
            The state cannot be read.
        """
        from engine.scenarios.drill import drill_store

        parsed = [parse_term(one) for one in disturbances]
        return drill_store(
            self.spec, store, parsed, scenarios=scenarios, environ=self.environ, listeners=self.listeners
        )

    def create_bundle(self, name: str, *, keys: Sequence[Path] = ()) -> "CreatedBundle":
        """Build what a bundle of the spec includes, pack it, and put it into the local registry under its name.

        Parameters
        ----------
        keys
            Files of private Ed25519 keys (PEM) to sign it with.

        Raises
        ------
        UsageError
            The spec has no such bundle, or a key cannot be read.
        BundleError
            The name belongs to a bundle with other contents, a file cannot be packed, or one holds a secret.
        DataError, ModelError
            A dataset or a model cannot be built, or a check of a dataset is ERROR.
        """
        from engine.pipeline.bundle_creation import plan_bundle
        from engine.pipeline.datasets import ChecksFailed

        with session.open_session(self.spec, environ=self.environ, listeners=self.listeners) as context:
            try:
                return context.read_unchanged(
                    lambda attempt: plan_bundle(name, name, attempt, keys=keys).apply(attempt)
                )
            except ChecksFailed as failed:
                raise DataError(str(failed)) from failed

    def outbox(self) -> "pl.DataFrame":
        """Return the messages that were not sent, oldest first: PENDING ones wait, the others are not tried again.

        REFUSED ones were refused by their receivers for good, and can be sent again by `retry_messages`; DROPPED ones
        are settled.

        Returns
        -------
        id, state, created (UTC), reporter, channel, to (receivers that do not have it), subject, tries, reason (of the
        last failure, or of dropping), run.
        """
        return self.tables.outbox().to_frame()

    def drop_messages(self, *ids: str) -> list[str]:
        """Drop undelivered and refused messages of the outbox: they are not tried again. Record who has dropped them.

        Parameters
        ----------
        ids
            The messages, by id or by its last part; or all of a run, a reporter or a channel, by its id or name. All
            undelivered and refused messages if none is given.

        Returns
        -------
        The ids of the dropped messages.

        Raises
        ------
        UsageError
            There is no such undelivered message.
        """
        with self.open_state() as context:
            return messages.drop_messages(ids, context)

    def retry_messages(self, *ids: str) -> list[Delivery]:
        """Send undelivered and refused messages of the outbox now; the parameters are those of `drop_messages`.

        Those that cannot be sent from here are due at once for a server that runs: it waits for their channels no more.

        Raises
        ------
        UsageError
            There is no such undelivered message.
        """
        with self.open_state() as context:
            return messages.retry_messages(ids, context)

    def mute(self, target: str, check: str, *, until: date | datetime | timedelta, reason: str) -> str:
        """Let a check count as OK until a time, and record who did so; return that as a sentence.

        The check is measured, stored and told all the same. An earlier mute of it ends.

        Parameters
        ----------
        until
            When the check counts again: a date (its first instant), a time (of the project's time zone, if it has no
            offset), or a duration from now on.

        Raises
        ------
        UsageError
            There is no such dataset, store or check, or the time is over.
        """
        with self.open_state() as context:
            return mutes.describe_mute(mutes.mute_check(target, check, until, reason, context))

    def unmute(self, target: str, check: str) -> None:
        """End the mute of a check, and record who did so.

        Raises
        ------
        UsageError
            The check is not muted.
        """
        with self.open_state() as context:
            mutes.unmute_check(target, check, context)

    def mutes(self) -> "pl.DataFrame":
        """Return all mutes of checks, oldest first.

        Returns
        -------
        target (store or dataset), check, state (in force, in force without effect because the spec has no such check,
        expired, or by whom it was ended), until (UTC), by, reason, created (UTC).
        """
        return self.tables.mutes().to_frame()

    def pause(self, scenario: str, *, until: date | datetime | timedelta | None = None, reason: str = "") -> str:
        """Let the triggers of a scenario start no runs, and record who did so; return that as a sentence.

        An earlier pause of it ends. What is due meanwhile is recorded as SKIPPED, and is not made up for. Runs that are
        started by hand are not paused.

        Parameters
        ----------
        until
            When its triggers start runs again: a date (its first instant), a time (of the project's time zone, if it
            has no offset), a duration from now on, or None: when somebody resumes it.

        Raises
        ------
        UsageError
            There is no such scenario, or the time is over.
        """
        with self.open_state() as context:
            paused = trigger_history.pause_scenario(scenario, until, reason, context)
            return describe_pause(paused) + trigger_history.explain_idle_pause(scenario, context)

    def resume(self, scenario: str) -> None:
        """End the pause of a scenario, and record who did so.

        Raises
        ------
        UsageError
            The scenario is not paused.
        """
        with self.open_state() as context:
            trigger_history.resume_scenario(scenario, context)

    def pauses(self) -> "pl.DataFrame":
        """Return all pauses of scenarios, oldest first.

        Returns
        -------
        scenario, state (in force, in force without effect and why, over, or by whom it was ended), until (UTC; null:
        when somebody resumes it), by, reason, created (UTC).
        """
        return self.tables.pauses().to_frame()

    def bundles(self) -> "pl.DataFrame":
        """Return the bundles that were made here and those that are published, by name.

        Returns
        -------
        name, id, where (local, published or both), size (bytes), signatures (their number; they are not checked),
        created (ISO 8601, UTC), by, release_notes, problem (why its archive cannot be used; null: it is sound).

        Raises
        ------
        BundleError
            The file of a name is damaged.
        """
        return tabulation.tabulate_bundles(list_project_bundles(self.spec)).to_frame()

    def triggers(self) -> "pl.DataFrame":
        """Return the triggers of all scenarios, in the order of the spec. No server is needed for it.

        Returns
        -------
        scenario, trigger, kind, starts (in words), timezone, state (active, or why it starts no run), last_scheduled
        (of its newest fire, UTC), last_state, last_run, next_times (the next five, UTC; empty for a trigger that is not
        due at times).
        """
        return tabulation.tabulate_triggers(self.tables.list_triggers()).to_frame()

    def fires(self, last: int | None = None) -> "pl.DataFrame":
        """Return what was due by triggers and what has become of it, oldest first; with `last`, the newest.

        Returns
        -------
        number, scheduled (UTC), local (the same in the time zone of its trigger, as text), timezone, scenario, trigger,
        state (WAITING, STARTING, RUNNING, DONE, COALESCED, SKIPPED), reason, run (its id), outcome (of its run),
        attempt, into (the number of the fire that does its work), late (seconds after `scheduled` at which its run has
        started, or without a run, at which it was seen), changed (the names of what has changed).
        """
        return self.tables.fires(last).to_frame()

    def prune(self, *, dry: bool = False) -> Pruned:
        """Remove from the state what `retention:` of the spec does not keep, and return what that was.

        What is still needed is never removed: see the reference page. Without `retention:`, nothing is.

        Parameters
        ----------
        dry
            Remove nothing, and return what would be removed.
        """
        with self.open_state() as context:
            return prune_state(context.store, self.spec, context.clock(), dry=dry)

    def state_size(self) -> StateSize:
        """Return how large the state is: bytes of its database and of its files, and rows."""
        with self.open_state() as context:
            return describe_size(context.store)

    def vacuum(self) -> tuple[int, int]:
        """Write the database of the state anew, without the room of what was removed; return its bytes before and now.

        Raises
        ------
        UsageError
            Runs are at work.
        """
        with self.open_state() as context:
            if running := context.store.runs.list_running():
                which = join_some(f"{shorten_id(run.id)} of {run.scenario}" for run in running)
                raise UsageError(
                    f"{context.store.database.name} cannot be written anew while runs are at work, since they could "
                    f"not write: {which}; wait until they have ended"
                )
            before = describe_size(context.store).database_bytes
            context.store.database.vacuum()
            return before, describe_size(context.store).database_bytes

    def reporter_states(self) -> "pl.DataFrame":
        """Return what the reporters with `only_on_change` or `cooldown` have last seen and told.

        Returns
        -------
        scenario, reporter, channel, watches (its run_condition, or the outcome), now (what the last run gave; null
        before the first), since (UTC), told (what its receivers know), sent_at (its last message, UTC), as_of (the
        moment that the last run stands for, UTC).
        """
        return self.tables.reporter_states().to_frame()

    def on(self, deployment: str) -> "Project":
        """Return what is active in a deployment, as a project: its state is that of the deployment.

        Raises
        ------
        UsageError
            The spec has no such deployment, or nothing is deployed there.
        SpecError
            What is deployed is not valid any more.
        """
        return replace(self, spec=load_deployed(self.spec, deployment, self.environ))

    def deploy(self, deployment: str, bundle: str | None = None, *, again: bool = False, now: bool = False) -> Update:
        """Make a bundle the active one of a deployment, after proving that it can run there; see `engine deploy`.

        Parameters
        ----------
        bundle
            Its name or id; by default that of the deployment in the spec.
        again
            Deploy it although it was rolled back there.
        now
            Leave out the proofs.

        Returns
        -------
        The operation: `state` is HEALTHY, or FAILED, ROLLED_BACK or ERROR with the `reason`; `steps` have the logs.

        Raises
        ------
        UsageError
            There is no such deployment or bundle.
        EngineError
            The update was refused: the bundle was rolled back there, or somebody else was faster.
        """
        return deploy_bundle(
            self.spec, deployment, bundle, environ=self.environ, again=again, now=now, tell=self._tell_deployment
        )

    def roll_back(self, deployment: str, *, now: bool = False) -> Update:
        """Go back to the last healthy revision of a deployment, with its settings of then; returns as `deploy`.

        Raises
        ------
        UsageError
            There is no such deployment, or nothing is deployed.
        EngineError
            There is no healthy revision to go back to, or somebody else was faster.
        """
        return roll_back_deployment(self.spec, deployment, environ=self.environ, now=now, tell=self._tell_deployment)

    def pull(self, deployment: str, store: str | None = None, *, since: date | datetime | None = None) -> Pulled:
        """Bring the evaluations of a deployment that are not here yet, and return what was brought.

        They are a history of their own, marked with their origin: nothing here is compared with them, and no check,
        alert or reference looks at them.

        Parameters
        ----------
        store
            The evaluation store whose evaluations are brought; by default every one.
        since
            The day or moment since which their time is, or without a time they were made; without a time zone, in UTC.

        Raises
        ------
        UsageError
            The spec has no such deployment or store, or nothing is deployed.
        StoreError
            What arrives is not as it must be, or cannot be stored; what was brought before that stays.
        """
        moment = None
        if since is not None:
            moment = since if isinstance(since, datetime) else datetime.combine(since, time())
            moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
        with self.open_state() as context:
            return pull_evaluations(
                self.spec,
                deployment,
                context.store,
                environ=self.environ,
                of_store=store,
                since=moment,
                tell=self._tell_deployment,
            )

    def deployments(self) -> "pl.DataFrame":
        """Return the deployments of the spec as they are now.

        Returns
        -------
        name, infrastructure, state (HEALTHY, OUT_OF_SYNC, ERROR, UNKNOWN), reasons, revision, bundle, bundle_name,
        since, by.
        """
        return tabulation.tabulate_deployments(list_deployments(self.spec, self.environ)).to_frame()

    def updates(self, deployment: str) -> list[Update]:
        """Return the operations on a deployment, oldest first; raises UsageError if the spec has no such deployment."""
        return list_operations(self.spec, deployment, self.environ)

    def status(self, deployment: str | None = None) -> list[ProjectStatus]:
        """Return how the deployments of the spec stand (one of them, or all); without any, how the project stands.

        Raises
        ------
        UsageError
            The spec has no such deployment.
        """
        names = [deployment] if deployment is not None else list(self.spec.resources.deployments)
        if not names:
            return [describe_here(self.spec, self.environ, self.listeners)]
        return [describe_deployed(name, self.spec, self.environ, self.listeners) for name in names]

    def _tell_deployment(self, text: str) -> None:
        line = LogLine(at=utc_now(), level="info", scenario="", step="", text=text)
        for listen in self.listeners:
            listen(line)

    def open_session(self) -> AbstractContextManager[RunContext]:
        """Open the project's state and data, and yield the context that runs start from."""
        return open_session(self.spec, self.environ, self.listeners)

    def open_state(self) -> AbstractContextManager[StateContext]:
        """Open the project's state alone; the messages of killed runs are sent first, as when a run starts."""
        return open_state(self.spec, self.environ, self.listeners)


def load(
    path: Path | str,
    variables: Mapping[str, Value] | None = None,
    *,
    as_of: date | datetime | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Project:
    """Load the project that a spec file declares.

    Parameters
    ----------
    variables
        Values that replace those of the spec; a text is converted to the declared variable's type.
    as_of
        The moment that runs stand for, `${as_of}`: a date, or a time (of the project's time zone, if it has no offset);
        by default the moment at which the project is loaded.
    environ
        The environment that secrets and `${env.NAME}` are read from.

    Raises
    ------
    SpecError
        The spec is invalid; `diagnostics` holds every problem, in order of position.
    """
    # absolute, because a notebook may change its working folder between two calls
    return Project(spec.load(Path(path).absolute(), variables, environ, as_of), environ)


def run(path: Path | str, scenario: str | None = None, variables: Mapping[str, Value] | None = None) -> list[Run]:
    """Load a spec and run the scenario, or those of `run:`, as `engine run` does; return the runs in order.

    Raises
    ------
    SpecError
        The spec is invalid; nothing has run.
    UsageError, StoreError
        As `Project.run` and `Project.run_all`.
    """
    project = load(path, variables)
    return project.run_all() if scenario is None else [project.run(scenario)]
