"""`engine pull SPEC production`, one evaluation in each transaction, that kills itself at a point of the second one."""

import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection

import engine
from engine.service.deployments import pulling
from engine.store.folders import Folders
from engine.store.pulled_state import Arrival, PulledState

spec, point = sys.argv[1:]
added = 0


def end() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class Crashing(PulledState):
    """A state that ends the process when the second evaluation is added."""

    def add(self, arrived: Sequence[Arrival], superseded_by: Mapping[str, str | None]) -> None:
        global added  # noqa: PLW0603 - one process, one pull
        added += 1
        if point == "staged" and added == 2:
            end()
        super().add(arrived, superseded_by)
        if point == "added" and added == 2:
            end()


adopt_all = Folders.adopt_all


@contextmanager
def crash(folders: Folders, chosen: Mapping[str, Path]) -> Iterator[Connection]:
    """Move folders into place, and end the process before any row says so."""
    with adopt_all(folders, chosen) as connection:
        if point == "moved" and added == 2:
            end()
        yield connection


pulling.EVALUATIONS_AT_ONCE = 1
pulling.PulledState = Crashing
Folders.adopt_all = crash
engine.load(spec).pull("production")
