"""Removes releases that a deployment no longer needs.

It keeps the newest releases as set by `keep:`, the active one, the previously active one, the last healthy one, the
last failed one, and those with active runs. A run that has just started may not be recorded yet; it uses the previously
active release.
"""

from contextlib import suppress
from pathlib import Path

from engine.bundles.extraction import remove_extracted
from engine.errors import EngineError
from engine.service.deployments.bundle_retention import remove_spare_bundles
from engine.service.deployments.places import DeploymentPlaces
from engine.spec import load
from engine.store import RunRecord, Store
from engine.store.location import StateLocation, has_rows, locate_state
from engine.store.node import Node, RevisionRow, RevisionState


def remove_old_releases(
    node: Node, places: DeploymentPlaces, deployment: str, keep: int, keep_bundles: int
) -> list[str]:
    """Remove the releases that are not kept, and return the ids of their bundles.

    The rows of their revisions stay as the history. An archive stays while a deployment has its release; of the other
    archives, the newest `keep_bundles` stay.
    """
    rows, newest = node.list_revisions(deployment), node.operations.find_newest(deployment)
    active = {places.read_pointer(), newest.from_revision if newest else None}
    try:
        kept = _list_kept(rows, active, keep) | _list_releases_at_work(places)
    except EngineError:  # an unreadable state: its runs may use any release, so the next update removes them
        return []
    removed = []
    for folder in sorted(places.releases.glob("*")):
        if folder.name not in kept and folder.is_dir():
            remove_extracted(folder)
            removed.append(folder.name)
    for row in rows:
        if row.bundle not in kept:
            places.revision_of(row.number).unlink(missing_ok=True)
    with node.lock_archives():
        remove_spare_bundles(node, keep_bundles)
    return removed


def _list_kept(rows: list[RevisionRow], active: set[int | None], keep: int) -> set[str]:
    newest_first = list(dict.fromkeys(row.bundle for row in reversed(rows)))
    kept = set(newest_first[:keep])
    kept |= {row.bundle for row in rows if row.number in active}
    for state in (RevisionState.HEALTHY, RevisionState.FAILED, RevisionState.ROLLED_BACK):
        kept |= {row.bundle for row in [row for row in rows if row.state is state][-1:]}
    return kept


def has_running_runs(places: DeploymentPlaces, spec: Path | None = None) -> bool:
    """Return whether a deployment has active runs; `spec` is one of its revisions, by default the active one."""
    location = None
    with suppress(EngineError):
        location = locate_state(load(spec or places.pointer))
        return bool(_list_running(location))
    # the active runs of an unreachable state server are unknown, and they continue for a while without it
    return location is not None and location.rows is not None


def _list_releases_at_work(places: DeploymentPlaces) -> set[str]:
    """Return the ids of the bundles with active runs: a run uses the release with which it started."""
    return {run.release.split()[-1] for run in _list_running(locate_state(load(places.pointer))) if run.release}


def _list_running(location: StateLocation) -> list[RunRecord]:
    if not has_rows(location):
        return []
    with Store.open(location) as store:
        return [run for run in store.runs.list_running() if store.runs.is_alive(run.id)]
