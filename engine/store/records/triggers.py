"""The records of triggers: their fires, what they have seen, and pauses."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class FireState(StrEnum):
    """WAITING: for its run. STARTING: the run has its id. RUNNING. DONE: the run has ended, however.

    COALESCED: a later fire with the same values does what it would have done. SKIPPED: `reason` says why.
    """

    WAITING = "WAITING"
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    DONE = "DONE"
    COALESCED = "COALESCED"
    SKIPPED = "SKIPPED"


OPEN_STATES = (FireState.WAITING, FireState.STARTING, FireState.RUNNING)
"""The states of fires that still have to become something else."""


@dataclass(frozen=True, slots=True)
class Fire:
    """One occurrence of a trigger: what shall be run, and what has become of it.

    Attributes
    ----------
    key
        What the occurrence is, so that it is recorded once: `cron:1764295200`. Its form is never changed.
    scheduled
        The moment that its run stands for.
    seen_at
        When it was seen to be due.
    values
        The values of variables for its run, as text.
    changed
        The names of what has changed, where a change is the cause.
    previous
        The moment of the trigger before, whether it was run or missed; None if there was none, or a person asks.
    reason
        Why it is SKIPPED, or waits longer than usual.
    run
        The id of its run, given before the run's process is started.
    attempt
        The number of the run; a second one is made after a death of the server.
    into
        The number of the fire that it is COALESCED into.
    next_try
        When its run is tried to be started again, because the scenario was busy.
    number
        Given by the store, in order.
    """

    scenario: str
    trigger: str
    key: str
    scheduled: datetime
    seen_at: datetime
    values: Mapping[str, str] = field(default_factory=dict)
    changed: tuple[str, ...] = ()
    previous: datetime | None = None
    state: FireState = FireState.WAITING
    reason: str = ""
    run: str | None = None
    attempt: int = 1
    into: int | None = None
    next_try: datetime | None = None
    number: int = 0


RUN_END = "run_end"
"""In what is known of a trigger that follows a scenario: the number of the newest end of a run that it has seen."""


@dataclass(frozen=True, slots=True)
class TriggerState:
    """What is known of a trigger: up to when it was evaluated, and what it has seen.

    Attributes
    ----------
    definition
        The digest of what the spec says of it. If that changes, the trigger counts as new, and nothing of the past
        fires.
    evaluated_until
        All that was due until then has become a fire.
    seen
        What a trigger that compares has seen last: digests by name, the number of a run's end.
    error, error_since
        Why it cannot be evaluated, and since when.
    """

    scenario: str
    trigger: str
    definition: str
    evaluated_until: datetime
    seen: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None
    error_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Pause:
    """A scenario whose triggers a person has paused, until a time, or (None) until they are resumed.

    `ended` is when somebody has resumed them before that time, None if nobody has.
    """

    scenario: str
    until: datetime | None
    by: str
    reason: str
    created: datetime
    ended: datetime | None = None
    ended_by: str | None = None

    def is_in_force(self, now: datetime) -> bool:
        """Return whether it is in force; so is one that seems to be made later, because the clock was set back."""
        return self.ended is None and (self.until is None or self.until > now)
