"""A decision: what is to be done and why, with the doing beside it.

Deciding reads and changes nothing. A run then does what was decided; a plan pretends to: it writes the row that would
be there (without the numbers) into its copy of the state, so that what comes later is decided as it would be. Both
walk through the same code, which is why a run does what its plan said.
"""

from collections.abc import Callable
from dataclasses import dataclass
from os.path import relpath
from typing import Generic, TypeVar

import polars as pl

from engine.data import Table
from engine.scenarios.actions import Action, Reads
from engine.scenarios.context import Context

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Decision(Generic[T]):
    """An action, how it is done, and how it is pretended."""

    action: Action
    do: Callable[[], T]
    pretend: Callable[[], T]

    def act(self, context: Context) -> T:
        """Do it, or in a plan pretend to; the step's account has it."""
        context.actions.append(self.action)
        if context.mode == "plan":
            return self.pretend()
        if self.action.because in ("changed", "forced"):
            context.log.info(str(self.action))
        return self.do()


def reads_of(table: Table, context: Context, rows: float | None = None) -> list[Reads]:
    """Return what reading a table reads; rows are counted only where that costs nothing."""
    if rows is None and table.rereadable:
        rows = table.frame.select(pl.len()).collect().item() or None
    files = [path for one in table.lineage().values() if one.files for path in one.files.paths]
    here = context.project.folder
    return [
        Reads(dataset=table.name, rows=None if rows is None else int(rows), files=[relpath(p, here) for p in files])
    ]
