"""Parquet objects of a store that keep the rows of a dataset: files with a local copy, like any object."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from engine.connections.object_addresses import normalize_object_path
from engine.connections.object_copies import ObjectCopies
from engine.data.output.kept_files import KeptFile
from engine.data.table import Table


@dataclass(frozen=True, slots=True)
class KeptObject(KeptFile):
    """A Parquet object; `root` is the folder of the copies."""

    copies: ObjectCopies

    @property
    def place(self) -> str:
        """The object, for messages."""
        return self.copies.source.name(normalize_object_path(self.name))

    def find_problem(self, content: str) -> str:
        """Return why the object does not have that digest; an empty text if it does."""
        self.copies.refresh(normalize_object_path(self.name))
        return KeptFile.find_problem(self, content)

    def check_rows(self, table: Table, *, known: bool) -> None:
        """Raise a DataError if the table has a column that Parquet cannot store, or the object may not be replaced."""
        if not known:
            self.copies.refresh(normalize_object_path(self.name))
        KeptFile.check_rows(self, table, known=known)

    @contextmanager
    def replace(self) -> Iterator[Path]:
        """Yield the path of a new file, which is uploaded at the end of the block and replaces the object."""
        with self.copies.stage() as part:
            yield part
            self.copies.send(part, normalize_object_path(self.name))
