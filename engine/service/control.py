"""What can be asked of a running server, and what it answers: the boundary between its loop and its HTTP side.

Every method is called from threads other than that of the loop. None waits for a run. A method that asks the loop
raises TimeoutError if the loop does not answer soon.
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
"""The loop of a server that lives begins a tick more often than this."""


class RefusedRequestError(EngineError):
    """The server cannot do now what is asked of it: it is a standby, or it is about to end.

    The message says why, and what to do.
    """


@dataclass(frozen=True, slots=True)
class ServedProject:
    """One of the projects of a server, as it stands at one moment.

    Attributes
    ----------
    name
        Its name. No two projects of a server have the same.
    path
        Its spec file.
    spec
        The spec that the server goes by: the last valid one. None if none has been valid yet.
    store
        Its open state; None if it could not be opened, see `store_problem`.
    leader
        Whether this server runs it.
    standby
        Whether it waits for another server, which runs it, to end.
    spec_problems
        The errors of the spec file as it is now, as text; empty if it is valid.
    spec_findings
        All that was found in the spec file as it is now, with its places, also what is not an error.
    store_problem
        Why the state could not be read or written when the loop last did so; empty if it could.
    stale
        What is not known at present, as sentences: data that could not be looked at in time.
    waits
        The changes of data that start no run yet, and what they wait for, as sentences.
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
    """When a trigger will fire next, as far as that is known: no times for one that waits for data or for a run."""

    scenario: str
    trigger: str
    times: tuple[datetime, ...]


@dataclass(frozen=True, slots=True)
class RequestedRun:
    """The fire that a request for a run has made; `new` is False if an earlier request of the same id made it."""

    fire: Fire
    new: bool


class ServerControl(Protocol):
    """A running server, as others see it."""

    def measure_tick_age(self) -> float:
        """Return how many seconds ago the loop began its last tick."""
        ...

    def is_draining(self) -> bool:
        """Return whether the server is about to end, so it starts no runs any more."""
        ...

    def list_projects(self) -> Sequence[ServedProject]:
        """Return the projects, in the order in which they were given."""
        ...

    def list_next_times(self, project: str, count: int) -> Sequence[NextTimes]:
        """Return the next times of each trigger of a project, those that are paused or not active left out."""
        ...

    def reload(self) -> Sequence[ServedProject]:
        """Read all specs again; return what the projects are then. One that is not valid keeps its last valid spec."""
        ...

    def request_run(self, project: str, scenario: str, values: Mapping[str, str], request: str) -> RequestedRun:
        """Record the fire of a run that somebody asks for, and let the loop look at it.

        Parameters
        ----------
        values
            Values of variables, which have been checked against the spec. The request for the run must name them all
            in `RunRequest.confined`, so that each path of the run stays inside its folder: whoever asks for a run may
            not be who wrote the spec.
        request
            An id of the request. A second request of the same id makes no second fire.

        Raises
        ------
        RefusedRequestError
            This server does not run the project, or is about to end.
        StoreError
            The fire could not be recorded.
        """
        ...

    def abort_run(self, project: str, run: str, by: str) -> bool:
        """Ask a run that this server has started to end: it will be ABORTED. Return False if it has not started it."""
        ...

    def pause(self, project: str, scenario: str, until: datetime | None, by: str, reason: str) -> None:
        """Pause the triggers of a scenario, until a time or until they are resumed; raises StoreError."""
        ...

    def resume(self, project: str, scenario: str, by: str) -> bool:
        """End the pause of a scenario; return whether there was one. Raises StoreError."""
        ...
