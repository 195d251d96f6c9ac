"""Deploys bundles, goes back, switches off and removes: what the verbs of deployments do, from a spec."""

import math
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from engine.acting_user import describe_acting_user
from engine.bundles.archive_checks import read_manifest
from engine.bundles.extraction import remove_extracted
from engine.bundles.project_bundles import find_bundle
from engine.errors import UsageError
from engine.formatting.lists import join_words
from engine.formatting.moments import format_second
from engine.service.deployments.places import DeploymentPlaces
from engine.service.deployments.release_retention import has_running_runs
from engine.service.deployments.settings import (
    Care,
    find_node_folder,
    get_deployment,
    snapshot_settings,
)
from engine.service.deployments.update_order import DeploymentRefusedError, Surroundings, UpdateOrder
from engine.service.deployments.updates import Updater, find_healthy
from engine.spec import ProjectSpec
from engine.store import LockBusy
from engine.store.node import DeploymentRow, Node, OperationRow, RevisionRow, RevisionState

if TYPE_CHECKING:
    from engine.bundles.signatures import TrustedKey


@dataclass(frozen=True, slots=True)
class DeploymentChange:
    """What an update would change, for people to look at before it is made.

    Attributes
    ----------
    before, before_name
        The id and the name of the bundle that is active; None if none is.
    release_notes
        What is new in the bundle.
    keeps_state
        Whether there is a state already, which is kept.
    settings
        Per setting that would change, its value before and after, as text; no secret is among them.
    work
        What would be done around the update, a sentence each.
    quarantined
        Why the bundle would be refused; empty if it would not.
    """

    deployment: str
    bundle: str
    bundle_name: str
    before: str | None
    before_name: str | None
    revision: int | None
    settings: Mapping[str, tuple[str, str]]
    quarantined: str
    release_notes: str
    keeps_state: bool
    work: Sequence[str]


def deploy_bundle(
    project: ProjectSpec,
    name: str,
    bundle: str | None,
    *,
    environ: Mapping[str, str],
    again: bool = False,
    now: bool = False,
    key: str | None = None,
    tell: Callable[[str], None] = lambda _: None,
    checkpoint: Callable[[str], None] = lambda _: None,
) -> OperationRow:
    """Deploy a bundle, and return the operation, which has ended as its state says.

    Parameters
    ----------
    bundle
        Its name or id; None: that of `bundle:` of the deployment.
    again
        Deploy it although it was rolled back there.
    now
        Leave out the proofs.
    key
        The same key is the same operation, however often it is asked for.

    Raises
    ------
    UsageError
        The spec has no such deployment, or there is no such bundle, or none is named.
    DeploymentRefusedError
        The bundle is quarantined there, or somebody else was faster.
    """
    _refuse_inside_deployment(project)
    chosen = _choose_bundle(project, name, bundle)
    found = find_bundle(project, chosen)
    settings = snapshot_settings(project, name)
    with _open_node(project, name) as node:
        before = node.find_deployment(name)
        if key is not None and (known := node.operations.find_by_key(key)) is not None:
            return known
        order = UpdateOrder(
            deployment=name,
            project=project.name,
            bundle=found.id,
            bundle_name=chosen,
            settings=settings,
            archive=found.path,
            expected=None if before is None else before.active_revision,
            by=describe_acting_user(),
            again=again,
            now=now,
            key=key,
        )
        around = _surround(project, name, environ, tell, checkpoint)
        with _hold_deployment(node, name, project.name, around, order.expected) as updater:
            return updater.update(order)


def plan_update(project: ProjectSpec, name: str, bundle: str | None) -> DeploymentChange:
    """Return what deploying a bundle would change; nothing is changed. Raises as `deploy_bundle`."""
    _refuse_inside_deployment(project)
    chosen = _choose_bundle(project, name, bundle)
    found = find_bundle(project, chosen)
    snapshot = snapshot_settings(project, name)
    settings = snapshot["values"]
    row, active = read_active(project, name)
    before = {} if active is None else active.settings["values"]
    changed = {}
    for section, after in settings.items():
        earlier = before.get(section) or {}
        later = after or {}
        if not isinstance(later, Mapping) or not isinstance(earlier, Mapping):
            earlier, later = {section: before.get(section)}, {section: after}
        for one in sorted(earlier.keys() | later.keys()):
            if earlier.get(one) != later.get(one):
                title = f"{_SINGULAR[section]} {one}" if one != section else "server_url"
                changed[title] = (_show_setting(earlier.get(one)), _show_setting(later.get(one)))
    return DeploymentChange(
        deployment=name,
        bundle=found.id,
        bundle_name=chosen,
        before=None if active is None else active.bundle,
        before_name=None if active is None else active.bundle_name,
        revision=None if active is None else active.number,
        settings=changed,
        quarantined="" if row is None else row.quarantined.get(found.id, ""),
        release_notes=read_manifest(found.path).release_notes,
        keeps_state=active is not None,
        work=_describe_work(Care.from_json(snapshot["care"])),
    )


