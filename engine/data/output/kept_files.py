"""Parquet files that keep the rows of a dataset. A file records its project, so that no other file is replaced."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from engine.atomic_files import replace_file
from engine.data.files.dataset_files import DatasetFiles
from engine.data.files.hashes import FileHashes, hash_file
from engine.data.polars_errors import READ_ERRORS, describe_error
from engine.data.table import Table, explain_read_errors
from engine.errors import DataError
from engine.spec.resources.datasets import Csv

OWNER_KEY = "engine.kept_for"
"""The metadata key for the name of the project that wrote a file."""


@dataclass(frozen=True, slots=True)
class KeptFile:
    """A Parquet file.

    Attributes
    ----------
    root
        The folder to which `name` is relative.
    name
        The path as declared.
    project
        The name of the project.
    hashes
        Cache of the digests of files.
    """

    root: Path
    name: str
    project: str
    hashes: FileHashes

    @property
    def path(self) -> Path:
        """The path of the file."""
        return self.root / self.name

    def find_problem(self, content: str) -> str:
        """Return why the file does not have that digest; an empty text if it does."""
        try:
            same = hash_file(self.path, self.hashes) == content
        except FileNotFoundError:
            return f"{self.name} is not there"
        except OSError as error:
            raise DataError(f"{self.path} cannot be read: {error.strerror or error}") from error
        return "" if same else f"{self.name} is not as it was written"

    def read_rows(self) -> tuple[pl.LazyFrame, DatasetFiles]:
        """Return the rows, and the file."""
        files = DatasetFiles((self.path,), "parquet", Csv.model_construct(), {})
        return files.scan_all(), files

    def check_rows(self, table: Table, *, known: bool) -> None:
        """Raise a DataError if the table has a column that Parquet cannot store, or the file may not be replaced.

        A file that was written before and has been damaged or changed since may be replaced.
        """
        with explain_read_errors(table):
            schema = table.frame.collect_schema()
        if not schema:
            raise DataError(f"dataset {table.name!r} has no columns, so there is nothing to keep")
        for name, dtype in schema.items():
            if dtype == pl.Object:
                raise DataError(f"column {name!r} holds Python objects: convert it to text, numbers or dates")
        if not known or self.path.is_dir():
            self._check_owner()

    @contextmanager
    def replace(self) -> Iterator[Path]:
        """Yield the path of a new file, which replaces the existing one at the end of the block."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with replace_file(self.path) as part:
            yield part

    @property
    def place(self) -> str:
        """The file, for messages."""
        return str(self.path)

    def _check_owner(self) -> None:
        """Raise a DataError if there is a file that this project has not written."""
        if not self.path.exists():
            return
        owner = None
        if self.path.is_file():
            try:
                owner = pl.read_parquet_metadata(self.path).get(OWNER_KEY)
            except (*READ_ERRORS, OSError):
                owner = None
        if owner != self.project:
            whose = f"was written for the project {owner!r}" if owner else "was not written by engine"
            raise DataError(
                f"{self.place} exists and {whose}, so it is not replaced: remove it, or give materialize another path"
            )

    def write_rows(self, table: Table, verify: Callable[[], None]) -> tuple[str, int]:
        """Replace the existing file; return the digest of its bytes, and its number of rows.

        Parameters
        ----------
        verify
            Called after all rows are written, before the file gets its name; if it raises, the old file is kept.

        Raises
        ------
        DataError
            The table cannot be read, or the file cannot be written.
        """
        try:
            with self.replace() as part:
                self._write_part(table, part)
                verify()
            rows = self.read_rows()[0].select(pl.len()).collect().item()
            return hash_file(self.path, self.hashes), int(rows)
        except OSError as error:
            raise DataError(f"{self.place} cannot be written: {error.strerror or error}") from error

    def _write_part(self, table: Table, part: Path) -> None:
        try:
            table.frame.sink_parquet(part, engine="streaming", metadata={OWNER_KEY: self.project})
        except READ_ERRORS as error:
            with explain_read_errors(table):
                for _ in table.frame.collect_batches(maintain_order=False):
                    pass  # reading is the test
            raise DataError(f"{self.place} cannot be written: {describe_error(error)}") from error
