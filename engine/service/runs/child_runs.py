"""The processes of runs: a thread reads the replies of each, and none outlives the server (`scenarios/supervisor.py`).

Processes are started by the main thread, because Linux ends a process when the thread that started it ends.
"""

import os
import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from engine.pipeline.log import LogLine
from engine.scenarios.process import SUPERVISOR, Conversation, RunProcess
from engine.scenarios.requests import AbortRequest, RunRequest
from engine.service.runs.exit_causes import count_memory_kills, describe_process_end
from engine.service.runs.ready_process import ReadyProcess
from engine.spec import ProjectSpec

KILL_SECONDS = 10.0
"""A supervisor that has not ended its processes after this many seconds is killed itself."""

THREAD_VARIABLES = ("POLARS_MAX_THREADS", "OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS")
"""The environment variables that set the number of threads of a run's libraries."""


@dataclass(eq=False)
class ChildProcess:
    """A process that executes a request for a project.

    Attributes
    ----------
    owner
        The key of the project.
    fire
        The number of the fire that starts its run; None if the process only marks dead runs.
    run
        The id of its run.
    begun
        When its run has begun, in seconds of the monotonic clock; None if it has not.
    stopped
        Why the server has ended it; empty if it has not.
    conversation
        Its replies, after it has ended.
    """

    owner: str
    fire: int | None
    run: str
    process: RunProcess
    begun: float | None = None
    stopped: str = ""
    stopped_at: float = 0.0
    killed: bool = False
    conversation: Conversation | None = None
    problem: str = ""
    memory_kills: int | None = None
    thread: threading.Thread | None = None

    def interrupt(self, reason: str) -> None:
        """Ask its run to end as ABORTED."""
        self.stopped, self.stopped_at = self.stopped or reason, self.stopped_at or time.monotonic()
        self.process.interrupt()

    def kill(self, reason: str) -> None:
        """Kill the process with all processes that it has started."""
        self.stopped, self.killed = self.stopped or reason, True
        self.stopped_at = time.monotonic()
        self.process.ask_to_end()

    def kill_supervisor(self) -> None:
        """Kill its supervisor too, if that has not ended KILL_SECONDS after `kill`."""
        if self.killed and time.monotonic() > self.stopped_at + KILL_SECONDS:
            self.process.kill()

    def describe_end(self) -> str:
        """Return why the process has ended without a result."""
        if self.stopped or self.problem:
            return self.stopped or self.problem
        if self.conversation is None or self.conversation.failure:
            return "" if self.conversation is None else self.conversation.failure
        before, after = self.memory_kills, count_memory_kills()
        return describe_process_end(
            self.conversation.code, memory_killed=before is not None and after is not None and after > before
        )


@dataclass(frozen=True, slots=True)
class ChildNews:
    """An event that the thread of a process reports to the loop: its run has begun, or the process has ended."""

    kind: Literal["begun", "ended"]
    child: ChildProcess


class ChildRuns:
    """The processes of all projects.

    Parameters
    ----------
    at_once
        Most runs at the same time.
    wake
        Called by threads when there is an event.
    show_line
        Called by threads with each entry of a log.
    program
        The program of a process's supervisor.

    Attributes
    ----------
    active
        The processes that execute a request.
    ready
        The process that waits for the next run.
    at_once
        Most runs at the same time; may be changed.
    """

    def __init__(
        self,
        at_once: int,
        environ: Mapping[str, str],
        wake: Callable[[], None],
        show_line: Callable[[LogLine], None],
        program: Sequence[str] = SUPERVISOR,
    ) -> None:
        threads = str(max(1, (os.cpu_count() or 1) // at_once))
        self._environ = {**dict.fromkeys(THREAD_VARIABLES, threads), **environ}
        self.at_once, self._wake, self._show_line, self._program = at_once, wake, show_line, program
        self.ready = ReadyProcess(self._environ, program)
        self._news: queue.SimpleQueue[ChildNews] = queue.SimpleQueue()
        self.active: list[ChildProcess] = []

    @property
    def free(self) -> int:
        """The number of further runs that may begin now."""
        return self.at_once - sum(child.fire is not None for child in self.active)

    def select_environment(self, project: ProjectSpec | None) -> Mapping[str, str]:
        """Return the environment of the processes of a project."""
        return self._environ if project is None else project.select_environment(self._environ)

    def start(self, owner: str, request: RunRequest | AbortRequest, project: ProjectSpec | None = None) -> ChildProcess:
        """Start a process for a request of a project; raise OSError if the system cannot start one."""
        environ = self.select_environment(project)
        fire, run = (request.fire, request.run or "") if isinstance(request, RunRequest) else (None, "")
        kills = count_memory_kills()
        if isinstance(request, RunRequest):
            process = self.ready.take(environ)
        else:  # nobody waits for its result
            process = RunProcess(environ, program=self._program)
        child = ChildProcess(owner, fire, run, process, memory_kills=kills)
        child.thread = threading.Thread(target=self._follow, args=(child, request), name=f"run {run}", daemon=True)
        try:
            child.thread.start()
        except RuntimeError as error:  # the system has no thread left
            process.end()
            raise OSError(str(error)) from None
        self.active.append(child)
        return child

    def _follow(self, child: ChildProcess, request: RunRequest | AbortRequest) -> None:
        def take_line(line: LogLine) -> None:
            if line.scenario and child.begun is None:
                child.begun = time.monotonic()
                self._report("begun", child)
            self._show_line(line)

        try:
            child.conversation = child.process.execute(request, pass_on=take_line)
        except Exception as error:  # noqa: BLE001 - the loop must get the end in any case
            child.problem = f"its replies could not be read: {error!r}"
        finally:
            child.process.end()
            self._report("ended", child)

    def _report(self, kind: Literal["begun", "ended"], child: ChildProcess) -> None:
        self._news.put(ChildNews(kind, child))
        self._wake()

    def take_news(self) -> list[ChildNews]:
        """Return the events since the last call, and remove ended processes from `active`."""
        found = []
        while not self._news.empty():
            news = self._news.get()
            if news.kind == "ended":
                self.active.remove(news.child)
                self._note_loaded(news.child)
                if news.child.thread is not None:
                    news.child.thread.join()
            found.append(news)
        for child in self.active:
            child.kill_supervisor()
        return found

    def _note_loaded(self, child: ChildProcess) -> None:
        if child.fire is not None and child.conversation is not None and child.conversation.call is not None:
            self.ready.note_loaded(child.conversation.call)

    def find(self, owner: str, run: str) -> ChildProcess | None:
        """Return the process of a run; None if this server has not started it, or it has ended."""
        return next((child for child in self.active if child.owner == owner and child.run == run), None)
