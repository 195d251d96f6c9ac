"""The interface of a running server for its HTTP threads.

Every method is called from other threads than that of the server's loop. None waits for a run. A method that needs the
loop raises TimeoutError if the loop does not answer soon.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from engine.errors import Diagnostic, EngineError
from engine.spec import ProjectSpec
from engine.store import Fire, Store

LONGEST_TICK_SECONDS = 30.0
"""A server whose loop has not begun a tick for longer than this is not healthy."""


class RefusedRequestError(EngineError):
    """The server cannot fulfil a request now, because it is a standby or is shutting down.

    The message says why, and what to do.
    """


@dataclass(frozen=True, slots=True)
class ServedProject:
    """The status of a project of a server at one moment.

    Attributes
    ----------
    name
        The name, which is unique in a server.
    path
        The spec file.
    spec
        The last valid spec, which the server uses; None if none has been valid yet.
    store
        The open state; None if it could not be opened, see `store_problem`.
    leader
        Whether this server runs the project.
    standby
        Whether another server runs the project, and this one waits for its end.
    spec_problems
        The errors of the present spec file, as text; empty if it is valid.
    spec_findings
        All diagnostics of the present spec file, including warnings.
    store_problem
        Why the loop could not read or write the state at its last attempt; empty if it could.
    stale
        Sentences about data that could not be read in time.
    waits
        Sentences about changes of data that do not start a run yet, and what they wait for.
    """

    name: str
    path: Path
    spec: ProjectSpec | None
    store: Store | None
    leader: bool
    standby: bool = False
    spec_problems: tuple[str, ...] = ()
    spec_findings: tuple[Diagnostic, ...] = ()
    store_problem: str = ""
    stale: tuple[str, ...] = ()
    waits: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NextTimes:
    """The next times of a trigger; empty for one that waits for data or for a run."""

    scenario: str
    trigger: str
    times: tuple[datetime, ...]


@dataclass(frozen=True, slots=True)
class RequestedRun:
    """The fire of a requested run; `new` is False if an earlier request with the same id has created it."""

    fire: Fire
    new: bool


class ServerControl(Protocol):
    """The methods of a running server that other threads may call."""

    def measure_tick_age(self) -> float:
        """Return how many seconds ago the loop began its last tick."""
        ...

    def is_draining(self) -> bool:
        """Return whether the server is shutting down and starts no more runs."""
        ...

    def list_projects(self) -> Sequence[ServedProject]:
        """Return the projects, in the order in which they were given."""
        ...

    def list_next_times(self, project: str, count: int) -> Sequence[NextTimes]:
        """Return the `count` next times of each active trigger of a project that is not paused."""
        ...

    def reload(self) -> Sequence[ServedProject]:
        """Read all specs again, and return the status of the projects; an invalid spec leaves the last valid one."""
        ...

    def request_run(self, project: str, scenario: str, values: Mapping[str, str], request: str) -> RequestedRun:
        """Record the fire of a requested run, and wake the loop.

        Parameters
        ----------
        values
            Values of variables, which have been checked against the spec. All of them must be in `RunRequest.confined`,
            so that each path of the run stays inside its folder: the requester may not be the author of the spec.
        request
            An id of the request. A second request with the same id creates no second fire.

        Raises
        ------
        RefusedRequestError
            This server does not run the project, or is shutting down.
        StoreError
            The fire could not be recorded.
        """
        ...

    def abort_run(self, project: str, run: str, by: str) -> bool:
        """Abort a run; return False if this server has not started it."""
        ...

    def pause(self, project: str, scenario: str, until: datetime | None, by: str, reason: str) -> None:
        """Pause the triggers of a scenario, until a time or until they are resumed; raise StoreError if that fails."""
        ...

    def resume(self, project: str, scenario: str, by: str) -> bool:
        """End the pause of a scenario; return whether there was one; raise StoreError if that fails."""
        ...
