"""Runs a step that has a timeout in a separate process, because a thread cannot be stopped reliably.

The process (`worker.py`) gets the spec's path and the run's values, loads the project itself and uses the run's locks.
At the timeout it is killed together with every process that it has started. It answers with JSON lines: log entries
and previews while it works, so the terminal shows them at once, and at the end the result.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from datetime import datetime
from typing import Any

from engine.scenarios import steps
from engine.scenarios.context import Context
from engine.scenarios.log import Line
from engine.scenarios.result import StepResult
from engine.spec.resources.scenarios import AnyStep


def run_step(index: int, step: AnyStep, seconds: float, context: Context) -> StepResult:
    """Run step number `index` of the context's scenario in a process, which is killed after `seconds`."""
    request = {
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
    overdue = threading.Event()
    # In a session of its own the worker leads a process group, which can be killed as a whole.
    with subprocess.Popen(
        [sys.executable, "-m", "engine.scenarios.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        start_new_session=True,
        env=dict(context.environ),
    ) as worker:

        def kill_at_timeout() -> None:
            overdue.set()
            _kill(worker)

        timer = threading.Timer(seconds, kill_at_timeout)
        timer.start()
        try:
            result = _converse(worker, json.dumps(request, default=str), context)
        finally:
            timer.cancel()
            _kill(worker)  # also ends what a finished step has left running in the background
    if overdue.is_set():
        context.store.abort_dead_runs()  # a child run in the worker died with it
        return steps.failed(step, f"it took longer than its timeout of {seconds:g} s and was stopped", context)
    if result is None:
        reason = f"its process ended with exit code {worker.returncode} before it returned a result"
        return steps.failed(step, reason, context)
    return result


def _converse(worker: "subprocess.Popen[str]", request: str, context: Context) -> StepResult | None:
    """Send the request, pass log entries on as they arrive, return the result; None if the worker sent none."""
    result = None
    if worker.stdin is None or worker.stdout is None:
        raise TypeError("the process has no pipes")
    with contextlib.suppress(BrokenPipeError), worker.stdin as stdin:  # the worker may have died at its start
        stdin.write(request)
    for text in worker.stdout:
        message: dict[str, Any] = json.loads(text)
        if "result" in message:
            result = StepResult.model_validate(message["result"])
        elif "preview" in message and context.preview:
            context.preview(message["preview"])
        elif "line" in message:
            line = Line(**message["line"] | {"at": datetime.fromisoformat(message["line"]["at"])})
            for listen in context.log.listeners:
                listen(line)
    return result


def _kill(worker: "subprocess.Popen[str]") -> None:
    """Kill the process group of the worker: the worker and every process that it has started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(worker.pid, signal.SIGKILL)
