"""Where data lives."""

from typing import Literal

from pydantic import Field

from engine.spec.resources.resource import Resource


class FileConnection(Resource):
    """A folder of files."""

    kind: Literal["file"] = "file"
    root: str = Field(description="The folder, relative to the file that declares it.")


Connection = FileConnection
CONNECTION_KINDS: dict[str, type[Resource]] = {"file": FileConnection}
