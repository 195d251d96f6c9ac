"""The state machine of an update; each state is recorded when it is reached.

    REQUESTED → RECEIVED → VERIFIED → LAID_DOWN → PRELOADED → [hooks] → ACTIVE → HEALTHY before ACTIVE: FAILED, and
    nothing has changed;  after it: ROLLED_BACK, or ERROR if that is not possible

A process that changes a deployment holds its lock, which the system releases at the end of the process. So the next
holder of the lock knows that an unfinished operation is abandoned, and concludes it: see `conclusion.py`. The link of
the deployment defines the active revision; it is replaced by one rename.
"""

import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from engine.errors import EngineError, StoreError
from engine.formatting.moments import format_minute
from engine.pipeline.bundles.released_models import activate_models, continue_models
from engine.service.deployments.places import DeploymentPlaces
from engine.service.deployments.release_retention import remove_old_releases
from engine.service.deployments.served_revision import NOT_SERVED, await_server
from engine.service.deployments.settings import Care
from engine.service.deployments.updates.health_check import check_health, check_runnable
from engine.service.deployments.updates.hooks import run_hook
from engine.service.deployments.updates.node_confinement import confine_update
from engine.service.deployments.updates.order import UpdateContext, UpdateOrder
from engine.service.deployments.updates.preloading import PreloadError, preload_revision
from engine.service.deployments.updates.release_files import (
    extract_release,
    receive_bundle,
    verify_bundle,
    write_revision_file,
)
from engine.service.deployments.updates.start import (
    begin_operation,
    find_healthy,
    order_back,
    order_off,
    refuse_unexpected,
)
from engine.spec import load
from engine.spec.secrets.values import Secrets
from engine.store.node import DeploymentRow, Node, OperationRow, OperationState, RevisionRow, RevisionState


