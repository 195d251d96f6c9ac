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
    """Return what reading a table reads: what it is made from, and itself where its `rows` are known.

    Rows are counted only where that costs nothing: in memory, in the footers of Parquet and Arrow files.
    """
    here = context.project.folder
    sources = [
        Reads(
            dataset=one.name,
            rows=one.frame.select(pl.len()).collect().item() or None if one.rereadable else None,
            files=[relpath(path, here) for path in one.files.paths] if one.files else [],
        )
        for one in table.lineage().values()
        if not one.inputs
    ]
    return [Reads(dataset=table.name, rows=int(rows)), *sources] if rows is not None and table.inputs else sources
