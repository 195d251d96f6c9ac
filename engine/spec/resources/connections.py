"""The kinds of `connections:`: where data is stored."""

from typing import Annotated, Literal

from pydantic import Field

from engine.spec.resources.resource import DataPlace, Resource, SecretText

COLLECT_ROWS = 5_000_000
"""Most rows of Spark that are read into this machine, unless a connection sets another limit."""


class FileConnection(Resource):
    """A folder with data files."""

    kind: Literal["file"] = "file"
    root: DataPlace = Field(description="Folder with the data, relative to the file that declares the connection.")


class PostgresqlConnection(Resource):
    """A PostgreSQL database; needs the extra `postgresql`."""

    kind: Literal["postgresql"] = "postgresql"
    url: SecretText = Field(
        description="Address of the database: postgresql://user:password@host:5432/database?sslmode=verify-full. "
        "Usually a ${secret.name}."
    )
    db_schema: str | None = Field(
        None,
        alias="schema",
        min_length=1,
        description="Schema of the tables whose name has none; what the server's search_path says if left out.",
    )
    timeout: float = Field(10, gt=0, le=120, description="How many seconds to wait for a connection to the server.")


class DuckdbConnection(Resource):
    """A DuckDB file; needs the extra `duckdb`."""

    kind: Literal["duckdb"] = "duckdb"
    path: DataPlace = Field(description="Path of the file, relative to the file that declares the connection.")


class S3Connection(Resource):
    """A bucket of an object store that speaks S3, with data files; needs the extra `s3`."""

    kind: Literal["s3"] = "s3"
    bucket: str = Field(min_length=3, max_length=63, description="Name of the bucket.")
    prefix: str = Field(
        "", description="The folder in the bucket that paths start from; the bucket itself if left out."
    )
    endpoint: str | None = Field(
        None,
        description="Address of the server, as https://s3.example.com or https://10.0.0.5:9000; that of AWS in the "
        "region if left out.",
    )
    region: str = Field("us-east-1", min_length=1, description="Region of the bucket; most other servers ignore it.")
    access_key: SecretText | None = Field(
        None,
        description="Id of the key, usually a ${secret.name}. Without it the keys are those of the environment "
        "(AWS_ACCESS_KEY_ID, …) or of the machine.",
    )
    secret_key: SecretText | None = Field(None, description="The secret of the key: a ${secret.name}.")
    session_token: SecretText | None = Field(None, description="The token of temporary keys: a ${secret.name}.")
    path_style: bool = Field(
        False,
        description="Whether the bucket is named behind the host, as https://host/bucket, and not before it, as "
        "https://bucket.host. Servers other than AWS often need this.",
    )
    allow_http: bool = Field(
        False, description="Whether the endpoint may be without encryption: whoever listens sees the data."
    )
    certificate: str | None = Field(
        None,
        description="File of certificates (PEM) that are trusted besides the usual ones, relative to the file that "
        "declares the connection.",
    )
    timeout: float = Field(
        10, gt=0, le=120, description="How many seconds to wait for a connection to the server, and for more data."
    )
    cache_gb: float = Field(
        20,
        gt=0,
        description="GB of copies of objects that are kept in the state folder; the longest unused are removed first, "
        "but none that was used within the last hour.",
    )


class SparkConnection(Resource):
    """Apache Spark: data that no single machine holds; needs the extra `spark` and, but for Spark Connect, Java."""

    kind: Literal["spark"] = "spark"
    url: SecretText = Field(
        "local[*]",
        min_length=1,
        description="Where Spark runs: local[*] (in this machine, on all cores), spark://host:7077, yarn, k8s://…, or "
        "sc://host:15002 for a server of Spark Connect. One with a token is a ${secret.name}.",
    )
    options: dict[str, SecretText] = Field(
        {},
        description="Settings of Spark by name, such as spark.executor.memory: 8g, as texts. A key of an object store "
        "is a ${secret.name}.",
    )
    collect_rows: int = Field(
        COLLECT_ROWS,
        ge=0,
        description="A dataset with at most this many rows is read into this machine and measured here. A larger one "
        "is measured by the executors.",
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
