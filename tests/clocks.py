"""Clocks that stand still unless a test moves them."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta


@dataclass
class Clock:
    """A clock of moments."""

    time: datetime = datetime(2026, 11, 23, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.time

    def forward(self, **by: float) -> None:
        """Go forward by as much as the arguments of a timedelta say."""
        self.time += timedelta(**by)


@dataclass
class SecondsClock:
    """A clock of seconds, as `time.monotonic`."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now
