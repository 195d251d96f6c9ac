"""The state of a project that this server runs: this server is its leader, and has threads that work with it."""

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
        Gives the time, in UTC.
    make_threads
        Returns the threads that work beside the scheduler.

    Attributes
    ----------
    store, triggers, threads
        None while this server does not run the project.
    project
        What the server goes by: the spec as it was valid last; None before the state was open.
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
        """Tell whether the spec has its state in another folder now."""
        return self._lock is not None and self._lock.folder != resolve_state_folder(project)

    @property
    def is_replaced(self) -> bool:
        """Whether another database is in the place of the one that is open."""
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
        """Go by another spec of the project, which has the same state."""
        if self.triggers is not None:
            self.triggers.replace_project(project, self._clock())
        if self.threads is not None:
            self.threads.replace_project(project)
        self._note_revision(project)
        self.project = project

    def _note_revision(self, project: ProjectSpec) -> None:
        """Let others know that this server looks at the triggers as this project has them."""
        if self._lock is not None:
            self._lock.note_revision(project.revision_number)

    def close(self, seconds: float) -> None:
        """Deliver what is due, for at most `seconds`, close the state, and let another server run the project."""
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
    """Return whether the state can be opened as it is; a process of its own makes or migrates its tables."""
    database = locate_state(project).open_database()
    try:
        return is_current_schema(database)
    finally:
        database.close()
