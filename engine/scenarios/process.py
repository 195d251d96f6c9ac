"""Runs a step that has a timeout in a separate process, because a thread cannot be stopped reliably.

The process (`supervisor.py`, which starts `worker.py`) gets the spec's path and the run's values, loads the project
itself and uses the run's locks. It replies with JSON lines: when it is ready, log entries and previews while it works,
so the terminal shows them at once, and at the end the result. The step ends with its result: what it has left running
is ended with it, and told.

The timeout counts from the moment when the process is ready: the time that Python needs to start and to import is not
the step's.
"""

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from engine.formatting.lists import join_some
from engine.pipeline.log import LogLine
from engine.scenarios import steps
from engine.scenarios.context import RunContext
from engine.scenarios.dead_runs import tell_dead_runs
from engine.scenarios.result import StepResult
from engine.spec.resources.scenarios import AnyStep

START_LIMIT = 300.0
"""Seconds that the process may take to be ready: on a slow disk or a busy machine, imports alone take many."""

EXIT_LIMIT = 2.0
"""Seconds that the process may take to exit after its result: a thread of a user's function may never end."""

END_LIMIT = 10.0
"""Seconds that the supervisor may take to end all processes of the step, before it is killed itself."""

SIGNAL_MEANINGS = {
    signal.SIGKILL: "the system may have run out of memory; give it more, or let the step read less",
    signal.SIGSEGV: "a library has crashed",
    signal.SIGBUS: "a library has crashed, or a file that it read was cut meanwhile",
    signal.SIGABRT: "a library has given up, often for lack of memory",
    signal.SIGXCPU: "its limit of processor time is used up",
}
"""What probably was the cause of a signal that has ended a process."""


def run_step_in_process(index: int, step: AnyStep, seconds: float, context: RunContext) -> StepResult:
    """Run step number `index` of the context's scenario in a process, which is killed after `seconds` of work."""
    request = {
        "spec": str(context.project.path),
        "overrides": dict(context.project.overrides),
        "scenario": context.log.scenario,
        "index": index,
        "folder": str(context.log.folder),
        "run": context.run,
        "under": context.held_locks,
        "built": context.built,
        "trigger": context.trigger,
        "preview": context.preview is not None,
        "mode": context.mode,
        "state": str(context.store.folder),
    }
    with _start_supervisor(context) as supervisor:
        reply = _Reply(supervisor, seconds)
        reply.exchange(json.dumps(request, default=str), context)
    if reply.left:
        context.log.warning(f"the step has left processes running, which were ended with it: {join_some(reply.left)}")
    if reply.result is not None:
        if reply.code is None:
            context.log.warning(
                f"the step's process did not end within {EXIT_LIMIT:g} s after its result and was ended: "
                "a function has probably left a thread running"
            )
        return reply.result
    tell_dead_runs(context)  # a child run in the process died with it
    return steps.fail_step(step, reply.failure or _describe_exit(reply.code), context)


@contextmanager
def _start_supervisor(context: RunContext) -> "Iterator[subprocess.Popen[bytes]]":
    """Start the process; at the end of the block it is ended with every process that it has started."""
    with subprocess.Popen(  # noqa: S603 - the program is Python, the arguments are ours
        [sys.executable, "-m", "engine.scenarios.supervisor", str(os.getpid())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
        start_new_session=True,  # Ctrl-C of the terminal reaches this process alone, which ends the other one
        env=dict(context.environ),
    ) as supervisor:
        try:
            yield supervisor
        finally:
            supervisor.terminate()
            try:
                supervisor.wait(END_LIMIT)
            except subprocess.TimeoutExpired:
                supervisor.kill()


class _Reply:
    """What the process of a step has replied.

    Attributes
    ----------
    result
        The result of the step; None if the process has sent none.
    failure
        Why there is no result, if that is known.
    code
        How the worker ended, as `subprocess` counts it; None if it was ended.
    left
        The processes that the step has left running.
    """

    def __init__(self, supervisor: "subprocess.Popen[bytes]", seconds: float) -> None:
        self.result: StepResult | None = None
        self.failure = ""
        self.code: int | None = None
        self.left: list[str] = []
        self._supervisor = supervisor
        self._seconds = seconds
        self._deadline = time.monotonic() + START_LIMIT
        self._exceeded = f"its process was not ready after {START_LIMIT:g} s and was stopped"

    def exchange(self, request: str, context: RunContext) -> None:
        """Send the request; take in the reply until the process has ended or its time is over.

        The end of the pipe alone would not do: a process that the step has started may hold the pipe open.
        """
        if self._supervisor.stdin is None or self._supervisor.stdout is None:
            raise TypeError("the process has no pipes")
        with contextlib.suppress(BrokenPipeError), self._supervisor.stdin as stdin:  # it may have died at its start
            stdin.write(request.encode())
        kept = b""
        with selectors.DefaultSelector() as selector:
            selector.register(self._supervisor.stdout, selectors.EVENT_READ)
            while (remaining := self._deadline - time.monotonic()) > 0:
                if selector.select(min(remaining, 0.5)):
                    received = os.read(self._supervisor.stdout.fileno(), 1 << 16)
                    if not received:
                        return
                    *lines, kept = (kept + received).split(b"\n")
                    for line in lines:
                        self._take(line, context)
                elif self._supervisor.poll() is not None:
                    return
        if self.result is None and not self.failure:
            self.failure = self._exceeded

    def _take(self, line: bytes, context: RunContext) -> None:
        try:
            message: dict[str, Any] = json.loads(line or b"{}")
        except ValueError:  # the process was killed while it wrote
            return
        if "ready" in message:
            self._deadline = time.monotonic() + self._seconds
            self._exceeded = f"it took longer than its timeout of {self._seconds:g} s and was stopped"
        elif "result" in message:
            self.result = StepResult.model_validate(message["result"])
            self._deadline = time.monotonic() + EXIT_LIMIT
        elif "failed" in message:
            self.failure = message["failed"]
        elif "ended" in message:
            self.code, self.left = message["ended"], message["left"]
        elif "preview" in message and context.preview:
            context.preview(message["preview"])
        elif "line" in message:
            context.log.pass_on(LogLine(**message["line"] | {"at": datetime.fromisoformat(message["line"]["at"])}))


def _describe_exit(code: int | None) -> str:
    """Return why a process has returned no result."""
    if code is None:
        return "its process was ended from outside before it returned a result"
    if code >= 0:
        return f"its process ended with exit code {code} before it returned a result"
    meaning = SIGNAL_MEANINGS.get(signal.Signals(-code), "")
    return (
        f"its process was killed by signal {-code} ({signal.Signals(-code).name}) before it returned a result"
        f"{f': {meaning}' if meaning else ''}"
    )
