"""Runs a step with a timeout, or whole runs, in a separate process, because a thread cannot be stopped reliably.

The process (`supervisor.py`, which starts `worker.py`) gets the spec's path and the values of variables, and loads the
project itself: no code of a user is loaded here. Requests and replies are defined in `requests.py`. The process ends
after its result; processes that it left running are killed and listed in its last reply.

A process may be started before it is needed: it imports modules and waits for the request. So the request is answered
sooner, by a process that has never run a user's code.

The timeout of a step begins when the process is ready, so it does not include the time that Python needs to start and
to import. The timeout of a scenario includes all of it.
"""

import contextlib
import fcntl
import json
import math
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Self

from engine.pipeline.log import LogLine
from engine.scenarios.requests import (
    AbortRequest,
    CallReply,
    EndReply,
    FailureCause,
    FailureReply,
    LineReply,
    LoadRequest,
    PreloadRequest,
    PreviewReply,
    ProofReply,
    QueryReply,
    QueryRequest,
    ReadyReply,
    RunReply,
    RunRequest,
    StepReply,
    StepRequest,
    get_reply_reader,
    write_message,
)
from engine.scenarios.result import RunResult, StepResult

START_LIMIT = 300.0
"""Seconds until the process must be ready: on a slow disk or a busy machine, imports alone can take minutes."""
EXIT_LIMIT = 2.0
"""Seconds until the process must exit after its result; a thread of a user's function may never end."""
END_LIMIT = 10.0
"""Seconds until the supervisor must have ended all processes of the step; then it is killed itself."""
INTERRUPTION_LIMIT = 20.0
"""Seconds in which runs must end as ABORTED after an interruption; then their process is killed."""
PIPE_BYTES = 1 << 20
"""Size of the pipe for requests: the names of all modules to load fit in, so that the writer never blocks."""

SIGNAL_MEANINGS = {
    signal.SIGKILL: "the system may have run out of memory; give it more, or let the step read less",
    signal.SIGSEGV: "a library has crashed",
    signal.SIGBUS: "a library has crashed, or a file that it read was truncated meanwhile",
    signal.SIGABRT: "a library has aborted the process, often for lack of memory",
    signal.SIGXCPU: "its limit of processor time is used up",
}
"""The probable reason why a process was ended by a signal."""


SUPERVISOR = ("-m", "engine.scenarios.supervisor")
"""Arguments of Python that start the supervisor."""


def run_in_process(
    request: StepRequest | RunRequest | QueryRequest | PreloadRequest,
    environ: Mapping[str, str],
    *,
    seconds: float | None = None,
    deadline: float = math.inf,
    pass_on: Callable[[LogLine], None],
    preview: Callable[[str], None] | None = None,
) -> "Conversation":
    """Execute a request in a separate process, and return its replies.

    Parameters
    ----------
    seconds
        The process is killed after this many seconds of work; None for no limit.
    deadline
        Time of the monotonic clock, in seconds, at which the process is killed in any case.
    pass_on, preview
        Called with each entry of the log, and with each message of a preview, as soon as it arrives.
    """
    with RunProcess(environ) as process:
        return process.execute(request, seconds=seconds, deadline=deadline, pass_on=pass_on, preview=preview)


