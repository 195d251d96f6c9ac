"""The automation node that a server is: its file as it was last valid, and its open database."""

from collections.abc import Callable
from pathlib import Path

from engine.errors import Diagnostic, Severity, SpecError
from engine.service.leader_lock import refuse_network_folder
from engine.service.serve_listener import ServeListener
from engine.spec.node_file import NodeSpec, load_node
from engine.store.node import Node

FROM_THE_START = ("folder", "listen", "behind_proxy")
"""Keys of the file that count from the next start of the server."""


class ServedNode:
    """A node whose server runs.

    Attributes
    ----------
    spec
        Its file, as it was last valid. Another one takes its place at once, so threads may read it.
    node
        Its database.
    problems
        The errors of the file as it was last read, as text; empty if it is valid.
    followers
        Each is called with the file when a new one has become valid, by the thread that has read it. What one says, if
        it cannot follow, is told.
    """

    def __init__(self, path: Path, listener: ServeListener) -> None:
        """Read the file and open the database, which is made if it is missing; raises SpecError or StoreError."""
        self._listener = listener
        self.spec = self._started = load_node(path)
        self._show(self.spec.warnings)
        refuse_network_folder(self.spec.node_folder, "the folder of the node", f"set `folder:` in {path} to one")
        self.node = Node.open(self.spec.node_folder)
        self.problems: tuple[str, ...] = ()
        self.followers: list[Callable[[NodeSpec], str]] = []

    def close(self) -> None:
        """Close the database."""
        self.node.close()

    def read_again(self) -> None:
        """Read the file again. If it is not valid, that is told, and what was valid before stays in force."""
        path = self.spec.path
        try:
            self.spec = load_node(path)
        except SpecError as wrong:
            self.problems = tuple(str(SpecError((one,))) for one in wrong.diagnostics if one.severity is Severity.ERROR)
            self._show(wrong.diagnostics)
            how = "correct it; then SIGHUP or POST /reload lets it be read again"
            text = f"{path} is invalid: what it said when it was last valid stays in force; {how}"
            self._listener.tell("invalid node", text, node=str(path))
            return
        was_invalid, self.problems = bool(self.problems), ()
        self._show(self.spec.warnings)
        valid = " and is valid again" if was_invalid else ""
        self._listener.tell("node", f"{path} was read again{valid}", node=str(path))
        if waiting := self._list_waiting_keys():
            text = f"{path}: {', '.join(waiting)} is another now, which counts from the next start of this server"
            self._listener.tell("warning", text)
        for follow in self.followers:
            if problem := follow(self.spec):
                self._listener.tell("problem", problem)

    def _list_waiting_keys(self) -> list[str]:
        """Return the keys that are not what they were when the server started, and need another start."""
        now, then = self.spec.resources, self._started.resources
        found = [key for key in FROM_THE_START if getattr(now, key) != getattr(then, key)]
        return found + (["tls"] if (now.tls is None) != (then.tls is None) else [])

    def _show(self, findings: tuple[Diagnostic, ...]) -> None:
        if findings:
            self._listener.show_findings(findings)
