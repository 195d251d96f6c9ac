"""The kinds of `datasets:`, their columns, and the formats of data files."""

from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import Field

from engine.discovery.file_endings import Compression
from engine.spec.resources.checks import Check, PythonMetric
from engine.spec.resources.resource import Duration, Function, ReadPath, Ref, Resource, Scalar, Sql, WrittenPath

ColumnType = Literal["integer", "number", "text", "boolean", "date", "datetime", "duration"]
ColumnRole = Literal["numerical", "categorical", "identifier", "ignore"]


class Column(Resource):
    """The allowed content of a column, verified each time the dataset is read, and the use of the column."""

    type: ColumnType | None = Field(
        None,
        description="Required type of the column. If all its decimal numbers are whole, such as 3.0, the column counts "
        "as integer.",
    )
    role: ColumnRole | None = Field(
        None, description="How drift and models treat the column; detected from the data if left out."
    )
    required: bool = Field(False, description="Whether every row must have a value.")
    min: float | date | datetime | None = Field(None, description="Smallest allowed value.")
    max: float | date | datetime | None = Field(None, description="Largest allowed value.")
    allowed: list[Scalar] | None = Field(None, min_length=1, description="The allowed values.")
    unique: bool = Field(False, description="Whether all values must be different.")


class Dataset(Resource):
    """The keys of all kinds of datasets."""

    description: str | None = Field(None, description="Free text for readers. Changing it causes no recomputation.")
    entity: str | None = Field(
        None,
        description="Column that identifies a card, customer or machine. Rows with the same value stay together in a "
        "split and count once in p-values. Queries over this dataset inherit the entity.",
    )
    columns: dict[str, Column] = Field({}, description="Requirements on the columns, by name of the column.")
    metrics: dict[str, PythonMetric] = Field({}, description="Custom metrics, computed by Python functions, by name.")
    checks: dict[str, Check] = Field(
        {}, description="Checks of the metrics, by name; applied each time a build reads the dataset."
    )


class Csv(Resource):
    """Settings for reading a CSV file."""

    separator: str = Field(",", min_length=1, max_length=1, description="Character that separates fields.")
    quote: str | None = Field(
        '"', min_length=1, max_length=1, description="Character around a quoted field; null if fields are not quoted."
    )
    escape: str | None = Field(
        None,
        min_length=1,
        max_length=1,
        description="Escape character, such as a backslash before a quote. If left out, a quote inside a quoted field "
        "is doubled. A file with an escape character is read into memory.",
    )
    header: bool = Field(
        True,
        description="Whether the first line contains the column names. If false, declare all columns under columns, in "
        "the order of the file.",
    )
    null_values: list[str] = Field(
        [""],
        description="Texts that mean a missing value in every column. In columns of numbers, dates or booleans, the "
        "usual texts (NA, n/a, NULL, -, …) are recognized without being listed.",
    )
    decimal_comma: bool = Field(False, description="Whether numbers have a decimal comma: 1,5 is one and a half.")
    thousands: str | None = Field(
        None,
        min_length=1,
        max_length=1,
        description="Thousands separator, as in 1.234.567,89. Detected if the values are unambiguous.",
    )
    date_order: Literal["dmy", "mdy", "ymd"] | None = Field(
        None,
        description="Order of day, month and year in dates such as 03/04/2025. Detected if a day above 12 makes it "
        "unambiguous. Dates that begin with a four-digit year do not need it.",
    )
    comment: str | None = Field(
        None, min_length=1, max_length=5, description="Text at the start of lines to ignore, such as #."
    )
    skip_lines: int = Field(0, ge=0, description="Number of lines to skip before the header.")
    encoding: str = Field(
        "utf-8",
        description="Encoding of the text, such as cp1252 or utf-16. A file that is not UTF-8 is read into memory.",
    )


