"""A decision: a planned action, with the functions that execute and simulate it.

Creating a decision changes nothing. A run executes the action. A plan simulates it: the new row, without numbers, is
added in memory, so that later decisions find it. Because both use the same decisions, a run does exactly what its plan
predicted.
"""

from collections.abc import Callable
from dataclasses import dataclass
from os.path import relpath
from typing import Generic, TypeVar

import polars as pl

from engine.data import Table
from engine.pipeline.actions import Action, ReadSource
from engine.pipeline.context import BuildContext

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Decision(Generic[T]):
    """A planned action with the functions that execute it and simulate it for `engine plan`."""

    action: Action
    execute: Callable[[], T]
    simulate: Callable[[], T]

    def apply(self, context: BuildContext) -> T:
        """Record the action in the context and execute it; in a plan, simulate it."""
        context.journal.actions.append(self.action)
        if context.mode == "plan":
            return self.simulate()
        if self.action.because in ("changed", "forced"):
            context.log.info(str(self.action))
        return self.execute()


def _count_cheaply(table: Table) -> int | None:
    if table.spark:
        return table.spark.count
    return table.frame.select(pl.len()).collect().item() or None if table.rereadable else None


def list_sources(table: Table, context: BuildContext, rows: float | None = None) -> list[ReadSource]:
    """Return the sources that a table reads, and the table itself if it is a query with known `rows`.

    Rows are counted only where that is cheap: in memory, and in the footers of Parquet and Arrow files.
    """
    here = context.project.folder
    sources = [
        ReadSource(
            dataset=source.name,
            rows=_count_cheaply(source),
            files=[context.datasets.name_object(path) or relpath(path, here) for path in source.files.paths]
            if source.files
            else [],
            place=source.place,
        )
        for source in table.lineage().values()
        if not source.inputs
    ]
    return [ReadSource(dataset=table.name, rows=int(rows)), *sources] if rows is not None and table.inputs else sources
