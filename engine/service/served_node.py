"""The automation node of a server: the last valid node file, and the open database."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from engine.errors import Severity, SpecError, UsageError
from engine.service.deployments.node_mark import mark_node
from engine.service.leader_lock import LeaderLock, refuse_network_folder
from engine.service.serve_listener import ServeListener
from engine.spec.reading.node_file import NodeSpec, load_node
from engine.store.node import Node

FROM_THE_START = ("folder", "listen", "behind_proxy")
"""Keys of the file whose changes take effect at the next start of the server."""


class ServedNode:
    """A node that a server runs.

    Attributes
    ----------
    spec
        The last valid node file. It is replaced atomically, so threads may read it.
    node
        The database of the node.
    problems
        The errors of the file at its last reading, as text; empty if it was valid.
    followers
        Each is called with a new valid file, by the thread that has read it. It returns a text if it cannot use the
        file, which is reported.
    """

    def __init__(self, path: Path, environ: Mapping[str, str], listener: ServeListener) -> None:
        """Read the file and open the database, which is created if it is missing.

        Raises
        ------
        SpecError
            The file is not valid.
        EngineError
            The folder cannot be used, or another server uses it as its node.
        """
        self._environ, self._listener = environ, listener
        self.spec = self._started = load_node(path)
        self.problems: tuple[str, ...] = ()
        self.followers: list[Callable[[NodeSpec], str]] = []
        folder = self.spec.node_folder
        refuse_network_folder(folder, "the folder of the node", f"set `folder:` in {path} to one")
        self.node = Node.open(folder)
        self._lock = LeaderLock(folder)
        if not self._lock.try_take():
            self.node.close()
            raise UsageError(f"another server runs the node of {folder}: stop it first, or choose another `folder:`")
        mark_node(folder, path)
        self._report_findings()

    def close(self) -> None:
        """Close the database, and let another server use the node."""
        self.node.close()
        self._lock.release()

    def read_again(self) -> None:
        """Read the file again. If it is not valid, this is reported, and the last valid one stays in use."""
        path = self.spec.path
        try:
            self.spec = load_node(path)
        except SpecError as wrong:
            self.problems = tuple(str(SpecError((one,))) for one in wrong.diagnostics if one.severity is Severity.ERROR)
            self._listener.show_findings(wrong.diagnostics)
            how = "correct it; then reload it with SIGHUP or POST /reload"
            text = f"{path} is invalid: its last valid content stays in use; {how}"
            self._listener.report("invalid node", text, node=str(path))
            return
        was_invalid, self.problems = bool(self.problems), ()
        troubles = [trouble for follow in self.followers if (trouble := follow(self.spec))]
        valid = " and is valid again" if was_invalid else ""
        self._listener.report("node", f"{path} was read again{valid}", node=str(path))
        self._report_findings()
        if waiting := self._list_waiting_keys():
            text = f"{path}: {', '.join(waiting)} has changed, which takes effect at the next start of this server"
            self._listener.report("warning", text)
        for trouble in troubles:
            self._listener.report("problem", trouble)

    def _list_waiting_keys(self) -> list[str]:
        """Return the changed keys that take effect only at the next start of the server."""
        now, then = self.spec.resources, self._started.resources
        found = [key for key in FROM_THE_START if getattr(now, key) != getattr(then, key)]
        return found + (["tls"] if (now.tls is None) != (then.tls is None) else [])

    def _report_findings(self) -> None:
        """Report warnings about the file, and missing sources of secrets, which would otherwise fail only in a run."""
        if self.spec.warnings:
            self._listener.show_findings(self.spec.warnings)
        for absent in find_absent_sources(self.spec, self._environ):
            self._listener.report("warning", f"{self.spec.path}: {absent}")


def find_absent_sources(spec: NodeSpec, environ: Mapping[str, str]) -> list[str]:
    """Return sentences about the secrets and environment variables of a node file that have no value now."""
    found: list[str] = []
    given = {"": spec.resources, **{f" of {name}": one for name, one in spec.resources.deployments.items()}}
    for whose, resources in given.items():
        for name, source in resources.secrets.items():
            if source.env is not None and not environ.get(source.env):
                found.append(f'the secret "{name}"{whose} has no value: the variable {source.env} is not set')
            elif source.file is not None and not _has_content(Path(source.file)):
                found.append(
                    f'the secret "{name}"{whose} has no value: the file {source.file} cannot be read or is empty'
                )
        for name, read in resources.environment.items():
            if read not in environ:
                found.append(f"${{env.{name}}}{whose} has no value: the variable {read} is not set")
    return found


def _has_content(path: Path) -> bool:
    try:
        return path.stat().st_size > 0 and os.access(path, os.R_OK)
    except OSError:
        return False
