"""Records the external inputs of reading a spec: each file, environment variable and date that it depends on.

A cache of results collects these facts and checks each again before it is used. An input that cannot be checked again
is recorded as unknown, and then nothing is cached. Without a collector, recording does nothing.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, tzinfo
from typing import Literal

from engine.spec.regular_file import read_regular_file

MAX_SPEC_BYTES = 1 << 20

FactKind = Literal["file", "link", "variable", "day"]


@dataclass(slots=True)
class Observations:
    """Recorded facts by input, and whether they are complete."""

    facts: dict[tuple[FactKind, str], bytes | None] = field(default_factory=dict)
    complete: bool = True


_collected: ContextVar[Observations | None] = ContextVar("observations", default=None)


@contextmanager
def collect_observations() -> Iterator[Observations]:
    """Collect the facts recorded in the block."""
    found = Observations()
    token = _collected.set(found)
    try:
        yield found
    finally:
        _collected.reset(token)


def note_fact(kind: FactKind, what: str, found: bytes | None) -> None:
    """Record a fact; `look_again` returns the same as long as nothing has changed."""
    observations = _collected.get()
    if observations is None:
        return
    if observations.facts.setdefault((kind, what), found) != found:
        observations.complete = False  # it has changed meanwhile


def note_variable(name: str, value: str | None) -> None:
    """Record the value of an environment variable, None if it is not set."""
    note_fact("variable", name, None if value is None else os.fsencode(value))


def note_day(zone: str, day: date) -> None:
    """Record the current day in a time zone."""
    note_fact("day", zone, day.isoformat().encode())


def note_unknown() -> None:
    """Record an input that cannot be checked again."""
    observations = _collected.get()
    if observations is not None:
        observations.complete = False


def look_again(kind: FactKind, what: str) -> bytes | None:
    """Return the current value of a fact; None if its input does not exist.

    Raises
    ------
    OSError, ValueError, KeyError
        The input cannot be read.
    """
    match kind:
        case "file":
            try:
                return read_regular_file(what, MAX_SPEC_BYTES + 1)
            except FileNotFoundError:
                return None
        case "link":
            return b"" if os.path.islink(what) else None  # noqa: PTH114  Path.is_symlink raises for a long name
        case "variable":
            return os.environb.get(os.fsencode(what))
        case "day":
            return datetime.now(_open_zone(what)).date().isoformat().encode()


def _open_zone(name: str) -> tzinfo:
    if name == "UTC":
        return UTC
    import zoneinfo

    return zoneinfo.ZoneInfo(name)
