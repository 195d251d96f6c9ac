"""Concludes abandoned operations on the deployments of an infrastructure, whose processes were killed.

This happens before a server starts and while it runs, in a process of its own, because it loads much that a server does
not need:

    python -m engine.service.deployments.conclusion FOLDER [NODE_FILE]
"""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from engine.errors import EngineError
from engine.service.deployments.places import NODE_FILE
from engine.service.deployments.served_revision import serve_infrastructure
from engine.spec import ProjectSpec
from engine.store.node import Node

LOOK_SECONDS = 10.0
"""Seconds between checks of a server for abandoned operations."""

STOP_SECONDS = 3.0
"""Seconds for which an ending server waits for the checking thread."""


def conclude_before_serving(
    paths: Sequence[Path], environ: Mapping[str, str], report: Callable[[str], None], node_file: Path | None
) -> None:
    """Conclude the abandoned operations in the infrastructures of the paths to serve."""
    for folder in dict.fromkeys(filter(None, map(_find_node, paths))):
        with Node.open(folder) as node:
            if node.database.migration:
                report(node.database.migration)
        if _has_abandoned(folder):
            conclude_in_process(folder, environ, report, node_file)


def conclude_in_process(
    folder: Path,
    environ: Mapping[str, str],
    report: Callable[[str], None],
    node_file: Path | None,
    note: Callable[["subprocess.Popen[str]"], None] = lambda _: None,
) -> bool:
    """Conclude the abandoned operations of an infrastructure in a new process; return whether it succeeded.

    `report` is called with each line of its output; `note` is called with the process, so that it can be ended.
    """
    with subprocess.Popen(  # noqa: S603 - the program is Python, the arguments are ours
        [
            *(sys.executable, "-m", "engine.service.deployments.conclusion", str(folder)),
            *([str(node_file)] if node_file else []),
        ],
        env=dict(environ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        note(process)
        for line in process.stdout or ():
            report(line.rstrip())
    return process.returncode == 0


class ServedInfrastructures:
    """The infrastructures that a server serves; a thread concludes operations that are abandoned meanwhile.

    Parameters
    ----------
    paths
        The paths that the server serves.
    report
        Called with each message, also from the thread.
    node_file
        The file of the node that the server runs, which confines the concluded operations.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        environ: Mapping[str, str],
        report: Callable[[str], None],
        node_file: Path | None,
    ) -> None:
        self._folders = list(dict.fromkeys(filter(None, map(_find_node, paths))))
        self._whole = [folder for folder in self._folders if folder in paths]
        self._environ, self._report, self._node_file = environ, report, node_file
        self._stopped, self._locks = threading.Event(), ExitStack()
        self._process: subprocess.Popen[str] | None = None
        self._thread = threading.Thread(target=self._run, name="conclusion", daemon=True)
        self._reported: list[str] = []

    def start(self) -> None:
        """Mark the infrastructures as served, and start to check them."""
        for folder in self._whole:
            self._locks.enter_context(serve_infrastructure(folder))
        if self._folders:
            self._thread.start()

    def stop(self) -> None:
        """End the thread; an unfinished conclusion is left to the next server."""
        self._stopped.set()
        if self._process is not None:
            self._process.terminate()
        if self._thread.ident is not None:
            self._thread.join(STOP_SECONDS)
        self._locks.close()

    def find_mismatch(self, _project: ProjectSpec) -> str:
        """Return nothing: all specs fit."""
        return ""

    def _run(self) -> None:
        while not self._stopped.wait(LOOK_SECONDS):
            messages: list[str] = []
            try:
                for folder in self._folders:
                    if _has_abandoned(folder):
                        conclude_in_process(folder, self._environ, messages.append, self._node_file, self._note_process)
            except EngineError as problem:
                messages.append(str(problem))
            if messages != self._reported and not self._stopped.is_set():  # failures are retried, and reported once
                for line in messages:
                    self._report(line)
            self._reported = messages

    def _note_process(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        if self._stopped.is_set():
            process.terminate()


def _has_abandoned(folder: Path) -> bool:
    """Return whether an infrastructure has an unfinished operation without a process."""
    if not (folder / NODE_FILE).exists():
        return False
    with Node.open(folder) as node:
        return any(not node.is_locked(one.deployment) for one in node.operations.list_open())


def _find_node(path: Path) -> Path | None:
    """Return the infrastructure of a path, which may be its folder or a deployment in it; None if there is none."""
    folders = [path, *path.absolute().parents[2:3]]
    return next((folder for folder in folders if (folder / NODE_FILE).exists()), None)


def main() -> None:
    """Conclude the abandoned operations of the infrastructure in the given folder."""
    from engine.service.deployments.directory_target import conclude_directory

    folder, *node_file = map(Path, sys.argv[1:])
    conclude_directory(folder, os.environ, print, *node_file)


if __name__ == "__main__":
    main()
