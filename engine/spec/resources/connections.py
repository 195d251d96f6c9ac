"""The kinds of `connections:`, the places where data is stored."""

from typing import Annotated, Literal

from pydantic import Field

from engine.spec.resources.resource import DataPlace, Resource, SecretText

COLLECT_ROWS = 5_000_000
"""Default maximum number of Spark rows that are read into this machine."""


class FileConnection(Resource):
    """A folder with data files."""

    kind: Literal["file"] = "file"
    root: DataPlace = Field(description="Path of the folder, relative to the file that declares the connection.")


class PostgresqlConnection(Resource):
    """A PostgreSQL database. Needs the extra `postgresql`."""

    kind: Literal["postgresql"] = "postgresql"
    url: SecretText = Field(
        description="Address of the database: postgresql://user:password@host:5432/database?sslmode=verify-full. "
        "Usually a ${secret.name}."
    )
    db_schema: str | None = Field(
        None,
        alias="schema",
        min_length=1,
        description="Schema of tables that are named without one; if left out, the search_path of the server decides.",
    )
    timeout: float = Field(10, gt=0, le=120, description="How many seconds to wait for a connection to the server.")


class DuckdbConnection(Resource):
    """A DuckDB file. Needs the extra `duckdb`."""

    kind: Literal["duckdb"] = "duckdb"
    path: DataPlace = Field(description="Path of the file, relative to the file that declares the connection.")


class S3Connection(Resource):
    """A bucket with data files in an S3-compatible object store. Needs the extra `s3`."""

    kind: Literal["s3"] = "s3"
    bucket: str = Field(min_length=3, max_length=63, description="Name of the bucket.")
    prefix: str = Field(
        "", description="Folder in the bucket to which paths are relative; the bucket itself if left out."
    )
    endpoint: str | None = Field(
        None,
        description="Address of the server, such as https://s3.example.com or https://10.0.0.5:9000; AWS in the region "
        "if left out.",
    )
    region: str = Field("us-east-1", min_length=1, description="Region of the bucket; most other servers ignore it.")
    access_key: SecretText | None = Field(
        None,
        description="Access key id, usually a ${secret.name}. If left out, the credentials come from the environment "
        "(AWS_ACCESS_KEY_ID, …) or from the machine.",
    )
    secret_key: SecretText | None = Field(None, description="Secret access key: a ${secret.name}.")
    session_token: SecretText | None = Field(
        None, description="Session token of temporary credentials: a ${secret.name}."
    )
    path_style: bool = Field(
        False,
        description="Whether URLs have the form https://host/bucket instead of https://bucket.host. Servers other than "
        "AWS often need this.",
    )
    allow_http: bool = Field(
        False,
        description="Whether the endpoint may use unencrypted HTTP, which lets others on the network read the data.",
    )
    certificate: str | None = Field(
        None,
        description="File with certificates (PEM) to trust in addition to the usual ones, relative to the file that "
        "declares the connection.",
    )
    timeout: float = Field(
        10,
        gt=0,
        le=120,
        description="How many seconds to wait for a connection to the server, and for each further part of the data.",
    )
    cache_gb: float = Field(
        20,
        gt=0,
        description="Size in GB of the cache of objects in the state folder. The least recently used objects are "
        "removed first; objects used within the last hour are never removed.",
    )


class SparkConnection(Resource):
    """Apache Spark, for data too large for one machine. Needs the extra `spark` and, except for Spark Connect, Java."""

    kind: Literal["spark"] = "spark"
    url: SecretText = Field(
        "local[*]",
        min_length=1,
        description="Address of Spark: local[*] (on all cores of this machine), spark://host:7077, yarn, k8s://…, or "
        "sc://host:15002 for Spark Connect. If it contains a token, use a ${secret.name}.",
    )
    options: dict[str, SecretText] = Field(
        {},
        description="Spark settings by name, with texts as values, such as spark.executor.memory: 8g. For the keys of "
        "an object store, use a ${secret.name}.",
    )
    collect_rows: int = Field(
        COLLECT_ROWS,
        ge=0,
        description="A dataset with at most this many rows is read into this machine and measured here. The executors "
        "measure a larger one.",
    )


FilesConnection = FileConnection | S3Connection
"""The kinds that contain files."""

Connection = Annotated[
    FileConnection | PostgresqlConnection | DuckdbConnection | S3Connection | SparkConnection,
    Field(discriminator="kind"),
]
CONNECTION_KINDS: dict[str, type[Resource]] = {
    "file": FileConnection,
    "postgresql": PostgresqlConnection,
    "duckdb": DuckdbConnection,
    "s3": S3Connection,
    "spark": SparkConnection,
}
