"""The records of triggers: their fires and states, and pauses."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class FireState(StrEnum):
    """The state of a fire.

    WAITING: its run is not started yet. STARTING: the run has an id. RUNNING: the run is running. DONE: the run has
    ended, with any outcome. COALESCED: a later fire with the same values replaces it. SKIPPED: `reason` says why.
    """

    WAITING = "WAITING"
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    DONE = "DONE"
    COALESCED = "COALESCED"
    SKIPPED = "SKIPPED"


OPEN_STATES = (FireState.WAITING, FireState.STARTING, FireState.RUNNING)
"""The states that are not final."""


@dataclass(frozen=True, slots=True)
class Fire:
    """One occurrence of a trigger, and the state of its run.

    Attributes
    ----------
    key
        Identifies the occurrence, so that it is recorded once: `cron:1764295200`. This format never changes.
    scheduled
        The moment that its run stands for.
    seen_at
        When the server recorded it.
    values
        The values of variables for its run, as text.
    changed
        The names of the changed files or datasets, for a trigger on changes.
    previous
        The previous scheduled moment of the trigger, whether it was run or missed; None if there was none, or if a
        person started the run.
    reason
        Why it is SKIPPED, or waits longer than usual.
    run
        The id of its run, set before the run's process is started.
    attempt
        The number of the attempt; there is a second one if the server died during the first.
    into
        The number of the fire that it is COALESCED into.
    next_try
        When to start its run again, because the scenario was busy.
    number
        The number that the store assigns, in order.
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
"""The key in `TriggerState.seen` of a trigger that follows a scenario: the number of the newest run end it has seen."""


@dataclass(frozen=True, slots=True)
class TriggerState:
    """The state of a trigger: up to when it was evaluated, and what it compares with.

    Attributes
    ----------
    definition
        The digest of its definition in the spec. If that changes, the trigger starts anew, and nothing fires for the
        past.
    evaluated_until
        Fires exist for everything that was due until this moment.
    seen
        The last observation of a trigger on changes: digests by name, or the number of a run's end.
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
    """A pause of a scenario's triggers, until a time or (None) until a person resumes them.

    `ended` is when a person resumed them; None if nobody did.
    """

    scenario: str
    until: datetime | None
    by: str
    reason: str
    created: datetime
    ended: datetime | None = None
    ended_by: str | None = None

    def is_in_force(self, now: datetime) -> bool:
        """Return whether the pause is in force, also if it was created after `now` because the clock was set back."""
        return self.ended is None and (self.until is None or self.until > now)
