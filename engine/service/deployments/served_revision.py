"""Finds out whether a server serves a deployment, and whose revision's triggers it evaluates.

A server holds locks, which end with it: one per state that it leads, whose file names the revision, and one per
infrastructure whose deployments it serves, including new ones.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.errors import EngineError
from engine.service.leader_lock import find_leader
from engine.spec import ProjectSpec
from engine.store.location import resolve_state_folder
from engine.store.locks import SERVER_LOCK, hold_file_lock, release_lock, try_lock

ARMING_SECONDS = 60.0
"""Seconds for a server to notice a new active revision; it checks once a second, but may be slow under load."""

LOOK_SECONDS = 0.1

NOT_SERVED = "no server serves it: triggers start nothing until one does"


class NotArmedError(EngineError):
    """A server serves the deployment, but has not loaded the revision."""


@contextmanager
def serve_infrastructure(folder: Path) -> Iterator[None]:
    """Mark all deployments of an infrastructure as served, until the end of the block."""
    with hold_file_lock(folder, SERVER_LOCK, shared=True):
        yield


def is_served(folder: Path) -> bool:
    """Return whether a server serves all deployments of an infrastructure."""
    lock = try_lock(folder / "locks" / f"{SERVER_LOCK}.lock")
    if lock is None:
        return True
    release_lock(lock)
    return False


def await_server(project: ProjectSpec, infrastructure: Path, seconds: float) -> str:
    """Wait until the server of a deployment evaluates the triggers of a revision; return a text that names the server.

    Without a server the text is empty.

    Parameters
    ----------
    project
        The active revision.
    infrastructure
        The folder with the deployment.

    Raises
    ------
    NotArmedError
        The server has not loaded it in time.
    """
    state, number = resolve_state_folder(project), project.revision_number
    deadline = time.monotonic() + min(seconds, ARMING_SECONDS)
    while True:
        leader = find_leader(state)
        if leader is None and not is_served(infrastructure):
            return ""
        if leader is not None and leader.revision == number:
            return f"the server looks at its triggers (process {leader.pid})"
        if time.monotonic() >= deadline:
            whose = "none of its revisions" if leader is None or not leader.revision else f"revision {leader.revision}"
            raise NotArmedError(
                f"the server does not look at the triggers of revision {number} after "
                f"{min(seconds, ARMING_SECONDS):g} s, but at those of {whose}: see its output"
            )
        time.sleep(LOOK_SECONDS)
