"""Runs a step that has a timeout in a separate process, because a thread cannot be stopped reliably.

The process (`worker.py`) gets the spec's path and the run's values, loads the project itself and uses the run's locks.
At the timeout it is killed together with every process that it has started. It replies with JSON lines: when it is
ready, log entries and previews while it works, so the terminal shows them at once, and at the end the result.

The timeout counts from the moment when the process is ready: the time that Python needs to start and to import is not
the step's.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import datetime
from typing import Any

from engine.scenarios import steps
from engine.scenarios.context import Context
from engine.scenarios.log import LogLine
from engine.scenarios.result import StepResult
from engine.spec.resources.scenarios import AnyStep

START_LIMIT = 300.0
"""Seconds that the process may take to be ready: on a slow disk or a busy machine, imports alone take many."""


class _Limit:
    """Kills a process when its time is over; `exceeded` is then the text that says which limit it exceeded."""

    def __init__(self, worker: "subprocess.Popen[str]") -> None:
        self.exceeded: str | None = None
        self._worker = worker
        self._timer = threading.Timer(0, self._end)

    def set(self, seconds: float, exceeded: str) -> None:
        """Start the limit now, in place of the one before."""
        self.cancel()
        self._timer = threading.Timer(seconds, self._end, [exceeded])
        self._timer.start()

    def cancel(self) -> None:
        self._timer.cancel()

    def _end(self, exceeded: str) -> None:
        self.exceeded = exceeded
        _kill_process_group(self._worker)


def run_step_in_process(index: int, step: AnyStep, seconds: float, context: Context) -> StepResult:
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
    with subprocess.Popen(
        [sys.executable, "-m", "engine.scenarios.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        start_new_session=True,  # another process group, which can be killed as a whole
        env=dict(context.environ),
    ) as worker:
        limit = _Limit(worker)
        limit.set(START_LIMIT, f"its process was not ready after {START_LIMIT:g} s and was stopped")

        def ready() -> None:
            limit.set(seconds, f"it took longer than its timeout of {seconds:g} s and was stopped")

        try:
            result = _communicate(worker, json.dumps(request, default=str), context, ready)
        finally:
            limit.cancel()
            _kill_process_group(worker)  # also ends what a finished step has left running in the background
    if limit.exceeded:
        context.store.abort_dead_runs()  # a child run in the worker died with it
        return steps.fail_step(step, limit.exceeded, context)
    if result is None:
        code = worker.returncode
        ended = (
            f"was killed by signal {-code}, perhaps for lack of memory," if code < 0 else f"ended with exit code {code}"
        )
        reason = f"its process {ended} before it returned a result"
        return steps.fail_step(step, reason, context)
    return result


def _communicate(
    worker: "subprocess.Popen[str]", request: str, context: Context, ready: Callable[[], None]
) -> StepResult | None:
    """Send the request, call `ready` when the work begins, pass log entries on, return the result.

    None if the worker sent no result.
    """
    result = None
    if worker.stdin is None or worker.stdout is None:
        raise TypeError("the process has no pipes")
    with contextlib.suppress(BrokenPipeError), worker.stdin as stdin:  # the worker may have died at its start
        stdin.write(request)
    for text in worker.stdout:
        message: dict[str, Any] = json.loads(text)
        if "ready" in message:
            ready()
        elif "result" in message:
            result = StepResult.model_validate(message["result"])
        elif "preview" in message and context.preview:
            context.preview(message["preview"])
        elif "line" in message:
            line = LogLine(**message["line"] | {"at": datetime.fromisoformat(message["line"]["at"])})
            for listen in context.log.listeners:
                listen(line)
    return result


def _kill_process_group(worker: "subprocess.Popen[str]") -> None:
    """Kill the process group of the worker: the worker and every process that it has started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(worker.pid, signal.SIGKILL)
