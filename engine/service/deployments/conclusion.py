"""Concludes what killed updates have left, before a server serves the deployments of an infrastructure.

    python -m engine.service.deployments.conclusion FOLDER [NODE_FILE]

is the program that does it, because it loads much that a server does not need.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from engine.service.served_spec import NODE_FILE
from engine.store.node import Node


def conclude_before_serving(
    paths: Sequence[Path], environ: Mapping[str, str], tell: Callable[[str], None], node_file: Path | None = None
) -> None:
    """Conclude the operations without an end in the infrastructures that paths to serve belong to.

    Operations at which a process works are left alone.
    """
    for folder in dict.fromkeys(filter(None, map(_find_node, paths))):
        with Node.open(folder) as node:
            left = [one for one in node.operations.list_open() if not node.is_locked(one.deployment)]
        if left:
            conclude_in_process(folder, environ, tell, node_file)


def conclude_in_process(
    folder: Path, environ: Mapping[str, str], tell: Callable[[str], None], node_file: Path | None = None
) -> bool:
    """Conclude what has no end in an infrastructure, by a process; return whether that has ended well.

    `tell` is called with what it says, a line at a time.
    """
    done = subprocess.run(  # noqa: S603 - the program is Python, the arguments are ours
        [
            *(sys.executable, "-m", "engine.service.deployments.conclusion", str(folder)),
            *([str(node_file)] if node_file else []),
        ],
        env=dict(environ),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    for line in (done.stdout + done.stderr).splitlines():
        tell(line)
    return done.returncode == 0


def _find_node(path: Path) -> Path | None:
    """Return the folder of the infrastructure that a path is, or to which a deployment belongs; None if it is none."""
    folders = [path, *path.absolute().parents[2:3]]
    return next((folder for folder in folders if (folder / NODE_FILE).exists()), None)


def main() -> None:
    """Conclude what has no end in the infrastructure whose folder is given."""
    from engine.service.deployments.directory_target import conclude_directory

    folder, *node_file = map(Path, sys.argv[1:])
    conclude_directory(folder, os.environ, print, *node_file)


if __name__ == "__main__":
    main()
