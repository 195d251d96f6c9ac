"""The open state of a project while this server is the project's leader, with the threads that use it."""

from collections.abc import Callable
from datetime import datetime

from engine.service.leader_lock import LeaderLock, refuse_network_folder
from engine.service.project_threads import ProjectThreads
from engine.service.project_triggers import ProjectTriggers
from engine.spec import ProjectSpec
from engine.store import Store
from engine.store.location import locate_state, resolve_state_folder
from engine.store.schema import is_current_schema


class LedState:
    """The state of a project, while no other server runs the project.

    Parameters
    ----------
    clock
        Returns the time in UTC.
    make_threads
        Returns the background threads of the project.

    Attributes
    ----------
    store, triggers, threads
        None while this server does not run the project.
    project
        The last valid spec, which the server uses; None before the state is open.
    """

    def __init__(
        self, clock: Callable[[], datetime], make_threads: Callable[[Store, ProjectSpec], ProjectThreads]
    ) -> None:
        self._clock, self._make_threads = clock, make_threads
        self._lock: LeaderLock | None = None
        self._database: object = None
        self.project: ProjectSpec | None = None
        self.store: Store | None = None
        self.triggers: ProjectTriggers | None = None
        self.threads: ProjectThreads | None = None

    @property
    def is_open(self) -> bool:
        """Whether this server runs the project."""
        return self._lock is not None and self._lock.is_held and self.store is not None

    def is_elsewhere(self, project: ProjectSpec) -> bool:
        """Return whether the spec now has its state in another folder."""
        return self._lock is not None and self._lock.folder != resolve_state_folder(project)

    @property
    def is_replaced(self) -> bool:
        """Whether the open database was replaced by another one."""
        return self.store is not None and self.store.database.identify() != self._database

    def try_take(self, project: ProjectSpec) -> bool:
        """Become the leader; return False if another server is."""
        folder = resolve_state_folder(project)
        if self._lock is None:
            refuse_network_folder(folder)
            self._lock = LeaderLock(folder)
        return self._lock.try_take()

    def open(self, project: ProjectSpec) -> None:
        """Open the state, whose tables must be current, and start the threads."""
        try:
            self.store = Store.open(locate_state(project), now=self._clock)
            self._database = self.store.database.identify()
            self.triggers = ProjectTriggers(self.store, project, self._clock())
            self.threads = self._make_threads(self.store, project)
            self.threads.start()
            self._note_revision(project)
        except BaseException:
            self.close(0.0)
            raise
        self.project = project

    def replace_project(self, project: ProjectSpec) -> None:
        """Use another version of the spec, which has the same state."""
        if self.triggers is not None:
            self.triggers.replace_project(project, self._clock())
        if self.threads is not None:
            self.threads.replace_project(project)
        self._note_revision(project)
        self.project = project

    def _note_revision(self, project: ProjectSpec) -> None:
        """Record in the lock file which revision this server serves."""
        if self._lock is not None:
            self._lock.note_revision(project.revision_number)

    def close(self, seconds: float) -> None:
        """Deliver due messages for at most `seconds`, close the state, and release the lock."""
        self.triggers = None
        if self.threads is not None:
            self.threads.stop(seconds)
            self.threads = None
        if self.store is not None:
            self.store.close()
            self.store = None
        if self._lock is not None:
            self._lock.release()
            self._lock = None


def has_current_tables(project: ProjectSpec) -> bool:
    """Return whether the state has the tables of this engine; if not, a separate process creates or migrates them."""
    database = locate_state(project).open_database()
    try:
        return is_current_schema(database)
    finally:
        database.close()
