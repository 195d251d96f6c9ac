"""Concludes what killed updates of the deployments of an infrastructure have left: before a server runs, and meanwhile.

    python -m engine.service.deployments.conclusion FOLDER [NODE_FILE]

is the program that does it, because it loads much that a server does not need.
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
"""How often a server looks for operations that have been left."""

STOP_SECONDS = 3.0
"""An ending server waits so long for the thread that looks."""


def conclude_before_serving(
    paths: Sequence[Path], environ: Mapping[str, str], tell: Callable[[str], None], node_file: Path | None = None
) -> None:
    """Conclude the operations without an end in the infrastructures that paths to serve belong to.

    Operations at which a process works are left alone.
    """
    for folder in dict.fromkeys(filter(None, map(_find_node, paths))):
        with Node.open(folder) as node:
            if node.database.migration:
                tell(node.database.migration)
        if _has_abandoned(folder):
            conclude_in_process(folder, environ, tell, node_file)


def conclude_in_process(
    folder: Path,
    environ: Mapping[str, str],
    tell: Callable[[str], None],
    node_file: Path | None = None,
    note: Callable[["subprocess.Popen[str]"], None] = lambda _: None,
) -> bool:
    """Conclude what has no end in an infrastructure, by a process; return whether that has ended well.

    `tell` is called with what it says, a line at a time; `note` gets the process, which may be ended.
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
            tell(line.rstrip())
    return process.returncode == 0


class ServedInfrastructures:
    """The infrastructures that a server serves: a thread concludes what updates have left that were killed meanwhile.

    Parameters
    ----------
    paths
        What the server serves.
    tell
        Called with each thing that is told, also from the thread.
    node_file
        The file of the node that the server is, by which what is concluded is confined.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        environ: Mapping[str, str],
        tell: Callable[[str], None],
        node_file: Path | None = None,
    ) -> None:
        self._folders = list(dict.fromkeys(filter(None, map(_find_node, paths))))
        self._whole = [folder for folder in self._folders if folder in paths]
        self._environ, self._tell, self._node_file = environ, tell, node_file
        self._stopped, self._locks = threading.Event(), ExitStack()
        self._process: subprocess.Popen[str] | None = None
        self._thread = threading.Thread(target=self._run, name="conclusion", daemon=True)
        self._told: list[str] = []

    def start(self) -> None:
        """Let others know that they are served, and begin to look at them."""
        for folder in self._whole:
            self._locks.enter_context(serve_infrastructure(folder))
        if self._folders:
            self._thread.start()

    def stop(self) -> None:
        """End it; what is being concluded just now is left to the next one."""
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
            said: list[str] = []
            try:
                for folder in self._folders:
                    if _has_abandoned(folder):
                        conclude_in_process(folder, self._environ, said.append, self._node_file, self._note_process)
            except EngineError as problem:
                said.append(str(problem))
            if said != self._told and not self._stopped.is_set():  # what does not succeed is tried again, and told once
                for line in said:
                    self._tell(line)
            self._told = said

    def _note_process(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        if self._stopped.is_set():
            process.terminate()


def _has_abandoned(folder: Path) -> bool:
    """Return whether an infrastructure has an operation without an end at which no process works."""
    if not (folder / NODE_FILE).exists():
        return False
    with Node.open(folder) as node:
        return any(not node.is_locked(one.deployment) for one in node.operations.list_open())


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
