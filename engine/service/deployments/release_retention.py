"""Removes releases that a deployment needs no more.

Kept are the newest releases as `keep:` says, the active one, the one that was active before, the last healthy one, the
one that failed last, and those of runs that are at work. A run that has begun just now may not be recorded yet: it is
one of the release that was active before.
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
    node: Node, places: DeploymentPlaces, deployment: str, keep: int, keep_bundles: int = 0
) -> list[str]:
    """Remove the releases that are not kept, and return the ids of their bundles.

    The rows of their revisions stay: they are the history. An archive stays as long as a deployment has its release;
    of the others, as many as there may be bundles (`keep_bundles`), the newest ones.
    """
    rows, newest = node.list_revisions(deployment), node.operations.find_newest(deployment)
    active = {places.read_pointer(), newest.from_revision if newest else None}
    try:
        kept = _list_kept(rows, active, keep) | _list_releases_at_work(places)
    except EngineError:  # a state that cannot be asked: its runs may use any release, so the next update removes them
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
    """Return whether runs of a deployment are at work; `spec` is a revision of it, the active one if left out."""
    location = None
    with suppress(EngineError):
        location = locate_state(load(spec or places.pointer))
        return bool(_list_running(location))
    # a server that cannot be asked says nothing of its runs, which go on without it for a while
    return location is not None and location.rows is not None


def _list_releases_at_work(places: DeploymentPlaces) -> set[str]:
    """Return the ids of the bundles that runs at work use: a run keeps to the release that it has begun with."""
    return {run.release.split()[-1] for run in _list_running(locate_state(load(places.pointer))) if run.release}


def _list_running(location: StateLocation) -> list[RunRecord]:
    if not has_rows(location):
        return []
    with Store.open(location) as store:
        return [run for run in store.runs.list_running() if store.runs.is_alive(run.id)]
