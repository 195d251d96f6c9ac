"""The link from the folder of a node to the file of the node.

Processes that change a deployment without the server of the node, such as `engine deploy` with a folder, read the
confinement of the deployment through it. The server creates the link before it serves anything.
"""

import os
from pathlib import Path

from engine.errors import UsageError

MARK = "confined_by"


def mark_node(folder: Path, node_file: Path) -> None:
    """Link the folder of a node to its file, with a relative path that survives moving both.

    Raises
    ------
    UsageError
        The link cannot be created.
    """
    path = os.path.relpath(node_file.absolute(), folder.absolute())
    part = folder / f".{MARK}.{os.getpid()}"
    try:
        part.unlink(missing_ok=True)
        part.symlink_to(path)
        part.replace(folder / MARK)
    except OSError as error:
        raise UsageError(f"the link {folder / MARK} to the file of the node cannot be made: {error.strerror}") from None


def find_marked_node(folder: Path) -> Path | None:
    """Return the node file for a folder; None if it is not the folder of a node."""
    try:
        return Path(os.path.normpath(folder.absolute() / (folder / MARK).readlink()))
    except OSError:  # there is no link
        return None
