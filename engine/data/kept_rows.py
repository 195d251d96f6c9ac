"""Rows of datasets that `materialize` keeps in a file or a table, so that they are computed once.

Opening such a dataset finds out whether the kept rows are made of what it would be made of now, and are still those
that were written. If so, they are read; if not, the dataset is computed as any other, and `KeptState` says why. Whether
they are then written is decided by whoever opened it: a plan and a dry run write nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import polars as pl

    from engine.data.files.dataset_files import DatasetFiles
    from engine.data.table import Table


FORCED = "mode: force"
"""The problem of kept rows that are to be written again in any case."""


class KeptRowsRecord(Protocol):
    """What was written; see `engine.store.KeptRows`."""

    @property
    def made_of(self) -> str: ...
    @property
    def content(self) -> str: ...
    @property
    def fingerprint(self) -> str: ...
    @property
    def facts(self) -> Mapping[str, Any]: ...


class KeptRowsRecords(Protocol):
    """The records of what was written, by dataset and place."""

    def find(self, dataset: str, place: str) -> KeptRowsRecord | None:
        """Return the record of a dataset and a place, or None."""


class NoRecords:
    """Records of a project without a state: nothing was ever written."""

    def find(self, dataset: str, place: str) -> None:
        """Return None."""


class KeptPlace(Protocol):
    """A file or a table that keeps the rows of a dataset."""

    @property
    def name(self) -> str:
        """The place, as messages name it."""

    def find_problem(self, content: str) -> str:
        """Return why the rows there are not those with that digest; an empty text if they are."""

    def read_rows(self) -> tuple[pl.LazyFrame, DatasetFiles | None]:
        """Return the rows, and the files that they are read from, if they are."""

    def check_rows(self, table: Table, *, known: bool) -> None:
        """Raise a DataError if a column cannot be kept, which it names, or if something else is at the place.

        `known` tells that rows of the dataset were written there before.
        """

    def write_rows(self, table: Table, verify: Callable[[], None]) -> tuple[str, int]:
        """Replace the rows that are there by those of a table; return their digest and their number."""


@dataclass(frozen=True, slots=True)
class KeptState:
    """How the kept rows of a dataset stand.

    Attributes
    ----------
    place
        Where they are kept.
    made_of
        Digest of what the dataset is made of now.
    record
        What was written last; None if nothing was.
    problem
        Why what was written is not there; empty if it is, or if nothing was written.
    """

    place: KeptPlace
    made_of: str
    record: KeptRowsRecord | None
    problem: str = ""

    @property
    def current(self) -> bool:
        """Whether the kept rows are those of the dataset."""
        return self._is_recorded and self.record is not None and bool(self.record.content)

    @property
    def supposed(self) -> bool:
        """Whether a plan or a dry run supposes that the rows are those of the dataset; they are not there."""
        return self._is_recorded and not self.current

    @property
    def _is_recorded(self) -> bool:
        return self.record is not None and self.record.made_of == self.made_of and not self.problem

    @property
    def key(self) -> tuple[object, ...]:
        """What identifies this state among others of the same dataset."""
        return self.place.name, self.made_of, self.record and (self.record.made_of, self.record.content), self.problem


def examine_kept_rows(
    dataset: str, place: KeptPlace, made_of: str, records: KeptRowsRecords, *, forced: bool
) -> KeptState:
    """Return how the kept rows of a dataset stand, which is now made of what has the digest `made_of`."""
    record = records.find(dataset, place.name)
    if forced:
        return KeptState(place, made_of, record, FORCED)
    return KeptState(place, made_of, record, place.find_problem(record.content) if record and record.content else "")
