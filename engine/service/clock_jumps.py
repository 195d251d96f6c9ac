"""Detects that the system clock was set, or that the machine was suspended.

Between two readings, the system clock is compared with `CLOCK_BOOTTIME`, which counts all seconds since the start of
the machine, including suspension: if they differ, the system clock was set. If `CLOCK_BOOTTIME` has advanced more than
`CLOCK_MONOTONIC`, which does not count suspension, the machine was suspended.
"""

import time
from typing import NamedTuple

from engine.formatting.numbers import format_duration

LEAST_SECONDS = 2.0
"""Smaller jumps are ignored: a clock that is adjusted gradually (NTP) differs by less between two readings."""


class ClockReadings(NamedTuple):
    """One reading of the clocks in seconds: system clock, since the start, and since the start without suspension."""

    wall: float
    since_start: float
    awake: float


class ClockJump(NamedTuple):
    """The seconds by which the clock was set (negative: back), and the seconds that the machine was suspended."""

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
    """Read the clocks; outside Linux, a suspension looks like a clock that was set forwards."""
    since_start = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return ClockReadings(time.time(), time.clock_gettime(since_start), time.clock_gettime(time.CLOCK_MONOTONIC))


def find_jump(before: ClockReadings, after: ClockReadings) -> ClockJump | None:
    """Return the jump between two readings; None if there was none of more than LEAST_SECONDS."""
    passed = after.since_start - before.since_start
    set_by = (after.wall - before.wall) - passed
    slept = passed - (after.awake - before.awake)
    jump = ClockJump(*(value if abs(value) > LEAST_SECONDS else 0.0 for value in (set_by, slept)))
    return jump if any(jump) else None