def roll_back_deployment(
    project: ProjectSpec,
    name: str,
    *,
    environ: Mapping[str, str],
    now: bool = False,
    tell: Callable[[str], None] = lambda _: None,
    checkpoint: Callable[[str], None] = lambda _: None,
) -> OperationRow:
    """Go back to the last healthy revision before the active one, with its settings of then.

    The bundle that was active is quarantined there, if the other revision has another one.

    Raises
    ------
    UsageError
        The spec has no such deployment, or nothing is deployed.
    DeploymentRefusedError
        There is no healthy revision to go back to.
    """
    with _open_node(project, name) as node:
        deployment = node.find_deployment(name)
        if deployment is None or deployment.active_revision is None:
            raise UsageError(f"{name}: nothing is deployed yet, so there is nothing to go back to")
        around = _surround(project, name, environ, tell, checkpoint)
        with _hold_deployment(node, name, project.name, around, deployment.active_revision) as updater:
            active = node.find_revision(name, deployment.active_revision)
            if active is None:
                raise RuntimeError(f"{name} has no row of its active revision")
            target = find_healthy(node, name, before=active.number, unlike=active)
            if target is None:
                raise DeploymentRefusedError(
                    f"{name}: there is no healthy revision before revision {active.number} to go back to; engine "
                    f"deployments SPEC disable {name} lets its triggers start nothing"
                )
            by = describe_acting_user()
            done = updater.update(updater.order_back(target, active.number, by, now=now))
            if str(done.state) == "HEALTHY":
                node.set_revision_state(name, active.number, RevisionState.ROLLED_BACK)
                if target.bundle != active.bundle:
                    updater.quarantine(active, f"rolled back by {by}")
            return done


def disable_deployment(
    project: ProjectSpec,
    name: str,
    *,
    environ: Mapping[str, str],
    tell: Callable[[str], None] = lambda _: None,
) -> OperationRow:
    """Let the triggers of a deployment start nothing any more; `deploy_bundle` or a rollback starts them again.

    Raises
    ------
    UsageError
        The spec has no such deployment, or nothing is deployed.
    """
    with _open_node(project, name) as node:
        deployment = node.find_deployment(name)
        active = None if deployment is None else node.find_revision(name, deployment.active_revision)
        if active is None:
            raise UsageError(f"{name}: nothing is deployed yet")
        around = _surround(project, name, environ, tell, lambda _: None)
        with _hold_deployment(node, name, project.name, around, active.number) as updater:
            return updater.update(updater.order_off(active, describe_acting_user()))


def delete_deployment(project: ProjectSpec, name: str) -> Path | None:
    """Remove a deployment with its releases, its state and what it has written; return its folder, None if none was.

    Raises
    ------
    UsageError
        The spec has no such deployment, or runs of it are at work.
    LockBusy
        Another process works on it.
    """
    with _open_node(project, name) as node:
        if node.find_deployment(name) is None:
            return None
        with node.lock(name, wait=False):
            places = DeploymentPlaces(node.folder, name)
            if has_running_runs(places):
                raise UsageError(f"{name}: runs of it are at work; wait until they have ended, or abort them")
            for release in places.releases.glob("*"):
                remove_extracted(release)
            if places.folder.exists():
                shutil.rmtree(places.folder)
            node.delete_deployment(name)
        return places.folder