class Updater:
    """Carries out operations on one deployment, whose lock the caller holds."""

    def __init__(self, node: Node, deployment: DeploymentRow, context: UpdateContext) -> None:
        self._node, self._name = node, deployment.name
        self._project = deployment.project
        self.places = DeploymentPlaces(node.folder, deployment.name)
        self._context = confine_update(context, self.places, deployment.name)

    @property
    def _deployment(self) -> DeploymentRow:
        return self._node.ensure_deployment(self._name, self._project)

    def update(self, order: UpdateOrder) -> OperationRow:
        """Carry out an update and return its finished operation.

        Raises
        ------
        DeploymentRefusedError
            The update was refused before it started.
        """
        refuse_unexpected(self._node, self._deployment, order)
        operation = begin_operation(self._node, self._deployment, order)
        self._context.checkpoint("REQUESTED")
        return self.carry_out(operation, order)

    def carry_out(self, operation: OperationRow, order: UpdateOrder) -> OperationRow:
        """Carry out an operation that was recorded for this process, and return it.

        Raises
        ------
        StoreError
            Its end cannot be recorded, for instance because the disk is full.
        """
        try:
            try:
                self._prepare(operation, order)
            except EngineError as problem:
                return self._fail(operation, str(problem))
            except KeyboardInterrupt:
                self._fail(operation, "it was interrupted")
                raise
            return self._switch_over(operation)
        except StoreError as problem:
            raise StoreError(
                f"{self._name}: the update to revision {operation.to_revision} has begun, but its end cannot be "
                f"recorded: {problem} Revision {self.places.read_pointer() or 'none'} is active; the next update, or "
                "the server that serves it, brings this one to its end"
            ) from problem

    # --- before the revision is active

    def _prepare(self, operation: OperationRow, order: UpdateOrder) -> None:
        row = self._row_of(operation)
        care = self._read_care(row)
        with self._node.lock_archives():
            self._do(
                operation,
                OperationState.RECEIVED,
                lambda: receive_bundle(self._node, self.places, operation, order, self._context),
            )
            self._do(
                operation, OperationState.VERIFIED, lambda: verify_bundle(self._node, self.places, order, self._context)
            )
            self._do(operation, OperationState.LAID_DOWN, lambda: self._lay_down(row))
        spec, release = self.places.revision_of(row.number), self.places.release_of(row.bundle)
        if order.kind != "disable":
            check_runnable(spec, care, self._context.environ)
        if order.now or order.kind == "disable":
            self._do(operation, OperationState.PRELOADED, lambda: "left out")
        else:
            self._context.report("proves that the bundle can run here")
            self._do(
                operation,
                OperationState.PRELOADED,
                lambda: preload_revision(spec, release, care, self._context.environ),
            )
        for argv, seconds in care.before if order.kind != "disable" else ():
            self._do(operation, None, partial(self._run_hook, argv, seconds, care, spec))

    def _lay_down(self, row: RevisionRow) -> str:
        manifest = extract_release(self.places, row.bundle)
        write_revision_file(self._node, self.places, row, manifest, self._context)
        return f"{len(manifest.files)} files"

    def _run_hook(self, argv: tuple[str, ...], seconds: float, care: Care, spec: Path) -> str:
        environ = self._context.environ
        redact = Secrets(load(spec, environ=environ), environ).redact
        printed = run_hook(argv, seconds, Path(care.hook_folder), environ, redact)
        return f"hook {argv[0]}: ended well{f': {printed}' if printed else ''}"

    def _do(self, operation: OperationRow, state: OperationState | None, work: Callable[[], str]) -> None:
        """Carry out a step, and record its messages and the state that it reaches."""
        name = "hook before" if state is None else str(state)
        started = self._node.database.now()
        try:
            result = work()
        except EngineError as problem:
            log = problem.log if isinstance(problem, PreloadError) else ""
            self._node.operations.add_step(operation, name, started, log, problem=str(problem))
            raise
        self._node.operations.add_step(operation, name, started, result)
        if state is not None:
            self._node.operations.advance(operation, state)
            self._context.checkpoint(str(state))

    def _fail(self, operation: OperationRow, reason: str) -> OperationRow:
        """Record that a revision was not activated and nothing has changed."""
        reached = self._node.operations.get(operation.id).state
        return self._node.operations.conclude(
            operation, OperationState.FAILED, RevisionState.FAILED, f"after {reached}: {reason}"
        )

    # --- after the activation

    def _switch_over(self, operation: OperationRow) -> OperationRow:
        """Activate the revision of an operation, and check its health."""
        try:
            self._set_models(operation)
            self._context.checkpoint("models set")
            self.places.move_pointer(operation.to_revision)
        except EngineError as problem:
            return self._fail(operation, str(problem))
        except OSError as error:
            return self._fail(operation, f"the link {self.places.pointer} cannot be moved: {error.strerror}")
        self._context.checkpoint("moved")
        return self.settle(operation)

    def _set_models(self, operation: OperationRow) -> None:
        """Record the model versions of the revision, before a run can use it.

        A disabled revision keeps those of the previous one, also if they were built here.
        """
        row = self._row_of(operation)
        spec = self.places.revision_of(row.number)
        if operation.kind != "disable":
            activate_models(spec, self.places.release_of(row.bundle), self._context.environ, self._context.report)
        elif operation.from_revision is not None:
            continue_models(spec, operation.from_revision, self._context.environ)

    def settle(self, operation: OperationRow) -> OperationRow:
        """Finish an operation whose revision is active: healthy, or rolled back.

        This can be repeated after a crash at any point.
        """
        off = operation.kind == "disable"
        self._node.operations.activate(operation, enabled=not off)
        self._context.checkpoint("ACTIVE")
        row = self._row_of(operation)
        if off:
            return self._conclude_off(operation)
        problem = operation.reason or self._find_health_problem(operation, row)
        if problem:
            return self._undo(operation, row, problem)
        if operation.kind == "rollback":
            self._leave_revision(operation, row)
        self._node.operations.conclude(operation, OperationState.HEALTHY, RevisionState.HEALTHY, error="")
        self._context.checkpoint("HEALTHY")
        try:
            keep = Care.from_json(row.settings["care"]).keep
            remove_old_releases(self._node, self.places, self._name, keep, self._context.keep_bundles)
        except (EngineError, OSError) as problem:  # the update has succeeded anyway
            self._context.report(f"old releases could not be removed, which the next update tries again: {problem}")
        return self._node.operations.get(operation.id)

    def _conclude_off(self, operation: OperationRow) -> OperationRow:
        """Wait until the triggers are disabled, and record the end of the operation."""
        started = self._node.database.now()
        try:
            project = load(self.places.revision_of(operation.to_revision), environ=self._context.environ)
            result = await_server(project, self._node.folder, Care().health_seconds)
        except EngineError as problem:
            reason = f"it is switched off, but {problem}"
            self._node.operations.add_step(operation, "switching off", started, problem=str(problem))
            return self._node.operations.conclude(
                operation, OperationState.ERROR, RevisionState.OFF, reason, error=reason
            )
        self._node.operations.add_step(operation, "switching off", started, result or NOT_SERVED)
        return self._node.operations.conclude(operation, OperationState.HEALTHY, RevisionState.OFF)

    def _leave_revision(self, operation: OperationRow, row: RevisionRow) -> None:
        """Record the rollback from a revision; quarantine its bundle if the rollback changed the bundle."""
        left = self._node.find_revision(self._name, operation.from_revision)
        if left is None:
            return
        self._node.set_revision_state(self._name, left.number, RevisionState.ROLLED_BACK)
        if left.bundle != row.bundle and left.bundle not in self._deployment.quarantined:
            self.quarantine(left, f"rolled back by {operation.by}")

    def _find_health_problem(self, operation: OperationRow, row: RevisionRow) -> str:
        """Return why the revision is not healthy; empty if it is."""
        started = self._node.database.now()
        spec, care = self.places.revision_of(row.number), self._read_care(row)
        self._context.report(f"revision {row.number} is active; checks its health")
        try:
            result = check_health(spec, care, self._context.environ, started, self._node.folder, self._context.report)
        except EngineError as problem:
            self._node.operations.add_step(operation, "health check", started, problem=str(problem))
            # Recorded at once, so that after a crash the revision is rolled back and not checked again.
            self._node.operations.advance(operation, OperationState.ACTIVE, str(problem))
            self._context.checkpoint("unhealthy")
            return str(problem)
        self._node.operations.add_step(operation, "health check", started, result)
        return ""

    # --- rollback

    def _undo(self, operation: OperationRow, row: RevisionRow, problem: str) -> OperationRow:
        """Roll back to the last healthy revision; without one, disable the triggers."""
        if operation.kind == "rollback":
            reason = f"the rollback to revision {row.number} is not healthy either: {problem}"
            self._context.report(f"{reason}; it stays as it is")
            return self._node.operations.conclude(
                operation, OperationState.ERROR, RevisionState.ROLLED_BACK, reason, error=reason
            )
        target = find_healthy(self._node, self._name, before=row.number)
        if target is None or target.bundle != row.bundle:
            self.quarantine(row, problem)
        if target is None:
            return self._switch_off_unhealthy(operation, problem)
        self._context.report(f"not healthy: {problem}; goes back to {target.bundle_name} (revision {target.number})")
        back = self._run_back(order_back(self._deployment, target, operation.to_revision, by=operation.by))
        if back.state is OperationState.HEALTHY:
            state, error = OperationState.ROLLED_BACK, {}
            reason = f"{problem}; rolled back to {target.bundle_name}, as revision {back.to_revision}"
        else:
            state, reason = OperationState.ERROR, f"{problem}; the rollback failed: {back.reason}"
            error = {"error": reason}
        return self._node.operations.conclude(operation, state, RevisionState.ROLLED_BACK, reason, **error)

    def quarantine(self, row: RevisionRow, why: str) -> None:
        """Quarantine the bundle of a revision: it can be deployed here again only on explicit request."""
        now = self._node.database.now()
        quarantined = {**self._deployment.quarantined, row.bundle: f"{why[:160]}, {format_minute(now)}"}
        self._node.change_deployment(self._name, quarantined=quarantined)

    def _run_back(self, order: UpdateOrder) -> OperationRow:
        """Carry out a rollback that follows from an operation."""
        operation = begin_operation(self._node, self._deployment, order)
        self._context.checkpoint("rollback REQUESTED")
        try:
            self._prepare(operation, order)
        except EngineError as problem:
            return self._fail(operation, str(problem))
        return self._switch_over(operation)

    def _switch_off_unhealthy(self, operation: OperationRow, problem: str) -> OperationRow:
        reason = f"{problem}; there is no healthy revision to go back to, so triggers start nothing any more"
        self._context.report(reason)
        row = self._row_of(operation)
        self._run_back(order_off(self._deployment, row, operation.by))
        return self._node.operations.conclude(
            operation, OperationState.ERROR, RevisionState.ROLLED_BACK, reason, error=reason
        )

    def _read_care(self, row: RevisionRow) -> Care:
        """Return the steps around an update; on a node, hooks start in the home of the deployment."""
        care = Care.from_json(row.settings["care"])
        return care if self._context.node_file is None else replace(care, hook_folder=str(self.places.home))

    def _row_of(self, operation: OperationRow) -> RevisionRow:
        row = self._node.find_revision(self._name, operation.to_revision)
        if row is None:
            raise RuntimeError(f"the operation {operation.id} has no revision")
        return row

    # --- abandoned operations

    def conclude_interrupted(self) -> list[OperationRow]:
        """Conclude every unfinished operation, newest first, and remove unfinished files.

        An operation whose revision is not active has changed nothing and ends FAILED. Otherwise its health is checked.
        """
        open_operations = self._node.operations.list_open(self._name)
        concluded = [self._conclude(one) for one in reversed(open_operations)]
        self.places.sweep_unfinished()
        self._remove_staging()
        return concluded

    def _conclude(self, operation: OperationRow) -> OperationRow:
        self._context.report(f"concludes the operation {operation.id}, which was interrupted after {operation.state}")
        pointer = self.places.read_pointer()
        if pointer == operation.to_revision:
            return self.settle(operation)
        if operation.state is OperationState.ACTIVE:  # its rollback was concluded before it
            reason = f"{operation.reason}; rolled back to revision {pointer}"
            deployment = self._deployment
            well = deployment.enabled and not deployment.error
            state, error = (OperationState.ROLLED_BACK, {}) if well else (OperationState.ERROR, {"error": reason})
            return self._node.operations.conclude(operation, state, RevisionState.ROLLED_BACK, reason, **error)
        return self._fail(operation, "it was interrupted")

    def _remove_staging(self) -> None:
        """Remove the staging folders of finished operations of this deployment."""
        for folder in (self._node.folder / "staging").glob("*"):
            known = [one for one in self._node.operations.list_all(self._name) if one.id == folder.name]
            if known and known[0].ended is not None:
                shutil.rmtree(folder, ignore_errors=True)
