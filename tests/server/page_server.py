"""A server of a project that has run, for tests of pages."""

from pathlib import Path

from engine.service.control import ServedProject
from engine.spec import load
from engine.store import Store

from .small_server import SmallServer


class PageServer(SmallServer):
    """A server of one project in its own state, without a loop."""

    def __init__(self, path: Path) -> None:
        self.path = path
        spec = load(path)
        (folder,) = (path.parent / ".engine").iterdir()
        self.store = Store.open(folder, patience=0.2)
        self.project = ServedProject(spec.name, path, spec, self.store, leader=True)
        self.token, self.ticked, self.draining = "", 0.0, False
        self.loop_answers = self.has_projects = True
        self.started_runs: set[str] = set()
        self.aborted: list[tuple[str, str]] = []

    def measure_tick_age(self) -> float:
        return 0.0

    def list_next_times(self, project: str, count: int) -> list[object]:  # type: ignore[override]
        return []
