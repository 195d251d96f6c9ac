"""Datasets: tables by name, read lazily."""

from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import Field

from engine.spec.resources.checks import Check, PythonMetric
from engine.spec.resources.resource import Function, Ref, Resource, Scalar, Sql

ColumnType = Literal["integer", "number", "text", "boolean", "date", "datetime", "duration"]
ColumnRole = Literal["numerical", "categorical", "identifier", "ignore"]


class Column(Resource):
    """What a column must be, verified whenever the dataset is read, and the part that it plays."""

    type: ColumnType | None = Field(None, description="The family of types that the column must have.")
    role: ColumnRole | None = Field(None, description="How drift and models treat it; found from the data if left out.")
    required: bool = Field(False, description="No value may be missing.")
    min: float | date | datetime | None = Field(None, description="The smallest legal value.")
    max: float | date | datetime | None = Field(None, description="The largest legal value.")
    allowed: list[Scalar] | None = Field(None, min_length=1, description="The legal values.")
    unique: bool = Field(False, description="No value may occur twice.")


class Dataset(Resource):
    """What all kinds of datasets have."""

    description: str | None = Field(None, description="For people; recomputes nothing.")
    entity: str | None = Field(
        None, description="Column whose rows belong together: splits and p-values respect it. Queries inherit it."
    )
    columns: dict[str, Column] = Field({}, description="The contract, by column.")
    metrics: dict[str, PythonMetric] = Field({}, description="Metrics of your own, by name.")
    checks: dict[str, Check] = Field({}, description="Run whenever a build builds or reads the dataset.")


ENDINGS: dict[str, str] = {
    ".csv": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".ipc": "arrow",
}
"""The format that the ending of a path tells."""


class Csv(Resource):
    """How a CSV file is written."""

    separator: str = Field(",", min_length=1, max_length=1, description="Between two fields.")
    quote: str | None = Field('"', min_length=1, max_length=1, description="Around a field; null for none.")
    header: bool = Field(True, description="The first line holds the names.")
    null_values: list[str] = Field([""], description="Texts that mean a missing value.")
    decimal_comma: bool = Field(False, description="1,5 is one and a half.")


class FileDataset(Dataset):
    """Files of one format: one path, or a glob."""

    kind: Literal["file"] = "file"
    connection: Annotated[str, Ref("connections")] | None = Field(
        None, description="The folder that path starts from; the spec's own if left out."
    )
    path: str = Field(description="A file or a glob such as transactions/*.parquet.")
    format: Literal["csv", "parquet", "ndjson", "arrow"] | None = Field(
        None, description="Taken from the ending if left out."
    )
    csv: Csv = Field(Csv.model_construct(), description="How the CSV is written.")


class QueryDataset(Dataset):
    """SQL over other datasets, run lazily."""

    kind: Literal["query"] = "query"
    sql: Sql = Field(description="One SELECT over declared datasets; a ${variable} becomes a typed literal.")


class PythonDataset(Dataset):
    """A function of yours that returns a polars frame."""

    kind: Literal["python"] = "python"
    function: Function = Field(description="module:function, found beside the spec; returns a DataFrame or LazyFrame.")
    arguments: dict[str, Scalar] = Field({}, description="Keyword arguments of the function.")


AnyDataset = Annotated[FileDataset | QueryDataset | PythonDataset, Field(discriminator="kind")]
DATASET_KINDS: dict[str, type[Resource]] = {"file": FileDataset, "query": QueryDataset, "python": PythonDataset}
