"""Commands requested on a page that need data libraries: each runs in a process, one at a time.

A request does not wait for the command; its page polls for the result. The newest results are kept in memory until the
server ends.
"""

import os
import subprocess
import sys
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from threading import Lock, Thread

from engine.formatting.control_characters import remove_controls
from engine.service.control import ServedProject

LONGEST_SECONDS = 600
MOST_RESULTS = 40
MOST_WAITING = 5


@dataclass(frozen=True, slots=True)
class CommandResult:
    """The output of a command; `problem` says why it has failed, and is empty if it has not."""

    output: bytes
    problem: str


class ChildCommands:
    """Runs commands one after the other, and keeps their results by key."""

    def __init__(self) -> None:
        self._results: OrderedDict[Hashable, Future[CommandResult]] = OrderedDict()
        self._lock, self._turn = Lock(), Lock()

    def start(self, key: Hashable, arguments: Sequence[str], project: ServedProject) -> bool:
        """Start a command, unless one with the same key is running or waiting; return False if too many wait already.

        Parameters
        ----------
        arguments
            The arguments of the Python interpreter: `-m`, a module, and so on.
        project
            The project whose environment the command gets.
        """
        with self._lock:
            found = self._results.get(key)
            if found is not None and not found.done():
                return True
            if sum(not one.done() for one in self._results.values()) >= MOST_WAITING:
                return False
            environ = dict(project.spec.select_environment(os.environ)) if project.spec else {}
            result: Future[CommandResult] = Future()
            self._results[key] = result
            self._results.move_to_end(key)
            if len(self._results) > MOST_RESULTS:
                self._results.popitem(last=False)
            # a daemon thread, so that the server does not wait for it at its end
            Thread(target=self._run, args=(result, [sys.executable, *arguments], environ), daemon=True).start()
            return True

    def find(self, key: Hashable) -> Future[CommandResult] | None:
        """Return the future with the result of a command; None if it was not started."""
        with self._lock:
            return self._results.get(key)

    def count_before(self, key: Hashable) -> int:
        """Return the number of unfinished commands that were started before this one."""
        with self._lock:
            before = list(self._results)[: list(self._results).index(key)] if key in self._results else []
            return sum(not self._results[one].done() for one in before)

    def _run(self, result: Future[CommandResult], command: Sequence[str], environ: dict[str, str]) -> None:
        with self._turn:
            try:
                result.set_result(_run_command(command, environ))
            except OSError as problem:
                result.set_result(CommandResult(b"", f"the process could not be started: {problem.strerror}"))


def _run_command(command: Sequence[str], environ: dict[str, str]) -> CommandResult:
    try:
        done = subprocess.run(command, env=environ, capture_output=True, timeout=LONGEST_SECONDS, check=False)  # noqa: S603 - our own modules, without a shell
    except subprocess.TimeoutExpired:
        return CommandResult(b"", f"it took longer than {LONGEST_SECONDS} s, and was ended")
    if done.returncode > 1 or done.returncode < 0:
        errors = remove_controls(done.stderr.decode("utf-8", "replace")).strip()
        return CommandResult(done.stdout, errors[-2000:] or f"it ended with the code {done.returncode}")
    return CommandResult(done.stdout, "")
