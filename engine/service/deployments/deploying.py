"""The commands on deployments of a spec: deploy, roll back, disable, delete."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from engine.acting_user import describe_acting_user
from engine.bundles.archive_checks import read_manifest
from engine.bundles.project_bundles import find_bundle
from engine.errors import UsageError
from engine.formatting.lists import join_words
from engine.service.deployments.settings import Care, get_deployment, snapshot_settings
from engine.service.deployments.targets import DeploymentTarget, open_target
from engine.service.deployments.updates.order import UpdateOrder
from engine.spec import ProjectSpec
from engine.store.node import OperationRow


@dataclass(frozen=True, slots=True)
class DeploymentChange:
    """The changes that an update would make, for review.

    Attributes
    ----------
    before, before_name
        The id and the name of the active bundle; None if there is none.
    release_notes
        The release notes of the bundle.
    keeps_state
        Whether there is a state already, which is kept.
    settings
        The old and new value of each changed setting, as text without secrets.
    work
        The steps around the update, a sentence each.
    quarantined
        Why the bundle would be refused; empty if it would be accepted.
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
    report: Callable[[str], None] = lambda _: None,
    checkpoint: Callable[[str], None] = lambda _: None,
) -> OperationRow:
    """Deploy a bundle, and return the finished operation.

    Parameters
    ----------
    bundle
        Its name or id; None for that in `bundle:` of the deployment.
    again
        Deploy it although it was rolled back there.
    now
        Skip the proofs.
    key
        The idempotency key: requests with the same key are one operation.

    Raises
    ------
    UsageError
        The spec has no such deployment, the bundle does not exist, or none is named.
    DeploymentRefusedError
        The bundle is quarantined there, or the deployment was changed concurrently.
    """
    _refuse_inside_deployment(project)
    chosen = _choose_bundle(project, name, bundle)
    found = find_bundle(project, chosen)
    target = _open_target(project, name, environ, report, checkpoint)
    before = target.find(name)
    order = UpdateOrder(
        deployment=name,
        project=project.name,
        bundle=found.id,
        bundle_name=chosen,
        settings=snapshot_settings(project, name),
        archive=found.path,
        expected=None if before is None else before.row.active_revision,
        by=describe_acting_user(),
        again=again,
        now=now,
        key=key,
    )
    return target.update(order)


def plan_update(project: ProjectSpec, name: str, bundle: str | None, environ: Mapping[str, str]) -> DeploymentChange:
    """Return the changes that deploying a bundle would make; raise the same errors as `deploy_bundle`."""
    _refuse_inside_deployment(project)
    chosen = _choose_bundle(project, name, bundle)
    found = find_bundle(project, chosen)
    snapshot = snapshot_settings(project, name)
    settings = snapshot["values"]
    found_there = _open_target(project, name, environ).find(name)
    row, active = (None, None) if found_there is None else (found_there.row, found_there.active)
    before = {} if active is None else active.settings["values"]
    changed = {}
    for section in {**before, **settings}:
        after = settings.get(section)
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
    report: Callable[[str], None] = lambda _: None,
    checkpoint: Callable[[str], None] = lambda _: None,
) -> OperationRow:
    """Roll back to the last healthy revision before the active one, with its settings.

    The bundle that was active is quarantined there, if the two revisions have different bundles.

    Raises
    ------
    UsageError
        The spec has no such deployment, or nothing is deployed.
    DeploymentRefusedError
        There is no earlier healthy revision.
    """
    target = _open_target(project, name, environ, report, checkpoint)
    return target.roll_back(name, by=describe_acting_user(), now=now)


def disable_deployment(
    project: ProjectSpec,
    name: str,
    *,
    environ: Mapping[str, str],
    report: Callable[[str], None] = lambda _: None,
) -> OperationRow:
    """Disable the triggers of a deployment, until `deploy_bundle` or a rollback enables them.

    Raises
    ------
    UsageError
        The spec has no such deployment, or nothing is deployed.
    """
    return _open_target(project, name, environ, report).disable(name, by=describe_acting_user())


def delete_deployment(project: ProjectSpec, name: str, environ: Mapping[str, str], *, keep_state: bool = False) -> str:
    """Remove a deployment with its releases, state and output; return a description, empty if nothing was removed.

    Parameters
    ----------
    keep_state
        Keep its state for the next deployment of this name.

    Raises
    ------
    UsageError
        The spec has no such deployment, it has active runs, or rows of its state on a server cannot be removed.
    LockBusy
        Another process changes the deployment.
    """
    return _open_target(project, name, environ).delete(name, keep_state=keep_state)


def _open_target(
    project: ProjectSpec,
    name: str,
    environ: Mapping[str, str],
    report: Callable[[str], None] = lambda _: None,
    checkpoint: Callable[[str], None] = lambda _: None,
) -> DeploymentTarget:
    return open_target(project, get_deployment(project, name).infrastructure, environ, report, checkpoint)


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
    "state": "state",
}
"""The singular name of each kind of setting."""


def _describe_work(care: Care) -> list[str]:
    """Return the steps around an update, a sentence each."""
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
