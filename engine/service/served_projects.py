"""The projects of a server: reads their specs, watches them for changes, and reports problems between them."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from engine.errors import EngineError, UsageError
from engine.formatting.hints import suggest_name
from engine.service.control import RefusedRequestError, ServedProject
from engine.service.deployments.places import NODE_FILE
from engine.service.scheduler import ProjectScheduler
from engine.service.serve_listener import ServeListener
from engine.service.served_spec import ServedSpec, list_specs
from engine.spec import ProjectSpec
from engine.store import Store

CLOSE_SECONDS = 1.0
"""Seconds for delivering due messages when a deployment was deleted."""


class ServedProjects:
    """The projects that the spec files of a server declare.

    Parameters
    ----------
    paths
        Spec files, and folders of spec files.
    looked_at
        Whether the server watches the files for changes.
    make_scheduler
        Returns the scheduler for a spec.

    Attributes
    ----------
    all
        The schedulers of all specs.
    served
        The schedulers whose projects have unique names.
    mismatch_finders
        Each returns a sentence if a spec does not fit a companion of the server; else an empty text.
    """

    def __init__(
        self,
        paths: Iterable[Path],
        listener: ServeListener,
        *,
        looked_at: bool,
        make_scheduler: Callable[[ServedSpec], ProjectScheduler],
    ) -> None:
        self._paths, self._listener = list(paths), listener
        self._looked_at, self._make_scheduler = looked_at, make_scheduler
        self.all: list[ProjectScheduler] = []
        self.served: list[ProjectScheduler] = []
        self.mismatch_finders: Sequence[Callable[[ProjectSpec], str]] = ()
        self._not_served: list[ServedProject] = []
        self._reported_mismatches: set[str] = set()

    # --- reading the specs

    def read(self) -> None:
        """Read all specs, including new ones in a folder; raise UsageError if there are none."""
        self._close_removed()
        known = {project.spec.path for project in self.all}
        for project in self.all:
            if project.spec.read():
                project.take_spec()
        for path in list_specs(path for path in self._paths if path not in known):
            if path not in known:
                spec = ServedSpec(path, self._listener, looked_at=self._looked_at)
                spec.read()
                self.all.append(self._make_scheduler(spec))
        self.served = self._list_distinct()

    def _close_removed(self) -> None:
        """Stop serving deployments that were deleted, and close their states."""
        for project in [one for one in self.all if one.spec.is_removed]:
            project.close(CLOSE_SECONDS)
            self.all.remove(project)
            self._listener.report(
                "gone", f"{project.name} was deleted, and is not served any more", project=project.name
            )

    def _list_distinct(self) -> list[ProjectScheduler]:
        """Return the projects with unique names; of projects with the same name, only the first is served."""
        found: dict[str, ProjectScheduler] = {}
        known = {text for one in self._not_served for text in one.spec_problems}
        others: list[ServedProject] = []
        for project in self.all:
            first = found.setdefault(project.name, project)
            if first is not project:
                text = (
                    f"{project.spec.path} is not served: the project of {first.spec.path} has the same name, "
                    f"{project.name}. What to do: give one of them another `project:`, or serve one of them"
                )
                others.append(
                    ServedProject(project.key, project.spec.path, None, None, leader=False, spec_problems=(text,))
                )
                if text not in known:
                    self._listener.report("problem", text)
        self._not_served = others
        return list(found.values())

    def read_again(self) -> None:
        """Read all specs again and report the result; if a folder is missing, the present specs stay in use."""
        before = self._list_readings()
        try:
            self.read()
        except EngineError as problem:
            self._listener.report("problem", str(problem))
            return
        self.report_mismatches()
        if self._list_readings() == before:
            invalid = [str(project.spec.path) for project in self.all if project.spec.problems]
            still = f"; still invalid: {', '.join(invalid)}" if invalid else ""
            self._listener.report("unchanged", f"the specs were read again: nothing has changed{still}")

    def _list_readings(self) -> list[tuple[str, str, tuple[str, ...]]]:
        """Return path, digest and problems of each spec at its last reading."""
        specs = [one.spec for one in self.all]
        return [(str(one.path), one.project.digest if one.project else "", one.problems) for one in specs]

    def have_changed(self) -> bool:
        """Return whether a spec has changed, or a folder has a new one.

        If the server does not watch its files, only deployments are considered, because their updates always take
        effect.
        """
        known = {project.spec.path for project in self.all}
        folders = self._paths if self._looked_at else [path for path in self._paths if (path / NODE_FILE).exists()]
        with suppress(EngineError):  # a missing folder
            if not known.issuperset(list_specs(folders)):
                return True
        if any(one.spec.is_removed for one in self.all):
            return True
        return any(one.spec.has_changed() for one in self.all if self._looked_at or one.spec.is_deployment)

    # --- what does not fit the server

    def check_heartbeat_channel(self, name: str) -> None:
        """Check that at least one valid spec has the channel of the heartbeat; raise UsageError if not."""
        projects = [one.spec.project for one in self.all if one.spec.project]
        if projects and not any(name in one.channels for one in projects):
            hint = suggest_name(name, [known for one in projects for known in one.channels])
            raise UsageError(f"--heartbeat-channel: no spec has a channel {name!r}{hint}")

    def report_mismatches(self) -> None:
        """Report once each mismatch between a spec and a companion of the server."""
        specs = [one.spec.project for one in self.served if one.spec.project]
        found = [(spec.name, find(spec)) for spec in specs for find in self.mismatch_finders]
        for text in [f"{name}: {mismatch}" for name, mismatch in found if mismatch]:
            if text not in self._reported_mismatches:
                self._reported_mismatches.add(text)
                self._listener.report("warning", text)

    # --- finding one

    def describe(self) -> Sequence[ServedProject]:
        """Return the projects, in the order in which they were given."""
        return [project.describe() for project in self.served] + self._not_served

    def find(self, name: str) -> ProjectScheduler:
        """Return the project with this name; raise RefusedRequestError if there is none."""
        found = next((project for project in self.served if project.name == name), None)
        if found is None:
            raise RefusedRequestError(f"this server has no project {name!r}")
        return found

    def find_led(self, name: str) -> ProjectScheduler:
        """Return the project with this name; raise RefusedRequestError also if this server does not run it."""
        found = self.find(name)
        if not found.is_leader:
            other = (
                "another one does; ask that one" if found.is_standby else "see /readyz for the reason, and try again"
            )
            raise RefusedRequestError(f"this server does not run {name} now: {other}")
        return found

    def find_store(self, name: str) -> Store:
        """Return the state of a project that this server runs; raise RefusedRequestError if it does not."""
        store = self.find_led(name).store
        if store is None:
            raise RefusedRequestError(f"this server does not run {name}")
        return store
