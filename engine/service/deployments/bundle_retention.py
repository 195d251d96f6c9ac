"""Finds the received bundles that are in use, and removes others."""

from engine.store.node import Node


def list_used_bundles(node: Node) -> set[str]:
    """Return the ids of the bundles that a release or an unfinished operation uses."""
    used = {folder.name for folder in node.folder.glob("deployments/*/releases/*")}
    open_operations = node.operations.list_open()
    wanted = {row.bundle for one in open_operations for row in node.list_revisions(one.deployment)}
    return used | wanted


def remove_spare_bundles(node: Node, keep: int, *, keeping: str = "") -> None:
    """Remove the oldest unused bundles until at most `keep` are left.

    The caller holds the lock of the archives. The bundle `keeping` is never removed.
    """
    received = node.list_bundles()
    used = list_used_bundles(node)
    spare = [one for one in received if one.id not in used | {keeping}]
    for bundle in spare[: max(0, len(received) - keep)]:
        remove_bundle(node, bundle.id)


def remove_bundle(node: Node, id_: str) -> None:
    """Remove the archive of a bundle and its row; the caller holds the lock of the archives."""
    (node.folder / "bundles" / f"{id_}.zip").unlink(missing_ok=True)
    node.remove_bundle(id_)
