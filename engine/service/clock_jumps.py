"""Jumps of the clock: it was set, or the machine has slept.

Between two looks, the clock that people set is compared with the one that counts all seconds since the machine was
started, sleep included (`CLOCK_BOOTTIME`): if they have gone different ways, the first was set. If the second has gone
further than the one that stands still in sleep (`CLOCK_MONOTONIC`), the machine has slept.
"""

import time
from typing import NamedTuple

from engine.formatting.numbers import format_duration

LEAST_SECONDS = 2.0
"""A clock that is slowly set right differs by less than this between two looks."""


class ClockReadings(NamedTuple):
    """What the clocks show at one look, in seconds: what people set, since the start, and since the start awake."""

    wall: float
    since_start: float
    awake: float


class ClockJump(NamedTuple):
    """By how many seconds the clock was set (below 0: back), and how many seconds the machine has slept."""

    set_by: float
    slept: float

    def describe(self) -> str:
        """Describe the jump in a sentence for the log."""
        parts = []
        if self.set_by:
            way = "forwards" if self.set_by > 0 else "backwards"
            parts.append(f"the clock was set {way} by {format_duration(abs(self.set_by))}")
        if self.slept:
            parts.append(f"the machine has slept for {format_duration(self.slept)}")
        return " and ".join(parts)


def read_clocks() -> ClockReadings:
    """Read the clocks; where none counts sleep (outside Linux), sleep looks like a clock that is set forwards."""
    since_start = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return ClockReadings(time.time(), time.clock_gettime(since_start), time.clock_gettime(time.CLOCK_MONOTONIC))


def find_jump(before: ClockReadings, after: ClockReadings) -> ClockJump | None:
    """Return the jump between two looks; None if there was none of more than LEAST_SECONDS."""
    passed = after.since_start - before.since_start
    set_by = (after.wall - before.wall) - passed
    slept = passed - (after.awake - before.awake)
    jump = ClockJump(*(value if abs(value) > LEAST_SECONDS else 0.0 for value in (set_by, slept)))
    return jump if any(jump) else None
