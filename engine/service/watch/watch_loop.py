"""The loop of `engine watch`: waits for a change, looks at the files, and runs what the changes affect in a process.

Runs never overlap, and changes do not interrupt a run; changes during a run lead to one more run. Each request is
executed by a process that was started in advance; its successor is started when it has ended, and loads the same
modules. So the time from a change to its result does not include the start of Python, memory does not grow with the
number of runs, and a user's modules are imported again for each request.
"""

import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from engine.formatting.numbers import format_count
from engine.scenarios.process import RunProcess
from engine.scenarios.requests import LoadRequest
from engine.service.sources.watched_sources import WatchedSource
from engine.service.watch.watched_folders import WatchedFolders, list_link_folders
from engine.service.watch.watched_project import WatchedProject, WatchListener

TICK_SECONDS = 1.0
"""Seconds between checks that the observed folders are still the same."""

GATHER_SECONDS = 0.02
"""Least time to wait after an event for further events; it is also at least twice the duration of a look."""


def watch_specs(
    specs: Sequence[Path],
    variables: Mapping[str, str],
    scenarios: Sequence[str],
    *,
    environ: Mapping[str, str],
    listener: WatchListener,
) -> NoReturn:
    """Run everything that is not up to date, then forever what changes affect.

    Raises
    ------
    UsageError
        There is no scenario to run.
    EngineError
        Runs change the files that start them.
    KeyboardInterrupt
        The user has interrupted the watching; a running run is ABORTED.
    """
    projects = [WatchedProject(path, variables, scenarios, listener) for path in specs]
    runner = _Runner(environ, listener)
    try:
        with WatchedFolders(listener.report) as folders:
            for project in projects:
                project.start()
            folders.observe(list_folders(_list_sources(projects)))
            _run_due(projects, runner)
            _report_watched(projects, listener)
            look_took = 0.0
            while True:
                _wait_for_change(projects, folders, gather=max(GATHER_SECONDS, 2 * look_took))
                began = time.monotonic()
                folders.observe(list_folders(_list_sources(projects)))
                for project in projects:
                    project.check()
                look_took = time.monotonic() - began
                _run_due(projects, runner)
    finally:
        runner.end()


class _Runner:
    """Holds the process that executes the next request."""

    def __init__(self, environ: Mapping[str, str], listener: WatchListener) -> None:
        self._environ, self._listener = environ, listener
        self._load: LoadRequest | None = None
        self._process = RunProcess(environ)

    def run(self, project: WatchedProject) -> None:
        """Execute the due request of a project in the process, and start the next process."""
        request = project.make_request()
        if not self._process.is_waiting:  # it may have been killed for lack of memory
            self._renew()
        try:
            conversation = self._process.execute(request, pass_on=self._listener.show_line, take_run=project.show_run)
        except KeyboardInterrupt:
            self._listener.report(f"{project.path}: interrupted; a run that was running is ABORTED")
            raise
        if conversation.call is not None:
            self._load = LoadRequest(modules=conversation.call.modules, kernels=conversation.call.kernels)
        project.end_request(conversation)
        self._renew()

    def _renew(self) -> None:
        self._process.end()
        self._process = RunProcess(self._environ, self._load)

    def end(self) -> None:
        self._process.end()


def _run_due(projects: Sequence[WatchedProject], runner: _Runner) -> None:
    for project in projects:
        if project.is_due:
            runner.run(project)


def _wait_for_change(projects: Sequence[WatchedProject], folders: WatchedFolders, gather: float) -> None:
    """Wait until the files must be looked at: after an event, when changes may have settled, or after a while.

    After an event, wait another `gather` seconds for further events.
    """
    until = time.monotonic() + folders.seconds_between_looks
    settled = time.monotonic() + max(GATHER_SECONDS, min(project.wait_seconds() for project in projects))
    while (left := min(until, settled) - time.monotonic()) > 0:
        if folders.wait(min(left, TICK_SECONDS)):
            time.sleep(gather)
            return


def list_folders(sources: Iterable[WatchedSource]) -> dict[Path, bool]:
    """Return the folders to observe, and for each whether its subfolders are included."""
    found: dict[Path, bool] = {}
    for source in sources:
        for folder, is_deep in source.list_folders().items():
            found[folder.absolute()] = is_deep or found.get(folder.absolute(), False)
        if not source.several:
            for folder in list_link_folders(source.path.absolute()):
                found.setdefault(folder, False)
    return found


def _list_sources(projects: Sequence[WatchedProject]) -> list[WatchedSource]:
    return [source for project in projects for source in project.sources]


def _report_watched(projects: Sequence[WatchedProject], listener: WatchListener) -> None:
    files = {path for project in projects for path in project.files.paths}
    folders = {path.parent for path in files}
    listener.report(
        f"watching {format_count(len(files), 'file')} in {format_count(len(folders), 'folder')}; Ctrl-C ends"
    )
