"""The kinds of `connections:`: where data is stored."""

from typing import Annotated, Literal

from pydantic import Field

from engine.spec.resources.resource import DataPlace, Resource, SecretText


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


Connection = Annotated[FileConnection | PostgresqlConnection | DuckdbConnection, Field(discriminator="kind")]
CONNECTION_KINDS: dict[str, type[Resource]] = {
    "file": FileConnection,
    "postgresql": PostgresqlConnection,
    "duckdb": DuckdbConnection,
}
