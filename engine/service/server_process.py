"""The server: its start, its loop and its end.

The main thread ticks, starts processes and handles signals. The end takes less than 30 seconds, in this order: no new
run is started; runs get time to end; those still running are interrupted, then killed; messages are delivered; locks
are released.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import Protocol

from engine.errors import EngineError
from engine.formatting.numbers import format_count
from engine.scenarios.process import SUPERVISOR
from engine.scenarios.release import describe_release
from engine.service.clock_jumps import find_jump, read_clocks
from engine.service.control import LONGEST_TICK_SECONDS, NextTimes, RefusedRequestError, RequestedRun, ServedProject
from engine.service.loop_calls import LoopCalls
from engine.service.project_threads import HeartbeatOptions, ProjectThreads
from engine.service.runs.child_runs import ChildRuns
from engine.service.runs.fire_states import SERVER_ENDED
from engine.service.scheduler import ProjectScheduler
from engine.service.serve_listener import ServeListener
from engine.service.served_projects import ServedProjects
from engine.service.served_spec import ServedSpec
from engine.service.sources.data_probes import DataProbes
from engine.service.sources.probe_threads import ProbeThreads
from engine.service.triggers.due_fires import fill_values
from engine.spec import ProjectSpec
from engine.store import Pause, Store, utc_now

TICK_SECONDS = 1.0
"""Longest time between two ticks of the loop."""

INTERRUPTION_SECONDS = 5.0
"""Seconds in which interrupted runs must end as ABORTED; then they are killed."""

KILL_SECONDS = 3.0
"""Seconds to wait for the end of killed runs."""

DELIVERY_SECONDS = 5.0
"""Seconds for the delivery of due messages at the end."""

RESTARTED_FOR = "ENGINE_RESTARTED_FOR"
"""The environment variable with the reason why a server was started again."""


class Companion(Protocol):
    """A part of the server that runs in its own threads beside the loop, such as the HTTP listener."""

    def start(self) -> None:
        """Start it."""

    def stop(self) -> None:
        """End it."""

    def find_mismatch(self, project: ProjectSpec) -> str:
        """Return a sentence if a spec does not fit the started companion; else an empty text."""


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """The options of a server.

    Attributes
    ----------
    at_once
        Most runs at the same time.
    drain
        Seconds that running runs get to end by themselves when the server ends.
    reload
        Whether the spec files are watched.
    heartbeat
        The heartbeat of each project that has its channel; None without one.
    """

    at_once: int
    drain: float = 15.0
    reload: bool = False
    heartbeat: HeartbeatOptions | None = None


class Server:
    """A server of one or more projects; it implements `ServerControl` for its companions.

    Parameters
    ----------
    paths
        Spec files, and folders of spec files.
    clock, monotonic
        The time in UTC, and a monotonic clock in seconds.
    checkpoint
        Called with the name of each point at which a crash must do no harm.
    program
        The program of the supervisor of a run's process.
    read_settings
        Called before the specs are read again, to read other settings of the server again.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        options: ServeOptions,
        listener: ServeListener,
        *,
        environ: Mapping[str, str],
        clock: Callable[[], datetime] = utc_now,
        monotonic: Callable[[], float] = time.monotonic,
        checkpoint: Callable[[str], None] = lambda _: None,
        program: Sequence[str] = SUPERVISOR,
        read_settings: Callable[[], None] = lambda: None,
    ) -> None:
        self._read_settings = read_settings
        self._options, self._listener = options, listener
        self._clock, self._monotonic, self._checkpoint = clock, monotonic, checkpoint
        self._release = describe_release()
        self._calls = LoopCalls()
        self._environ = environ
        self._probe_threads = ProbeThreads(monotonic)
        self._runs = ChildRuns(options.at_once, environ, self._calls.wake, listener.show_line, program)
        self._projects = ServedProjects(paths, listener, looked_at=options.reload, make_scheduler=self._make_scheduler)
        self._asked_to_end = 0
        self._reload_wanted = False
        self._draining = False
        self._ticked, self._clocks = monotonic(), read_clocks()
        self._first = 0
        self._next_look = 0.0

    # --- from the start to the end

    def serve(self, companions: Sequence[Companion] = ()) -> str:
        """Serve until a signal asks for the end, or the code has been replaced.

        Returns
        -------
        The new release of the replaced code, for which the program must be started again; empty after a signal.

        Parameters
        ----------
        companions
            The companions to start and stop with the server.

        Raises
        ------
        UsageError
            There is nothing to serve.
        """
        with self._take_signals(), ExitStack() as stack:
            stack.callback(self._close)
            self._projects.read()
            if self._options.heartbeat:
                self._projects.check_heartbeat_channel(self._options.heartbeat.channel)
            for companion in companions:
                companion.start()
                stack.callback(companion.stop)
            self._projects.mismatch_finders = [companion.find_mismatch for companion in companions]
            self._report_served()
            self._projects.report_mismatches()
            while not self._asked_to_end and not self._find_other_release():
                self._tick()
                self._calls.wait(self._find_pause())
            other_release = "" if self._asked_to_end else self._find_other_release()
            self._end()
        self._listener.report("ended", "ended")
        return other_release

    def _find_other_release(self) -> str:
        """Return the message of a process of another release, unless this program was started again for it."""
        messages = (project.runs.other_release for project in self._projects.all)
        return next((text for text in messages if text and text != self._environ.get(RESTARTED_FOR)), "")

    @contextmanager
    def _take_signals(self) -> Iterator[None]:
        """Handle the signals for the end and for reading the specs again; other signals only wake the loop."""

        def end(_number: int, _frame: FrameType | None) -> None:
            self._asked_to_end += 1

        def reload(_number: int, _frame: FrameType | None) -> None:
            self._reload_wanted = True

        handlers = {signal.SIGTERM: end, signal.SIGINT: end, signal.SIGHUP: reload}
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        descriptor = signal.set_wakeup_fd(self._calls.wake_descriptor, warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(descriptor)
            for number, handler in before.items():
                signal.signal(number, handler)

    def _make_scheduler(self, spec: ServedSpec) -> ProjectScheduler:
        return ProjectScheduler(
            spec,
            self._runs,
            self._listener,
            clock=self._clock,
            monotonic=self._monotonic,
            release=self._release,
            checkpoint=self._checkpoint,
            make_threads=self._make_threads,
            probes=DataProbes(self._environ, fill_values, self._probe_threads, self._monotonic),
        )

    def _make_threads(self, store: Store, project: ProjectSpec, report: Callable[..., None]) -> ProjectThreads:
        return ProjectThreads(store, project, self._environ, self._options.heartbeat, self._find_problem, report)

    def _find_problem(self) -> str:
        age = self.measure_tick_age()
        return f"the scheduler has not run for {age:.0f} s" if age > LONGEST_TICK_SECONDS else ""

    def _report_served(self) -> None:
        self._listener.report(
            "started",
            f"serves {format_count(len(self._projects.served), 'project')}, at most "
            f"{format_count(self._options.at_once, 'run')} at a time; Ctrl-C ends it",
            process=os.getpid(),
        )

    def _tick(self) -> None:
        self._ticked = self._monotonic()
        self._look_at_clock()
        self._take_news()
        self._calls.answer()
        if self._reload_wanted:
            self._reload_wanted = False
            self._reload()
        elif self._have_specs_changed():
            self._projects.read_again()
        served = self._projects.served
        self._first = (self._first + 1) % max(1, len(served))  # so that each project is first in turn
        for project in served[self._first :] + served[: self._first]:
            project.tick(dispatching=not self._draining)
        self._expect_runs()

    def _expect_runs(self) -> None:
        """Start a waiting process if a run may begin soon."""
        expecting = next((one for one in self._projects.served if one.expects_run), None)
        if not self._draining and expecting is not None:
            self._runs.ready.prepare(self._runs.select_environment(expecting.spec.project))
        else:
            self._runs.ready.end_unused()

    def _look_at_clock(self) -> None:
        before, self._clocks = self._clocks, read_clocks()
        jump = find_jump(before, self._clocks)
        if jump is not None:
            self._listener.report("clock", jump.describe())
            for project in self._projects.all:
                project.take_spec()

    def _have_specs_changed(self) -> bool:
        """Return whether a spec has changed, checked once a second."""
        if self._ticked < self._next_look:
            return False
        self._next_look = self._ticked + TICK_SECONDS
        return self._projects.have_changed()

    def _take_news(self) -> None:
        owners = {project.key: project for project in self._projects.all}
        for news in self._runs.take_news():
            project = owners.get(news.child.owner)
            if project is None:  # it was deleted meanwhile
                continue
            with self._report_problems(project):
                (project.runs.note_begin if news.kind == "begun" else project.runs.note_end)(news.child)

    @contextmanager
    def _report_problems(self, project: ProjectScheduler) -> Iterator[None]:
        """Report an error of the block as a problem of the project; later ticks try again."""
        try:
            yield
        except EngineError as problem:
            project.note_problem(str(problem))

    def _find_pause(self) -> float:
        times = [time for project in self._projects.all if (time := project.wakes_at) is not None]
        until = (min(times) - self._clock()).total_seconds() if times else TICK_SECONDS
        return min(max(until, 0.01), TICK_SECONDS)

    # --- the end

    def _end(self) -> None:
        """End the runs: let them end by themselves, then interrupt them, then kill them."""
        self._draining = True
        self._runs.ready.end()
        asked = self._asked_to_end
        grace = f": runs may take {self._options.drain:g} s; a second signal kills them" if self._runs.active else ""
        self._listener.report("draining", f"ending{grace}")
        self._tick_until(lambda: self._asked_to_end > asked, self._options.drain)
        if self._asked_to_end == asked and self._runs.active:
            self._abort_runs()
            self._tick_until(lambda: self._asked_to_end > asked, INTERRUPTION_SECONDS)
        for child in self._runs.active:
            child.kill(SERVER_ENDED)
        self._tick_until(lambda: False, KILL_SECONDS)

    def _abort_runs(self) -> None:
        for project in self._projects.all:
            for child in [one for one in self._runs.active if one.owner == project.key]:
                with self._report_problems(project):
                    project.runs.abort(child, SERVER_ENDED)

    def _tick_until(self, is_over: Callable[[], bool], seconds: float) -> None:
        """Tick until no run is running, `is_over` returns True, or `seconds` have passed."""
        until = self._monotonic() + seconds
        while self._runs.active and not is_over() and self._monotonic() < until:
            self._tick()
            self._calls.wait(min(0.2, max(0.0, until - self._monotonic())))
        self._take_news()

    def _close(self) -> None:
        self._runs.ready.end()
        until = self._monotonic() + DELIVERY_SECONDS
        for project in self._projects.all:
            project.close(max(0.1, until - self._monotonic()))

    # --- requests from other threads

    def wake(self) -> None:
        """Wake the loop."""
        self._calls.wake()

    def measure_tick_age(self) -> float:
        """Return how many seconds ago the loop began its last tick."""
        return self._monotonic() - self._ticked

    def limit_runs(self, at_once: int) -> None:
        """Set the limit of simultaneous runs; runs that are running go on."""
        self._runs.at_once = at_once

    def is_draining(self) -> bool:
        """Return whether the server is shutting down and starts no more runs."""
        return self._draining or self._asked_to_end > 0

    def list_projects(self) -> Sequence[ServedProject]:
        """Return the projects, in the order in which they were given."""
        return self._projects.describe()

    def list_next_times(self, project: str, count: int) -> Sequence[NextTimes]:
        """Return the `count` next times of each active trigger of a project that is not paused."""
        return self._calls.call(lambda: self._projects.find(project).list_next_times(count))

    def reload(self) -> Sequence[ServedProject]:
        """Read all specs again; return the new status of the projects."""
        return self._calls.call(self._reload)

    def _reload(self) -> Sequence[ServedProject]:
        self._read_settings()
        self._projects.read_again()
        return self.list_projects()

    def request_run(self, project: str, scenario: str, values: Mapping[str, str], request: str) -> RequestedRun:
        """Record the fire of a requested run."""
        return self._calls.call(lambda: self._request_run(project, scenario, values, request))

    def _request_run(self, project: str, scenario: str, values: Mapping[str, str], request: str) -> RequestedRun:
        if self.is_draining():
            raise RefusedRequestError("this server is shutting down: try again when it is running again")
        return RequestedRun(*self._projects.find_led(project).request_run(scenario, values, request))

    def abort_run(self, project: str, run: str, by: str) -> bool:
        """Abort a run; return False if this server has not started it."""
        return self._calls.call(lambda: self._abort_run(project, run, by))

    def _abort_run(self, project: str, run: str, by: str) -> bool:
        found = self._projects.find(project)
        child = self._runs.find(found.key, run)
        if child is None:
            return False
        found.runs.abort(child, f"aborted by {by}")
        return True

    def pause(self, project: str, scenario: str, until: datetime | None, by: str, reason: str) -> None:
        """Pause the triggers of a scenario."""
        store = self._projects.find_store(project)
        store.pauses.add(Pause(scenario, until, by, reason, self._clock()))
        self.wake()

    def resume(self, project: str, scenario: str, by: str) -> bool:
        """End the pause of a scenario; return whether there was one."""
        ended = self._projects.find_store(project).pauses.end(scenario, by)
        self.wake()
        return ended