def conclude_node(folder: Path, environ: Mapping[str, str], tell: Callable[[str], None]) -> None:
    """Conclude the operations that a killed process has left in an infrastructure; those at work are left alone."""
    with Node.open(folder) as node:
        for name in dict.fromkeys(one.deployment for one in node.operations.list_open()):
            deployment = node.find_deployment(name)
            if deployment is None:
                continue
            try:
                with node.lock(name, wait=False):
                    Updater(node, deployment, Surroundings(environ=environ, tell=tell)).conclude_interrupted()
            except LockBusy:
                continue


def read_active(project: ProjectSpec, name: str) -> tuple[DeploymentRow | None, RevisionRow | None]:
    """Return the rows of a deployment and of its active revision; None if nothing is deployed."""
    folder = find_node_folder(project, get_deployment(project, name).infrastructure)
    if not (folder / "node.db").exists():
        return None, None
    with Node.open(folder) as node:
        row = node.find_deployment(name)
        return row, None if row is None else node.find_revision(name, row.active_revision)


@contextmanager
def _open_node(project: ProjectSpec, name: str) -> Iterator[Node]:
    with Node.open(find_node_folder(project, get_deployment(project, name).infrastructure)) as node:
        yield node


@contextmanager
def _hold_deployment(
    node: Node, name: str, project: str, around: Surroundings, expected: int | None
) -> Iterator[Updater]:
    """Hold the lock of a deployment, with what killed processes have left concluded; raises DeploymentRefusedError."""

    def tell_waiting(busy: LockBusy) -> None:
        at_work = node.operations.find_newest(name)
        who = f"{at_work.by} since {format_second(at_work.started)}" if at_work else str(busy.holder)
        around.tell(f"waits until another update of {name} has ended: {who}")

    with node.lock(name, wait=math.inf, waiting=tell_waiting):
        updater = Updater(node, node.ensure_deployment(name, project), around)
        updater.conclude_interrupted()
        yield updater


def _surround(
    project: ProjectSpec,
    name: str,
    environ: Mapping[str, str],
    tell: Callable[[str], None],
    checkpoint: Callable[[str], None],
) -> Surroundings:
    infrastructure = get_deployment(project, name).infrastructure
    declared = project.resources.infrastructures[infrastructure]
    return Surroundings(
        environ=environ,
        tell=tell,
        keys=_load_keys(project, infrastructure),
        require=declared.require,
        checkpoint=checkpoint,
    )


def _load_keys(project: ProjectSpec, infrastructure: str) -> "list[TrustedKey]":
    declared = project.resources.infrastructures[infrastructure]
    if not declared.trusted_keys:
        return []
    from engine.bundles.signatures import load_trusted_keys

    return load_trusted_keys(declared.trusted_keys, project.folder_of("infrastructures", infrastructure))


def _choose_bundle(project: ProjectSpec, name: str, bundle: str | None) -> str:
    chosen = bundle or get_deployment(project, name).bundle
    if chosen is None:
        raise UsageError(f"{name}: name the bundle with --bundle, or set `bundle:` of the deployment")
    return chosen


def _refuse_inside_deployment(project: ProjectSpec) -> None:
    if project.revision is not None:
        raise UsageError(
            f"{project.path} is the deployment {project.revision.deployment!r} itself: deploy from the spec of the "
            "project"
        )


_SINGULAR = {
    "variables": "variable",
    "connections": "connection",
    "channels": "channel",
    "secrets": "secret",
    "scenarios": "scenario",
}
"""What one setting of each kind is called."""


def _describe_work(care: Care) -> list[str]:
    """Return what is done around an update, a sentence each."""
    computed = f", and {join_words(map(repr, care.dry_run), 'and')} computed without keeping anything"
    checked = f": {join_words(map(repr, care.health_run), 'and')} must end well"
    hooks = [*(argv[0] for argv, _ in care.before), *(argv[0] for argv, _ in care.after)]
    proofs = "spec, secrets, code, packages, connections, data, models, channels, state and disk"
    return [
        f"before: it is proved that {proofs} allow it{computed if care.dry_run else ''}",
        f"after: its health is checked{checked if care.health_run else ': the spec is loaded'}",
        *([f"hooks: {join_words(hooks, 'and')}"] if hooks else []),
    ]


def _show_setting(value: object) -> str:
    if isinstance(value, bool):  # of a scenario
        return "active" if value else "inactive"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {inner}" for key, inner in value.items())
    return "" if value is None else str(value)
