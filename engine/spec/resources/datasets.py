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
    """What a column must contain, verified whenever the dataset is read, and how the column is used."""

    type: ColumnType | None = Field(
        None,
        description="Type that the column must have. Decimal numbers that are all whole, such as 3.0, are integers.",
    )
    role: ColumnRole | None = Field(
        None, description="How drift and models treat the column; found from the data if left out."
    )
    required: bool = Field(False, description="Whether every row must have a value.")
    min: float | date | datetime | None = Field(None, description="Smallest allowed value.")
    max: float | date | datetime | None = Field(None, description="Largest allowed value.")
    allowed: list[Scalar] | None = Field(None, min_length=1, description="The allowed values.")
    unique: bool = Field(False, description="Whether all values must be different.")


class Dataset(Resource):
    """The keys of all kinds of datasets."""

    description: str | None = Field(None, description="Free text for readers; a change of it recomputes nothing.")
    entity: str | None = Field(
        None,
        description="Column that names a card, customer or machine. Rows with the same value stay together in a "
        "split, and count once in p-values. Queries inherit it.",
    )
    columns: dict[str, Column] = Field({}, description="What each column must contain, by its name.")
    metrics: dict[str, PythonMetric] = Field({}, description="Metrics that your own functions compute, by name.")
    checks: dict[str, Check] = Field(
        {}, description="Checks of the metrics, by name; applied whenever a build reads the dataset."
    )


class Csv(Resource):
    """Settings for reading a CSV file."""

    separator: str = Field(",", min_length=1, max_length=1, description="Character between two fields.")
    quote: str | None = Field(
        '"', min_length=1, max_length=1, description="Character around a quoted field; null if none is used."
    )
    escape: str | None = Field(
        None,
        min_length=1,
        max_length=1,
        description="Character that makes the next one plain text, such as a backslash before a quote; if left out, a "
        "quote inside a quoted field is doubled. A file that has it is read into memory.",
    )
    header: bool = Field(
        True,
        description="Whether the first line holds the column names. If not, the names under columns count, all of them "
        "in the order of the file.",
    )
    null_values: list[str] = Field(
        [""],
        description="Texts that stand for a missing value in every column. In a column whose other values are "
        "numbers, dates or booleans, the usual ones (NA, n/a, NULL, -, …) are found.",
    )
    decimal_comma: bool = Field(
        False, description="Whether numbers have a decimal comma, so that 1,5 is one and a half."
    )
    thousands: str | None = Field(
        None,
        min_length=1,
        max_length=1,
        description="Character between thousands, as in 1.234.567,89. Where the values leave no doubt it is found.",
    )
    date_order: Literal["dmy", "mdy", "ymd"] | None = Field(
        None,
        description="Order of day, month and year in dates such as 03/04/2025. Where a day above 12 leaves no doubt "
        "it is found; a date that begins with a year of four digits needs no order.",
    )
    comment: str | None = Field(
        None, min_length=1, max_length=5, description="Text that begins a line which is not read, such as #."
    )
    skip_lines: int = Field(0, ge=0, description="Number of lines in front of the header that are not read.")
    encoding: str = Field(
        "utf-8",
        description="Encoding of the text, such as cp1252 or utf-16. A file that is not UTF-8 is read into memory.",
    )


class FileReading(Dataset):
    """The keys that say how data files are read."""

    pick: Literal["all", "newest"] = Field(
        "all",
        description="Which files of a folder or pattern are read: all of them as one table, or the newest alone, by "
        "the date in its name (2026-11-28, 20261128, 2026-W48, 2026-11), else by when it was last changed; never one "
        "of a later day than ${as_of}.",
    )
    format: Literal["csv", "parquet", "ndjson", "arrow"] | None = Field(
        None, description="Format of the files; taken from the ending of path or their first bytes if left out."
    )
    compression: Compression | None = Field(
        None,
        description="How files of CSV or NDJSON are compressed, if their ending (.gz, .zst, .zip, .bz2) does not tell. "
        "A zip archive holds one file. Files of zip and bz2 are unpacked into memory, up to 1 GiB each.",
    )
    csv: Csv = Field(Csv.model_construct(), description="How to read the file if its format is csv.")
    settle: Duration | None = Field(
        None,
        description="How long a changed file must stay as it is until engine watch and triggers take it for complete. "
        "If left out: 30s for CSV and NDJSON, which do not show their end; 5s for several Parquet or Arrow files; at "
        "once for one of these that shows its end.",
    )
    marker: ReadPath | None = Field(
        None,
        min_length=1,
        description="Name of a file in the folder of the data, such as _SUCCESS, that is written anew when all other "
        "files are complete: engine watch and triggers wait for it.",
    )


class FileDataset(FileReading):
    """A data file, or all files of one format in a folder or that match a pattern."""

    kind: Literal["file"] = "file"
    connection: Annotated[str, Ref("connections")] | None = Field(
        None, description="Connection whose folder path starts from; the folder of the spec if left out."
    )
    path: ReadPath = Field(
        description="Path of a file, of a folder of files, or a pattern such as transactions/*.parquet."
    )


class StoredDataset(FileReading):
    """Data of a connection: files where it is a folder, a table where it is a database, either of them in Spark.

    With both keys, the same dataset can be read from either: a deployment may put another connection in its place.
    Spark then reads the table.
    """

    kind: Literal["stored"] = "stored"
    connection: Annotated[str, Ref("connections")] = Field(description="Name of the connection.")
    path: ReadPath | None = Field(
        None,
        description="Where the connection is a folder: path of a file, of a folder of files, or a pattern such as "
        "transactions/*.parquet. In Spark: Parquet files, also of its own file systems, as s3a://bucket/transactions.",
    )
    table: str | None = Field(
        None,
        min_length=1,
        description="Where the connection is a database or Spark: name of the table or view, or schema.table.",
    )


class Materialize(Resource):
    """Where the rows of a dataset are kept, so that they are computed once."""

    connection: Annotated[str, Ref("connections")] = Field(description="Name of the connection.")
    path: WrittenPath | None = Field(
        None, description="File to write, where the connection is a folder; its ending tells the format."
    )
    table: str | None = Field(
        None, min_length=1, description="Table to write, where the connection is a database: name or schema.name."
    )


class QueryDataset(Dataset):
    """The result of an SQL query over other datasets."""

    kind: Literal["query"] = "query"
    sql: Sql = Field(description="The query: one SELECT over declared datasets. A ${variable} becomes a typed literal.")
    materialize: Materialize | None = Field(
        None, description="Where to keep the rows: they are written when something they depend on has changed."
    )


class PythonDataset(Dataset):
    """The table that a Python function of yours returns."""

    kind: Literal["python"] = "python"
    function: Function = Field(description="The function, written module:function, in a Python file beside the spec.")
    arguments: dict[str, Scalar] = Field({}, description="Keyword arguments to call the function with.")
    materialize: Materialize | None = Field(
        None, description="Where to keep the rows: the function is called when it or its arguments have changed."
    )


AnyDataset = Annotated[FileDataset | QueryDataset | PythonDataset | StoredDataset, Field(discriminator="kind")]
DATASET_KINDS: dict[str, type[Resource]] = {
    "file": FileDataset,
    "query": QueryDataset,
    "python": PythonDataset,
    "stored": StoredDataset,
}
