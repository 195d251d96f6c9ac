"""Waiting for what other threads and processes do."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE = 90.0
"""Seconds that something may take on a busy machine."""


def wait_for(look: Callable[[], T | None], what: str | Callable[[], str], seconds: float = PATIENCE) -> T:
    """Return what `look` gives as soon as it is true; fail after `seconds` with the text of what has not come."""
    until = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < until, f"{what if isinstance(what, str) else what()} did not come in {seconds} s"
        time.sleep(0.02)
    return found