class FileReading(Dataset):
    """The keys for reading data files."""

    pick: Literal["all", "newest"] = Field(
        "all",
        description="Which files of a folder or pattern to read: all of them as one table, or only the newest. The "
        "newest is determined by the date in the name (2026-11-28, 20261128, 2026-W48, 2026-11) or else by the "
        "modification time. Files of days after ${as_of} are ignored.",
    )
    format: Literal["csv", "parquet", "ndjson", "arrow"] | None = Field(
        None, description="Format of the files; if left out, determined by the file extension or the first bytes."
    )
    compression: Compression | None = Field(
        None,
        description="Compression of CSV or NDJSON files, if the extension (.gz, .zst, .zip, .bz2) does not show it. A "
        "zip archive must contain exactly one file. Zip and bz2 files are unpacked into memory, up to 1 GiB each.",
    )
    csv: Csv = Field(Csv.model_construct(), description="How to read CSV files.")
    settle: Duration | None = Field(
        None,
        description="How long a changed file must stay unchanged before engine watch and triggers treat it as "
        "complete. If left out: 30s for CSV and NDJSON, which have no end mark; 5s for several Parquet or Arrow files; "
        "no wait for a single Parquet or Arrow file that has its end mark.",
    )
    marker: ReadPath | None = Field(
        None,
        min_length=1,
        description="Name of a file in the data folder, such as _SUCCESS, that is rewritten when all other files are "
        "complete. Engine watch and triggers wait for it.",
    )


class FileDataset(FileReading):
    """A data file, or all files of one format in a folder or matching a pattern."""

    kind: Literal["file"] = "file"
    connection: Annotated[str, Ref("connections")] | None = Field(
        None,
        description="Connection with the folder to which path is relative; if left out, path is relative to the spec.",
    )
    path: ReadPath = Field(
        description="Path of a file or of a folder of files, or a pattern such as transactions/*.parquet."
    )


class StoredDataset(FileReading):
    """Data of a connection: files of a folder or object store, a table of a database, or either of them in Spark.

    With both path and table, a deployment may replace a folder by a database, or the reverse, as the connection.
    Spark then reads the table.
    """

    kind: Literal["stored"] = "stored"
    connection: Annotated[str, Ref("connections")] = Field(description="Name of the connection.")
    path: ReadPath | None = Field(
        None,
        description="If the connection is a folder or an object store: path of a file or of a folder of files, or a "
        "pattern such as transactions/*.parquet. In Spark: Parquet files, also in its own file systems, such as "
        "s3a://bucket/transactions.",
    )
    table: str | None = Field(
        None,
        min_length=1,
        description="If the connection is a database or Spark: name of the table or view, or schema.table.",
    )


class Materialize(Resource):
    """The place where the rows of a dataset are stored, so that they are computed only once."""

    connection: Annotated[str, Ref("connections")] = Field(description="Name of the connection.")
    path: WrittenPath | None = Field(
        None, description="If the connection is a folder or an object store: Parquet file to write."
    )
    table: str | None = Field(
        None, min_length=1, description="If the connection is a database: table to write, as name or schema.name."
    )


class QueryDataset(Dataset):
    """The result of an SQL query over other datasets."""

    kind: Literal["query"] = "query"
    sql: Sql = Field(description="The query: one SELECT over declared datasets. A ${variable} becomes a typed literal.")
    materialize: Materialize | None = Field(
        None, description="Where to store the rows. They are written again when the query or its inputs have changed."
    )


class PythonDataset(Dataset):
    """A table returned by a Python function of yours."""

    kind: Literal["python"] = "python"
    function: Function = Field(description="The function, written module:function, in a Python file beside the spec.")
    arguments: dict[str, Scalar] = Field({}, description="Keyword arguments to call the function with.")
    materialize: Materialize | None = Field(
        None,
        description="Where to store the rows. The function is called again when its code or its arguments have "
        "changed.",
    )


AnyDataset = Annotated[FileDataset | QueryDataset | PythonDataset | StoredDataset, Field(discriminator="kind")]
DATASET_KINDS: dict[str, type[Resource]] = {
    "file": FileDataset,
    "query": QueryDataset,
    "python": PythonDataset,
    "stored": StoredDataset,
}
