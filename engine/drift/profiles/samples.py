"""The rows of a sample, stored in a frame of this process or in a cluster."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

import polars as pl

from engine.drift.profiles.column_passes import Feed, feed_blocks
from engine.drift.profiles.entity_choice import choose_entity_rows
from engine.drift.profiles.roles import roles
from engine.drift.reading.alignment import Alignment, KnownColumn, align_columns
from engine.drift.reading.blocks import count_frame_rows, finds_slices
from engine.drift.reading.normalization import Role
from engine.errors import DataError
from engine.file_identity import FileIdentity


class Sample(Protocol):
    """Rows that can be read any number of times."""

    @property
    def schema(self) -> Mapping[str, pl.DataType]:
        """The types of the columns."""

    def align(self, known: Mapping[str, KnownColumn]) -> "tuple[Sample, Alignment]":
        """Return the sample with its columns converted to known types, and the findings (see `align_columns`)."""

    def find_roles(self, entity: str | None) -> dict[str, Role]:
        """Return the roles of the columns that can be compared (see `roles`)."""

    def show_values(self, roles: Mapping[str, Role]) -> pl.LazyFrame:
        """Return rows that show how columns can be read in their roles: all rows, or a selection that suffices."""

    def count_known_rows(self) -> int | None:
        """Return the number of rows if it is known without reading them, else None."""

    def feed(self, reading: Mapping[str, pl.Expr]) -> Feed:
        """Return a function that passes the rows to accumulators, each column read by its expression."""

    def choose_entity_rows(self, reading: Mapping[str, pl.Expr], entity: str) -> pl.DataFrame:
        """Return one row per entity (see `entity_choice`)."""

    def expect_unchanged(self) -> AbstractContextManager[None]:
        """Raise a `DataError` at the end of the block if the rows changed while the block read them."""


class FrameSample:
    """The rows of a polars frame; `files` are the files it reads, as far as known, with their state."""

    def __init__(self, frame: pl.LazyFrame, files: Mapping[Path, FileIdentity] | None) -> None:
        self._frame, self._files = frame, files or {}

    @property
    def schema(self) -> Mapping[str, pl.DataType]:
        return self._frame.collect_schema()

    def align(self, known: Mapping[str, KnownColumn]) -> tuple[Sample, Alignment]:
        alignment = align_columns(self._frame, known)
        return FrameSample(alignment.frame, self._files), alignment

    def find_roles(self, entity: str | None) -> dict[str, Role]:
        return roles(self._frame, entity=entity)[0]

    def show_values(self, roles: Mapping[str, Role]) -> pl.LazyFrame:
        return self._frame

    def count_known_rows(self) -> int | None:
        return count_frame_rows(self._frame) if finds_slices(self._frame) else None

    def feed(self, reading: Mapping[str, pl.Expr]) -> Feed:
        return feed_blocks(self._frame, reading)

    def choose_entity_rows(self, reading: Mapping[str, pl.Expr], entity: str) -> pl.DataFrame:
        return choose_entity_rows(self._frame, reading, entity)

    @contextmanager
    def expect_unchanged(self) -> Iterator[None]:
        try:
            yield
        except (Exception, pl.exceptions.PanicException):  # a changed file can cause any of these
            self._require_unchanged()
            raise
        self._require_unchanged()

    def _require_unchanged(self) -> None:
        # polars opens files again for each part of their rows
        if changed := [path for path, state in self._files.items() if identify_file(path) != state]:
            raise DataError(f"{changed[0]} has changed while it was read: read it once it is complete")


def identify_file(path: Path) -> FileIdentity | None:
    """Return the identity of a file's state; None if the file does not exist any more."""
    try:
        return FileIdentity.from_stat(path.stat())
    except OSError:
        return None
