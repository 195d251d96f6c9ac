"""What reading a spec has found outside of it: each file, variable of the environment and date that it depended on.

Whoever wants to keep what a spec has told collects these facts, and looks at each again before it is used. What cannot
be looked at again is noted as unknown: then nothing is kept. Where nobody collects, noting does nothing.
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
    """Facts by what was looked at, and whether they are all that was looked at."""

    facts: dict[tuple[FactKind, str], bytes | None] = field(default_factory=dict)
    complete: bool = True


_collected: ContextVar[Observations | None] = ContextVar("observations", default=None)


@contextmanager
def collect_observations() -> Iterator[Observations]:
    """Collect what is noted in the block."""
    found = Observations()
    token = _collected.set(found)
    try:
        yield found
    finally:
        _collected.reset(token)


def note_fact(kind: FactKind, what: str, found: bytes | None) -> None:
    """Note what was found; `look_again` finds the same as long as nothing has changed."""
    observations = _collected.get()
    if observations is None:
        return
    if observations.facts.setdefault((kind, what), found) != found:
        observations.complete = False  # it has changed meanwhile


def note_variable(name: str, value: str | None) -> None:
    """Note the value of a variable of the environment, None if it is not set."""
    note_fact("variable", name, None if value is None else os.fsencode(value))


def note_day(zone: str, day: date) -> None:
    """Note which day it is in a time zone."""
    note_fact("day", zone, day.isoformat().encode())


def note_unknown() -> None:
    """Note that something was looked at which cannot be looked at again."""
    observations = _collected.get()
    if observations is not None:
        observations.complete = False


def look_again(kind: FactKind, what: str) -> bytes | None:
    """Look again at what a fact is about; None if it is not there.

    Raises
    ------
    OSError, ValueError, KeyError
        It cannot be told.
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
