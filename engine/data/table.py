"""A dataset opened: a lazy frame and what is known about it before any row is read.

polars speaks to programmers and names no dataset, so whoever collects a table's frame does it inside `reading`, which
says in the user's words which dataset, file, line or column is at fault. Finding the place costs a second read of the
files, and only where the first one failed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from engine.data.files import Files
from engine.data.wording import UNREADABLE, words
from engine.errors import DataError
from engine.spec.resources.datasets import Column


@dataclass(frozen=True, slots=True)
class Table:
    """A dataset, opened.

    `frame` is read again by each collect; `rereadable` says that this is cheap (Parquet, Arrow, a frame in memory).
    `fingerprint` depends on the content alone: BLAKE2b, hex. `entity` may be inherited through a query, `roles` are
    those declared, `columns` is the contract. `inputs` are the tables that a query reads, `files` those of a file
    dataset. `facts` are what the fingerprint is made of, JSON-ready: a digest alone cannot say what has changed.
    """

    name: str
    frame: pl.LazyFrame
    fingerprint: str
    entity: str | None = None
    columns: Mapping[str, Column] = field(default_factory=dict)
    inputs: tuple[Table, ...] = ()
    files: Files | None = None
    rereadable: bool = False
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def roles(self) -> dict[str, str]:
        """The roles declared, by column."""
        return {name: column.role for name, column in self.columns.items() if column.role}

    def lineage(self) -> dict[str, Table]:
        """Return every table that this one is made from, inputs first, itself last, by name."""
        return {name: table for one in self.inputs for name, table in one.lineage().items()} | {self.name: self}

    def provenance(self) -> dict[str, dict[str, Any]]:
        """Return the fingerprint of every table of the lineage and what it is made of, by name."""
        return {name: {"fingerprint": table.fingerprint, **table.facts} for name, table in self.lineage().items()}


@contextmanager
def reading(table: Table) -> Iterator[None]:
    """Translate what goes wrong while `table.frame`, or a frame made from it, is collected.

    Raises
    ------
    DataError
        Which dataset, and as far as can be found which file, line, column and value.
    """
    try:
        yield
    except UNREADABLE as error:
        for source in table.lineage().values():
            if source.files and (fault := source.files.fault()):
                raise DataError(f"dataset {source.name!r}: {fault}") from error
        raise DataError(f"dataset {table.name!r}: it cannot be read: {words(error)}") from error
