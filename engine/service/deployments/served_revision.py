"""Whether a server runs a deployment, and of which revision it looks at the triggers.

A server says so by locks, which end with it: one of each state that it leads, whose file names the revision, and one of
each infrastructure, whose deployments it all serves, also those that are made while it does.
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
"""A server looks once a second whether another revision is active; on a busy machine it may need that long."""

LOOK_SECONDS = 0.1

NOT_SERVED = "no server serves it: triggers start nothing until one does"


class NotArmedError(EngineError):
    """A server runs the deployment, but does not go by the revision."""


@contextmanager
def serve_infrastructure(folder: Path) -> Iterator[None]:
    """Let others know that a server serves all deployments of an infrastructure, until the end of the block."""
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
    """Wait until the server that runs a deployment looks at the triggers of a revision; return which one does.

    Without a server there is nothing to wait for, and the text is empty.

    Parameters
    ----------
    project
        The revision, which is the active one.
    infrastructure
        The folder that the deployment is in.

    Raises
    ------
    NotArmedError
        It does not after so many seconds.
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
                f"{min(seconds, ARMING_SECONDS):g} s, but at those of {whose}: see what it has told"
            )
        time.sleep(LOOK_SECONDS)
