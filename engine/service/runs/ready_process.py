"""A process that is started before a run needs it, so that the start of Python is not part of the run.

There is at most one. It has imported the modules that every run needs and those of the last run, and has never run a
user's code. It is ended when no run has been expected for a while, so an idle server has none.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import engine
from engine.scenarios.process import SUPERVISOR, RunProcess
from engine.scenarios.requests import CallReply, LoadRequest
from engine.store import schema

UNUSED_SECONDS = 30.0
"""A waiting process is ended if no run has been expected for this long."""

RETRY_SECONDS = 30.0
"""After a waiting process has died or could not be started, no other is started early for this long."""

RELEASE_FILES = (Path(engine.__file__), Path(schema.__file__))
"""The files with the release (see `scenarios/release.py`); they change when the code is replaced."""


class ReadyProcess:
    """Holds the process that waits for the next run.

    Its methods must be called by the main thread: the system ends a process when the thread that has started it ends.

    Parameters
    ----------
    environ
        The environment of the processes.
    program
        The program of a process's supervisor.
    clock
        A monotonic clock in seconds.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        program: Sequence[str] = SUPERVISOR,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._environ, self._program, self._clock = environ, program, clock
        self._load: LoadRequest | None = None
        self._process: RunProcess | None = None
        self._code: object = None
        self._variables: dict[str, str] = {}
        self._wanted_at = 0.0
        self._not_before = -RETRY_SECONDS

    def note_loaded(self, reply: CallReply) -> None:
        """Let the next process load the modules and kernels that a run has needed."""
        self._load = LoadRequest(modules=reply.modules, kernels=reply.kernels)

    def prepare(self, environ: Mapping[str, str] | None = None) -> None:
        """Start a waiting process, because a run is expected soon.

        A process that waits with another environment stays, because the run that it is for may come first.

        Parameters
        ----------
        environ
            The environment of its process, if not the usual one.
        """
        self._wanted_at = self._clock()
        if self._process is not None and not self._is_usable(self._process):
            self.end()
            self._not_before = self._wanted_at + RETRY_SECONDS
        if self._process is None and self._wanted_at >= self._not_before:
            code = _identify_code()
            self._variables = dict(self._environ if environ is None else environ)
            try:
                self._process, self._code = RunProcess(self._variables, self._load, self._program), code
            except OSError:  # the run will try again, and report the error
                self._not_before = self._wanted_at + RETRY_SECONDS

    def take(self, environ: Mapping[str, str] | None = None) -> RunProcess:
        """Return the waiting process or a new one, which the caller must end; raise OSError if none can be started.

        Parameters
        ----------
        environ
            The environment that the process must have, if not the usual one.
        """
        wanted = dict(self._environ if environ is None else environ)
        if self._process is not None and self._variables == wanted:
            process, self._process = self._process, None
            if self._is_usable(process):
                return process
            process.end()
        return RunProcess(wanted, program=self._program)

    def end_unused(self) -> None:
        """End the process if no run has been expected for a while."""
        if self._process is not None and self._clock() >= self._wanted_at + UNUSED_SECONDS:
            self.end()

    def end(self) -> None:
        """End the process, if there is one."""
        if self._process is not None:
            self._process.end()
            self._process = None

    def _is_usable(self, process: RunProcess) -> bool:
        return process.is_waiting and self._code == _identify_code()


def _identify_code() -> object:
    """Return a value that changes when the code on the disk is replaced."""
    try:
        found = [path.stat() for path in RELEASE_FILES]
    except OSError:  # it is just being replaced
        return object()
    return [(one.st_ino, one.st_mtime_ns, one.st_size) for one in found]
