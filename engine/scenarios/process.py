"""Runs a step with a timeout: in a process of its own, because nothing else can be ended for certain.

The process (`worker.py`) gets the spec's path and the run's values, loads the project itself and works under the run's
locks; at the timeout it is killed with all that it has started. Lines of its log come back as they are written, so the
terminal shows them; the result is the last of what it says.

The timeout counts from the moment at which the process says that it is ready: the time that Python needs to start and
to import is not the step's.
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
from engine.scenarios.log import Line
from engine.scenarios.result import StepResult
from engine.spec.resources.scenarios import AnyStep

START_LIMIT = 300.0
"""Seconds that the process may take to be ready: on a slow disk or a busy machine, imports alone take many."""


class _Limit:
    """Kills a process when its time is up; `passed` then says what it exceeded."""

    def __init__(self, worker: "subprocess.Popen[str]") -> None:
        self.passed: str | None = None
        self._worker = worker
        self._timer = threading.Timer(0, self._end)

    def set(self, seconds: float, exceeded: str) -> None:
        """Count from now, in place of what was counted before."""
        self.cancel()
        self._timer = threading.Timer(seconds, self._end, [exceeded])
        self._timer.start()

    def cancel(self) -> None:
        self._timer.cancel()

    def _end(self, exceeded: str) -> None:
        self.passed = exceeded
        _kill(self._worker)


def run_step(index: int, step: AnyStep, seconds: float, context: Context) -> StepResult:
    """Run the step of that index of the context's scenario in a process, and kill it after so many seconds of work."""
    order = {
        "spec": str(context.project.path),
        "overrides": dict(context.project.overrides),
        "scenario": context.log.scenario,
        "index": index,
        "folder": str(context.log.folder),
        "run": context.run,
        "under": context.under,
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
        start_new_session=True,
        env=dict(context.environ),
    ) as worker:
        limit = _Limit(worker)
        limit.set(START_LIMIT, f"its process was not ready after {START_LIMIT:g} s and was ended")

        def ready() -> None:
            limit.set(seconds, f"it took longer than its timeout of {seconds:g} s and was ended")

        try:
            result = _converse(worker, json.dumps(order, default=str), context, ready)
        finally:
            limit.cancel()
            _kill(worker)
    if limit.passed:
        context.store.abort_dead_runs()
        return steps.failed(step, limit.passed, context)
    if result is None:
        return steps.failed(step, f"its process ended with code {worker.returncode} and without a result", context)
    return result


def _converse(
    worker: "subprocess.Popen[str]", order: str, context: Context, ready: Callable[[], None]
) -> StepResult | None:
    """Give the order, call `ready` when the work begins, pass the log's lines on as they come, return the result."""
    result = None
    if worker.stdin is None or worker.stdout is None:
        raise TypeError("the process has no pipes")
    with contextlib.suppress(BrokenPipeError), worker.stdin as stdin:
        stdin.write(order)
    for text in worker.stdout:
        said: dict[str, Any] = json.loads(text)
        if "ready" in said:
            ready()
        elif "result" in said:
            result = StepResult.model_validate(said["result"])
        elif "preview" in said and context.preview:
            context.preview(said["preview"])
        elif "line" in said:
            line = Line(**said["line"] | {"at": datetime.fromisoformat(said["line"]["at"])})
            for listen in context.log.listeners:
                listen(line)
    return result


def _kill(worker: "subprocess.Popen[str]") -> None:
    """Kill the process and everything that it has started: its session is its own."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(worker.pid, signal.SIGKILL)
