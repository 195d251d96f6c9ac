"""Runs a step with a timeout: in a process of its own, because nothing else can be ended for certain.

The process (`worker.py`) gets the spec's path and the run's values, loads the project itself and works under the run's
locks; at the timeout it is killed with all that it has started. Lines of its log come back as they are written, so the
terminal shows them; the result is the last of what it says.
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
    """Run the step of that index of the context's scenario in a process, and kill it after so many seconds."""
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
    overdue = threading.Event()
    with subprocess.Popen(
        [sys.executable, "-m", "engine.scenarios.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        start_new_session=True,
        env=dict(context.environ),
    ) as worker:

        def end() -> None:
            overdue.set()
            _kill(worker)

        timer = threading.Timer(seconds, end)
        timer.start()
        try:
            result = _converse(worker, json.dumps(order, default=str), context)
        finally:
            timer.cancel()
            _kill(worker)
    if overdue.is_set():
        context.store.abort_dead_runs()
        return steps.failed(step, f"it took longer than its timeout of {seconds:g} s and was ended", context)
    if result is None:
        return steps.failed(step, f"its process ended with code {worker.returncode} and without a result", context)
    return result


def _converse(worker: "subprocess.Popen[str]", order: str, context: Context) -> StepResult | None:
    """Give the order, pass the log's lines on as they come, return the result."""
    result = None
    if worker.stdin is None or worker.stdout is None:
        raise TypeError("the process has no pipes")
    with contextlib.suppress(BrokenPipeError), worker.stdin as stdin:
        stdin.write(order)
    for text in worker.stdout:
        said: dict[str, Any] = json.loads(text)
        if "result" in said:
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
