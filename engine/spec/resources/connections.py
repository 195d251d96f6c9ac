"""The kinds of `connections:`: where data is stored."""

from typing import Literal

from pydantic import Field

from engine.spec.resources.resource import Resource


class FileConnection(Resource):
    """A folder with data files."""

    kind: Literal["file"] = "file"
    root: str = Field(description="Folder with the data, relative to the file that declares the connection.")


Connection = FileConnection
CONNECTION_KINDS: dict[str, type[Resource]] = {"file": FileConnection}
