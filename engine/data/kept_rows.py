"""Rows of datasets that `materialize` keeps in a file or a table, so that they are computed only once.

Opening such a dataset finds out whether the kept rows are up to date and unchanged. If so, they are read; if not, the
dataset is computed like any other, and `KeptState` says why. The caller decides whether to write them then: a plan and
a dry run write nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    import polars as pl

    from engine.data.files.dataset_files import DatasetFiles
    from engine.data.table import Table


FORCED = "mode: force"
"""The problem of kept rows that must be written again in any case."""


class KeptRowsRecord(Protocol):
    """The record of written rows; see `engine.store.KeptRows`."""

    @property
    def made_of(self) -> str: ...
    @property
    def content(self) -> str: ...
    @property
    def fingerprint(self) -> str: ...
    @property
    def facts(self) -> Mapping[str, Any]: ...


class KeptRowsRecords(Protocol):
    """The records of written rows, by dataset and place."""

    def find(self, dataset: str, place: str) -> KeptRowsRecord | None:
        """Return the record of a dataset and a place, or None."""


class NoRecords:
    """The records of a project without a state: nothing was ever written."""

    def find(self, dataset: str, place: str) -> None:
        """Return None."""


class KeptPlace(Protocol):
    """A file or a table that keeps the rows of a dataset."""

    @property
    def name(self) -> str:
        """The place, for messages."""

    def find_problem(self, content: str) -> str:
        """Return why the stored rows do not have that digest; an empty text if they do."""

    def read_rows(self) -> tuple[pl.LazyFrame, DatasetFiles | None]:
        """Return the rows, and the files from which they are read, if any."""

    def check_rows(self, table: Table, *, known: bool) -> None:
        """Raise a DataError if a column cannot be kept (it is named), or if the place contains something else.

        `known` is True if rows of the dataset were written there before.
        """

    def write_rows(self, table: Table, verify: Callable[[], None]) -> tuple[str, int]:
        """Replace the existing rows by those of a table; return their digest and their number."""


class KeptState(NamedTuple):
    """The state of a dataset's kept rows.

    Attributes
    ----------
    place
        The place where they are kept.
    made_of
        Digest of what the dataset currently depends on.
    record
        The record of the last write; None if nothing was written.
    problem
        Why the written rows cannot be used; empty if they can, or if nothing was written.
    """

    place: KeptPlace
    made_of: str
    record: KeptRowsRecord | None
    problem: str = ""

    @property
    def current(self) -> bool:
        """Whether the kept rows are up to date."""
        return self._is_recorded and self.record is not None and bool(self.record.content)

    @property
    def supposed(self) -> bool:
        """Whether a plan or a dry run assumes that the rows are up to date although they do not exist."""
        return self._is_recorded and not self.current

    @property
    def _is_recorded(self) -> bool:
        return self.record is not None and self.record.made_of == self.made_of and not self.problem

    @property
    def key(self) -> tuple[object, ...]:
        """The key of this state among others of the same dataset."""
        return self.place.name, self.made_of, self.record and (self.record.made_of, self.record.content), self.problem


def examine_kept_rows(
    dataset: str, place: KeptPlace, made_of: str, records: KeptRowsRecords, *, forced: bool
) -> KeptState:
    """Return the state of a dataset's kept rows; `made_of` is the digest of what it currently depends on."""
    record = records.find(dataset, place.name)
    if forced:
        return KeptState(place, made_of, record, FORCED)
    return KeptState(place, made_of, record, place.find_problem(record.content) if record and record.content else "")