class RunProcess:
    """A process that waits for one request. The `with` block ends it and all processes that it has started.

    Parameters
    ----------
    load
        The modules and kernels that it loads while it waits.
    program
        Arguments of Python that start the supervisor.
    """

    def __init__(
        self, environ: Mapping[str, str], load: LoadRequest | None = None, program: Sequence[str] = SUPERVISOR
    ) -> None:
        self._supervisor = subprocess.Popen(  # noqa: S603 - the program is Python, the arguments are ours
            [sys.executable, *program, str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,  # Ctrl-C of the terminal reaches this process alone, which ends the other one
            env=dict(environ),
        )
        if load is not None:
            self._send(load)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    @property
    def is_waiting(self) -> bool:
        """Whether the process is running and can take a request."""
        return self._supervisor.poll() is None

    def interrupt(self) -> None:
        """Ask the requested runs to end as ABORTED. May be called while another thread is in `execute`."""
        self._supervisor.send_signal(signal.SIGINT)

    def kill(self) -> None:
        """Kill the supervisor, because it does not answer; processes that left its process group may go on."""
        self._supervisor.kill()

    def execute(
        self,
        request: StepRequest | RunRequest | AbortRequest | QueryRequest | PreloadRequest,
        *,
        seconds: float | None = None,
        deadline: float = math.inf,
        pass_on: Callable[[LogLine], None],
        preview: Callable[[str], None] | None = None,
        take_run: Callable[[RunResult], None] | None = None,
    ) -> "Conversation":
        """Send the request, wait until the process has ended, and return its replies; see `run_in_process`.

        `take_run` is called with the result of each run as soon as it arrives, before the process has ended.

        Raises
        ------
        KeyboardInterrupt
            The user has interrupted this process; the requested runs have ended as ABORTED or are killed.
        """
        conversation = Conversation(self._supervisor, seconds, deadline, pass_on, preview, take_run)
        self._send(request)
        try:
            conversation.exchange()
        except KeyboardInterrupt:
            if isinstance(request, RunRequest):
                self._supervisor.send_signal(signal.SIGINT)
                conversation.exchange(limit=INTERRUPTION_LIMIT)
            raise
        return conversation

    def _send(
        self, request: StepRequest | RunRequest | AbortRequest | QueryRequest | PreloadRequest | LoadRequest
    ) -> None:
        if self._supervisor.stdin is None:
            raise TypeError("the process has no pipes")
        with contextlib.suppress(BrokenPipeError):  # it may have died at its start
            if isinstance(request, LoadRequest) and sys.platform == "linux":
                fcntl.fcntl(self._supervisor.stdin, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
            content = write_message(request).encode() + b"\n"
            while content:
                content = content[os.write(self._supervisor.stdin.fileno(), content) :]

    def ask_to_end(self) -> None:
        """Ask the process and all that it has started to end, without waiting. May be called during `execute`."""
        self._supervisor.terminate()

    def end(self) -> None:
        """End the process and every process that it has started."""
        with self._supervisor:
            self._supervisor.terminate()
            try:
                self._supervisor.wait(END_LIMIT)
            except subprocess.TimeoutExpired:
                self._supervisor.kill()


class Conversation:
    """The replies of a process, read until it has ended or its time is over.

    Attributes
    ----------
    step
        The result of the step; None if the process has sent none.
    runs, call
        The results of the runs that have ended, and the last reply to a request for runs; None until it arrives.
    query
        The digest of a query's result; None if the process has sent none.
    proofs
        The proofs of a preload, in order.
    answered_ns
        When the last result of a run arrived, in nanoseconds since 1970; 0 without one.
    failure, cause
        Why there is no result, if that is known.
    code
        The worker's return code, as in `subprocess.Popen.returncode`; None if the supervisor killed it.
    left
        The processes that the worker left running.
    """

    def __init__(
        self,
        supervisor: "subprocess.Popen[bytes]",
        seconds: float | None,
        deadline: float,
        pass_on: Callable[[LogLine], None],
        preview: Callable[[str], None] | None,
        take_run: Callable[[RunResult], None] | None,
    ) -> None:
        self.step: StepResult | None = None
        self.runs: list[RunResult] = []
        self.answered_ns = 0
        self.call: CallReply | None = None
        self.query: str | None = None
        self.proofs: list[ProofReply] = []
        self.failure = ""
        self.cause: FailureCause = ""
        self.code: int | None = None
        self.left: list[str] = []
        self._supervisor = supervisor
        self._seconds = seconds
        self._pass_on = pass_on
        self._preview, self._take_run = preview, take_run
        self._kept = b""
        self._last = deadline
        self._deadline = min(time.monotonic() + START_LIMIT, deadline)
        self._exceeded = f"its process was not ready after {START_LIMIT:g} s and was stopped"

    def exchange(self, limit: float | None = None) -> None:
        """Read replies until the process has ended or its time is over, for at most `limit` seconds.

        Waiting for the end of the pipe is not enough: a process that the step has started may hold it open.
        """
        if self._supervisor.stdout is None:
            raise TypeError("the process has no pipes")
        if limit is not None:
            self._deadline = min(self._deadline, time.monotonic() + limit)
        with selectors.DefaultSelector() as selector:
            selector.register(self._supervisor.stdout, selectors.EVENT_READ)
            while (remaining := self._deadline - time.monotonic()) > 0:
                if selector.select(min(remaining, 0.5)):
                    received = os.read(self._supervisor.stdout.fileno(), 1 << 16)
                    if not received:
                        return
                    *lines, self._kept = (self._kept + received).split(b"\n")
                    for line in lines:
                        self._take(line)
                elif self._supervisor.poll() is not None:
                    return
        if self.step is None and self.call is None and self.query is None and not self.failure:
            self.failure = self._exceeded

    def _take(self, line: bytes) -> None:
        try:
            message = json.loads(line)
        except ValueError:  # an empty line, or one cut short when the process was killed
            return
        reply = get_reply_reader().validate_python(message)
        match reply:
            case ReadyReply():
                self._deadline = self._last
                if self._seconds is not None:
                    self._deadline = min(time.monotonic() + self._seconds, self._last)
                    self._exceeded = f"it took longer than its timeout of {self._seconds:g} s and was stopped"
            case LineReply(line=entry):
                self._pass_on(entry)
            case PreviewReply(text=text) if self._preview:
                self._preview(text)
            case StepReply(result=result):
                self.step, self._deadline = result, time.monotonic() + EXIT_LIMIT
            case RunReply(result=run):
                self.runs.append(run)
                self.answered_ns = time.time_ns()
                if self._take_run:
                    self._take_run(run)
            case CallReply():
                self.call, self._deadline = reply, time.monotonic() + EXIT_LIMIT
            case QueryReply(digest=digest):
                self.query, self._deadline = digest, time.monotonic() + EXIT_LIMIT
            case ProofReply():
                self.proofs.append(reply)
            case FailureReply(text=text, cause=cause):
                self.failure, self.cause = text, cause
            case EndReply(code=code, left=left):
                self.code, self.left = code, left

    def describe_failure(self) -> str:
        """Return why the process has returned no result."""
        return self.failure or _describe_exit(self.code)


def _describe_exit(code: int | None) -> str:
    """Return why a process that ended with this return code has returned no result."""
    if code is None:
        return "another program ended its process before it returned a result"
    if code >= 0:
        return f"its process ended with exit code {code} before it returned a result"
    meaning = SIGNAL_MEANINGS.get(signal.Signals(-code), "")
    return (
        f"its process was killed by signal {-code} ({signal.Signals(-code).name}) before it returned a result"
        f"{f': {meaning}' if meaning else ''}"
    )
