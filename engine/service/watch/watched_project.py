"""A watched project: its last valid spec, the files that it reads, and the changes since its last run.

An invalid spec is reported once. Changes meanwhile are run when the spec is valid again.
"""

import math
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from engine.errors import Diagnostic, EngineError, SpecError
from engine.formatting.lists import join_some
from engine.pipeline.log import LogLine
from engine.scenarios.process import Conversation
from engine.scenarios.requests import RunRequest
from engine.scenarios.result import RunResult
from engine.scenarios.run_reasons import ChangedPart
from engine.scenarios.scenario_selection import select_scenarios
from engine.service.sources.file_set import ChangedFile, FileSet
from engine.service.sources.self_made_runs import SelfMadeRuns
from engine.service.sources.watched_sources import (
    WatchedSource,
    describe_unwatched,
    find_outputs,
    find_watched_sources,
    make_absolute,
)
from engine.spec import ProjectSpec, list_spec_files, load

REPORTED_SECONDS = 3.0
"""A wait for files that takes longer is reported."""


class WatchListener(Protocol):
    """Reports the events of `engine watch` to the user."""

    def report(self, text: str) -> None:
        """Show a message about the watching itself."""

    def show_findings(self, findings: Sequence[Diagnostic]) -> None:
        """Show the problems of a spec."""

    def show_run(self, spec: Path, run: RunResult, changed: Sequence[str]) -> None:
        """Show an ended run, and the files whose changes have caused it."""

    def show_line(self, line: LogLine) -> None:
        """Show an entry of a run's log."""

    def mask_secrets(self, project: ProjectSpec) -> None:
        """Mask the secrets of a project from now on."""


