"""Rows that were read from databases and by Spark: each table and each query once per run."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from engine.spec import ProjectSpec
from engine.spec.resources.connections import SparkConnection
from engine.spec.secrets.values import Secrets
from engine.spec.stored_data import DatabaseTable, StoredPlace
from engine.spec.used_connections import describe_connection

if TYPE_CHECKING:
    from engine.data.database_rows import DatabaseRows
    from engine.data.spark.reading import SparkData


class StoredRows:
    """The data read from databases and from Spark.

    Parameters
    ----------
    scratch
        Returns a new folder for the rows of a table.
    """

    def __init__(self, secrets: Secrets, scratch: Callable[[], Path]) -> None:
        self._secrets = secrets
        self._scratch = scratch
        self._rows: dict[tuple[object, ...], DatabaseRows | None] = {}
        self._spark_data: dict[tuple[object, ...], SparkData] = {}

    def read_table(self, project: ProjectSpec, table: DatabaseTable) -> "DatabaseRows":
        """Return the rows of a table."""
        key = _key_of(project, table)
        rows = self._rows.get(key)
        if rows is None:
            from engine.data.databases.reading import read_table
            from engine.spec.opened_connections import open_connection

            with open_connection(project, table[0], self._secrets, read_only=True) as session:
                rows = self._rows[key] = read_table(session, table[1], self._scratch())
        return rows

    def read_query(
        self, project: ProjectSpec, connection: str, query: str, inputs: Sequence[str]
    ) -> "DatabaseRows | None":
        """Return the rows of a query run by the database of its inputs; None if it must be computed in this process."""
        key = (connection, None, query, *map(project.find_table, inputs), describe_connection(project, connection))
        if key not in self._rows:
            from engine.data.databases.pushed_queries import read_pushed_query

            self._rows[key] = read_pushed_query(project, query, inputs, self._secrets, self._scratch)
        return self._rows[key]

    def open_spark_data(self, project: ProjectSpec, name: str, place: StoredPlace) -> "SparkData":
        """Return Spark's data for a dataset."""
        declared = project.connections[place.connection]
        assert isinstance(declared, SparkConnection)  # noqa: S101 - Spark reads nothing else
        key = (*place, name if place.key == "path" else "", describe_connection(project, place.connection))
        if key not in self._spark_data:
            from engine.data.spark.reading import hold_spark_data, open_spark_data

            rows = open_spark_data(project, name, place, self._secrets)
            self._spark_data[key] = hold_spark_data(rows, declared.collect_rows, self._scratch)
        return self._spark_data[key]

    def forget(self) -> bool:
        """Read everything again from now on; return whether anything was read before."""
        known = bool(self._rows or self._spark_data)
        self._rows.clear()
        self._spark_data.clear()
        return known

    def replace_table(self, project: ProjectSpec, table: DatabaseTable, rows: "DatabaseRows") -> None:
        """Use these rows for a table that was written, and read the queries of its database again."""
        for key in [key for key in self._rows if key[:2] in (table, (table[0], None))]:
            del self._rows[key]
        self._rows[_key_of(project, table)] = rows


def _key_of(project: ProjectSpec, table: DatabaseTable) -> tuple[object, ...]:
    return (*table, describe_connection(project, table[0]))
