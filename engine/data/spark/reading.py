"""Open the data of a Spark connection, and decide whether its rows are read into this process."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from engine.connections.spark import explain_spark_errors
from engine.connections.table_names import split_table_name
from engine.data.database_rows import DatabaseRows
from engine.data.dataset_tables import warn_of_columns
from engine.data.files.file_datasets import read_declared_texts
from engine.data.fingerprints import FrameHasher
from engine.data.kept_rows import KeptState
from engine.data.polars_errors import READ_ERRORS, describe_error
from engine.data.rereadable_tables import ROW_GROUP_SIZE
from engine.data.spark.spark_rows import SparkRows, hold_spark_rows, list_source_files, quote_name
from engine.data.table import Table
from engine.digests import digest_texts
from engine.drift.reading.hash_version import HASH_VERSION
from engine.errors import DataError
from engine.formatting.hints import suggest_name
from engine.spec import ProjectSpec
from engine.spec.opened_connections import open_spark_session
from engine.spec.resources.datasets import Dataset
from engine.spec.secrets.values import Secrets
from engine.spec.stored_data import StoredPlace

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_LISTED_FORMATS = ("parquet", "orc", "csv", "json", "avro", "text")
"""Formats of tables that consist only of their files: lake formats may delete rows of a file elsewhere."""


class Fingerprint(NamedTuple):
    """The digest of rows, and the versions of the software that computed it."""

    digest: str
    versions: Mapping[str, str]


def open_spark_data(project: ProjectSpec, dataset: str, place: StoredPlace, secrets: Secrets) -> SparkRows:
    """Return the rows of a table or path that a dataset reads with Spark.

    Raises
    ------
    DatabaseError
        Spark does not start, there is no such table or path, or its user may not read it.
    """
    path = ""
    if place.key == "path":
        path = place.name
        if "://" not in path:
            here = project.check_path(project.folder_of("datasets", dataset).absolute() / path)
            path = path if Path(path).is_absolute() else f"file://{here}"
    session = open_spark_session(project, place.connection, secrets)
    named = f"connection {place.connection!r}: {place.key} {place.name}"
    with explain_spark_errors(named):
        if not path:
            return hold_spark_rows(_find_table(session, place), named, place)
        if _has_folder(session, f"{path}/_delta_log"):  # files of a Delta table also hold deleted rows
            return hold_spark_rows(session.read.format("delta").load(path), named)
        return hold_spark_rows(session.read.parquet(path), named, place)


def _has_folder(session: "SparkSession", path: str) -> bool:
    from pyspark.errors import AnalysisException

    try:
        return bool(session.read.format("binaryFile").load(path).schema)
    except AnalysisException as error:
        if error.getCondition() != "PATH_NOT_FOUND":
            raise
        return False


def _find_table(session: "SparkSession", place: StoredPlace) -> Any:
    quoted = _quote_table(place.name)
    if not session.catalog.tableExists(quoted):
        known = [one.name for one in session.catalog.listTables()] if "." not in place.name else []
        raise DataError(f"there is no table {place.name!r} in Spark{suggest_name(place.name, known)}")
    return session.table(quoted)


def _quote_table(name: str) -> str:
    return ".".join(quote_name(part) for part in split_table_name(name) or (None, name) if part is not None)


def fingerprint_spark_data(rows: SparkRows) -> Fingerprint:
    """Return the fingerprint of rows in Spark.

    If the rows depend only on files, it covers the path, size and time of change of each, so that no row is read. Other
    rows, such as those of views, are hashed by the executors.
    """
    place = rows.source
    if place is not None and (place.key == "path" or _is_made_of_files(rows, place)):
        files = list_source_files(rows)
        if files:
            texts = (f"{path} {size} {changed.isoformat()}" for path, size, changed in files)
            return Fingerprint(digest_texts(place.name, *texts), {"list of files": "1"})
    return Fingerprint(rows.digest_rows(), {"row hash": HASH_VERSION})


def require_unchanged_rows(table: Table) -> None:
    """Raise a DataError if rows in Spark have changed since their table was opened.

    Their measurement takes several passes, which must read the same rows. The fingerprint is computed again, for the
    table and for those from which it is made.
    """
    for name, one in (table.undisturbed or table).lineage().items():
        if one.spark is not None and fingerprint_spark_data(one.spark).digest != one.fingerprint:
            raise DataError(
                f"dataset {name!r}: its rows have changed since it was opened, so the numbers would be of several "
                "states: run it again when nobody writes them; rows that Spark computes again for each pass, such as a "
                "sample or random numbers, must be stored first"
            )


def _is_made_of_files(rows: SparkRows, place: StoredPlace) -> bool:
    session = rows.frame.sparkSession
    with explain_spark_errors(rows.place):
        found = {
            str(one[0]): str(one[1])
            for one in session.sql(f"DESCRIBE TABLE EXTENDED {_quote_table(place.name)}").collect()
        }
    return found.get("Provider", "").lower() in _LISTED_FORMATS and found.get("Type") in ("MANAGED", "EXTERNAL")


def read_spark_rows(rows: SparkRows, folder: Path) -> DatabaseRows:
    """Read all rows into a file in a folder.

    Raises
    ------
    DatabaseError
        Spark does not answer, or an executor failed.
    """
    path, hasher = folder / "rows.parquet", FrameHasher()
    try:
        hasher.watch(rows.scan()).sink_parquet(
            path, compression="lz4", row_group_size=ROW_GROUP_SIZE, engine="streaming"
        )
    except READ_ERRORS as error:
        raise DataError(f"{rows.place}: its rows cannot be read: {describe_error(error)}") from None
    return DatabaseRows(path, (), hasher.digest(), hasher.count, rows.notes)


@dataclass(frozen=True, slots=True)
class SparkData:
    """Spark's data for a dataset.

    Attributes
    ----------
    rows
        The rows in Spark.
    read
        The rows after reading them into this process; None if there are too many.
    fingerprint
        The fingerprint of the rows.
    """

    rows: SparkRows
    read: DatabaseRows | None
    fingerprint: Fingerprint


def hold_spark_data(rows: SparkRows, most: int, scratch: Callable[[], Path]) -> SparkData:
    """Read rows into this process if they are few; otherwise leave them in Spark.

    Parameters
    ----------
    most
        Maximum number of rows that are read.
    scratch
        Returns a new folder for them.

    Raises
    ------
    DataError
        Spark does not answer, or an executor failed.
    """
    if rows.count <= most:
        read = read_spark_rows(rows, scratch())
        return SparkData(rows, read, Fingerprint(read.fingerprint, {"row hash": HASH_VERSION}))
    return SparkData(rows, None, fingerprint_spark_data(rows))


def describe_spark_data(
    name: str, dataset: Dataset, data: SparkData, facts: Mapping[str, Any], kept: KeptState | None = None
) -> Table:
    """Return the table of a dataset with rows in Spark, or read from Spark."""
    files = None if data.read is None else read_declared_texts(data.read.path, dataset)
    frame = data.rows.scan() if files is None else files.scan_all()
    stays = f"{data.rows.count:,} rows stay with Spark: executors measure them, and samples of them are read"
    return Table(
        name,
        frame,
        data.fingerprint.digest,
        dataset.entity,
        dataset.columns,
        rereadable=files is not None,
        facts={**facts, "versions": dict(data.fingerprint.versions)},
        notes=data.rows.notes if files else (*data.rows.notes, stays),
        find_warnings=warn_of_columns(frame, dataset) if files is None else lambda: files.warnings,
        kept=kept,
        place=data.rows.place,
        spark=None if files else data.rows,
    )