class WatchedProject:
    """A project, and the changes since its last run.

    Parameters
    ----------
    scenarios
        The scenarios to run; if empty, those that `engine run` runs by default.

    Attributes
    ----------
    sources
        The paths whose files are watched.
    """

    def __init__(
        self, path: Path, variables: Mapping[str, str], scenarios: Sequence[str], listener: WatchListener
    ) -> None:
        self.path = path
        self.sources: list[WatchedSource] = []
        self.files = FileSet(time.monotonic)
        self._variables, self._scenarios, self._listener = dict(variables), tuple(scenarios), listener
        self._project: ProjectSpec | None = None
        self._valid = False
        self._answered: ProjectSpec | None = None
        self._changed: list[ChangedFile] = []
        self._asked_at_start = False
        self._outputs: set[Path] = set()
        self._self_made = SelfMadeRuns(time.monotonic)
        self._said: set[str] = set()
        self._last_wait = ""
        self._last_problems: tuple[str, ...] = ()

    def start(self) -> None:
        """Read the spec, and record the present files.

        Raises
        ------
        SpecError
            The spec does not exist.
        UsageError
            There is no scenario to run, or no scenario with a given name.
        """
        if not os.path.exists(self.path):  # noqa: PTH110 - Path.exists raises in a closed folder
            load(self.path)
        self._read_spec()
        self.files.look(self.sources, self._is_output)
        if self._project is not None:
            select_scenarios(self._project, self._scenarios)

    def check(self) -> None:
        """Look at the files; read the spec again if it has changed."""
        self.files.look(self.sources, self._is_output)
        if self.files.wait_seconds("spec") <= 0 and (taken := self.files.take("spec")):
            self._changed += taken
            self._read_spec()
            self.files.look(self.sources, self._is_output)
        if self.files.wait_seconds() <= 0:
            self._changed += self.files.take()
        self._report_wait()

    def wait_seconds(self) -> float:
        """Return the seconds until the next look at the files, when changes may have settled."""
        pause = self._self_made.pause_seconds() if self._changed else 0.0
        return min(self.files.seconds_to_next_look(), pause if pause > 0 else math.inf)

    @property
    def is_due(self) -> bool:
        """Whether a request is due: there are changes, all have settled, and the spec is valid."""
        waiting = bool(self.files.changed) or self._self_made.pause_seconds() > 0
        return self._valid and not waiting and bool(self._changed or not self._asked_at_start)

    def make_request(self) -> RunRequest:
        """Return the request to run what the changes since the last request affect.

        Raises
        ------
        EngineError
            The runs of this project change the files that start them.
        """
        self._self_made.begin(self._changed)
        parts: list[ChangedPart] = [one.source.part for one in self._changed if one.source.part != "spec"]
        if (
            self._project is not None
            and self._answered is not None
            and not _say_the_same(self._project, self._answered)
        ):
            parts.append("spec")
        return RunRequest(
            spec=self.path,
            variables=self._variables,
            scenarios=self._scenarios,
            trigger="watch",
            changed=tuple(dict.fromkeys(parts)),
            settled={
                str(make_absolute(one.path)): one.state
                for one in self._changed
                if one.source.part == "data" and one.state is not None
            },
        )

    def show_run(self, run: RunResult) -> None:
        """Show a run of the request."""
        self._listener.show_run(self.path, run, self._name_changed())

    def _name_changed(self) -> list[str]:
        """Return the names of the changed files, without those that the last run changed itself unless all are so."""
        others = [one for one in self._changed if not self._self_made.is_made(one)]
        return list(dict.fromkeys(_name_file(one.path) for one in others or self._changed))

    def end_request(self, conversation: Conversation) -> None:
        """Process and report the end of a request; its runs have been shown already."""
        changed = self._name_changed()
        asked_at_start, self._asked_at_start = self._asked_at_start, True
        self._answered, self._changed = self._project, []
        if conversation.call is None:
            self._listener.report(f"{self.path} could not be run: {conversation.describe_failure()}")
        else:
            self._outputs.update(map(make_absolute, conversation.call.written))
            for text in conversation.call.undelivered:
                self._listener.report(text)
            if conversation.call.served:
                self._report_server()
            self._report_problems(conversation.call.problems)
            if not (conversation.runs or conversation.call.problems) and asked_at_start:
                self._listener.report(f"{', '.join(changed[:3])} changed: nothing to compute, all is reused")
        self.files.look(self.sources, self._is_output)
        # a change after the result may be the user's reaction to it, and was not made by the run
        made = [one for one in self.files.changed.values() if not _changed_after(one, conversation.answered_ns)]
        self._self_made.end(made, ran=bool(conversation.runs))

    def _read_spec(self) -> None:
        try:
            project = load(self.path, self._variables)
            self._listener.mask_secrets(project)
            if self._asked_at_start:
                select_scenarios(project, self._scenarios)
        except SpecError as wrong:
            self._listener.show_findings(wrong.diagnostics)
            self._keep_last_good()
        except EngineError as wrong:
            self._listener.report(f"error: {wrong}")
            self._keep_last_good()
        else:
            if self._project is not None and not self._valid:
                self._listener.report(f"{self.path} is valid again")
            self._project, self._valid = project, True
            if self._answered is not None and _say_the_same(project, self._answered):
                self._listener.report(f"{self.path} has not changed since its last run")
                self._changed = [one for one in self._changed if one.source.part != "spec"]
            self.sources = find_watched_sources(project)
            self._outputs |= find_outputs(project)
            if project.warnings:
                self._listener.show_findings(project.warnings)
            for text in describe_unwatched(project):
                self._say_once(text)

    def _keep_last_good(self) -> None:
        """Keep watching the sources of the last valid spec, and the files of the invalid one."""
        self._valid = False
        others = [source for source in self.sources if source.part != "spec"]
        self.sources = [WatchedSource("spec", path) for path in list_spec_files(self.path)] + others
        self._listener.report(f"{self.path} is invalid: it is run when it is valid again")

    def _is_output(self, path: Path) -> bool:
        absolute = make_absolute(path)
        return absolute in self._outputs or not self._outputs.isdisjoint(absolute.parents)

    def _report_wait(self) -> None:
        text = self.files.describe_wait(REPORTED_SECONDS)
        if text and text != self._last_wait:
            self._listener.report(text)
        self._last_wait = text

    def _report_server(self) -> None:
        """Warn that a server starts the same scenarios, so that one change may be run and reported twice."""
        if self._project is None:
            return
        selected = {name: self._project.scenarios[name] for name in select_scenarios(self._project, self._scenarios)}
        if both := [name for name, one in selected.items() if any(trigger.active for trigger in one.triggers)]:
            self._say_once(
                f"engine serve starts {join_some(both)} too: each of the two makes runs of its own, so that what has "
                "changed may be run and reported twice"
            )

    def _report_problems(self, problems: tuple[str, ...]) -> None:
        if problems != self._last_problems:
            for problem in problems:
                self._listener.report(f"{self.path} cannot be run now: {problem}")
        self._last_problems = problems

    def _say_once(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            self._listener.report(text)


def _changed_after(one: ChangedFile, moment_ns: int) -> bool:
    """Return whether the file system has recorded a change after a moment, in nanoseconds since 1970."""
    return one.state is not None and one.state.ctime_ns > moment_ns


def _say_the_same(one: ProjectSpec, other: ProjectSpec) -> bool:
    return one.resources == other.resources and one.variables == other.variables


def _name_file(path: Path) -> str:
    here = Path.cwd()
    return str(path.absolute().relative_to(here) if path.absolute().is_relative_to(here) else path)
