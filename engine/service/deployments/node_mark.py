"""The link by which the folder of a node names the file of the node.

Who works on a deployment without the server of the node, as `engine deploy` with a folder does, finds by it what
confines the deployment. The server makes the link before it serves anything.
"""

import os
from pathlib import Path

from engine.errors import UsageError

MARK = "confined_by"


def mark_node(folder: Path, node_file: Path) -> None:
    """Let the folder of a node name its file, as a path that stays right if both are moved together.

    Raises
    ------
    UsageError
        The link cannot be made.
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
    """Return the file of the node whose folder this is; None if it is the folder of none."""
    try:
        return Path(os.path.normpath(folder.absolute() / (folder / MARK).readlink()))
    except OSError:  # there is no link
        return None
