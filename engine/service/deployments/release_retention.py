"""Removes releases that a deployment needs no more.

Kept are the newest releases as `keep:` says, the active one, the last healthy one, the one that failed last, and those
of runs that are at work.
"""

from contextlib import suppress
from pathlib import Path

from engine.bundles.extraction import remove_extracted
from engine.errors import EngineError
from engine.service.deployments.bundle_retention import remove_spare_bundles
from engine.service.deployments.places import DeploymentPlaces
from engine.spec import load
from engine.store import Store
from engine.store.node import Node, RevisionRow, RevisionState
from engine.store.state_folder import resolve_state_folder


def remove_old_releases(
    node: Node, places: DeploymentPlaces, deployment: str, keep: int, keep_bundles: int = 0
) -> list[str]:
    """Remove the releases that are not kept, and return the ids of their bundles.

    The rows of their revisions stay: they are the history. An archive stays as long as a deployment has its release;
    of the others, as many as there may be bundles (`keep_bundles`), the newest ones.
    """
    if has_running_runs(places):
        return []  # a run keeps to the release that it has begun with, and does not say which; the next update removes
    rows = node.list_revisions(deployment)
    kept = _list_kept(rows, places.read_pointer(), keep)
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


def _list_kept(rows: list[RevisionRow], active: int | None, keep: int) -> set[str]:
    newest_first = list(dict.fromkeys(row.bundle for row in reversed(rows)))
    kept = set(newest_first[:keep])
    kept |= {row.bundle for row in rows if row.number == active}
    for state in (RevisionState.HEALTHY, RevisionState.FAILED, RevisionState.ROLLED_BACK):
        kept |= {row.bundle for row in [row for row in rows if row.state is state][-1:]}
    return kept


def has_running_runs(places: DeploymentPlaces, spec: Path | None = None) -> bool:
    """Return whether runs of a deployment are at work; `spec` is a revision of it, the active one if left out."""
    with suppress(EngineError):
        folder = resolve_state_folder(load(spec or places.pointer))
        if not (folder / "state.db").exists():
            return False
        with Store.open(folder) as store:
            return any(store.runs.is_alive(run.id) for run in store.runs.list_running())
    return False
