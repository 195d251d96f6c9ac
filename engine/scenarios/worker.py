"""The work of a step with a timeout, in a process that `supervisor.py` starts.

It reads a request from standard input; JSON lines on standard output are the reply, see `process.py`.
"""

import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from engine.errors import EngineError
from engine.formatting.redacted_output import redact_standard_streams
from engine.pipeline.log import LogLine
from engine.scenarios import steps
from engine.scenarios.result import StepResult
from engine.scenarios.session import open_session
from engine.spec import load


def _execute_request(request: dict[str, Any], send: Callable[[dict[str, Any]], None]) -> StepResult:
    """Run the requested step in this process; send its log entries and its previews, return its result."""
    project = load(Path(request["spec"]), request["overrides"])

    def send_line(line: LogLine) -> None:
        send({"line": {**asdict(line), "at": line.at.isoformat()}})

    def send_preview(preview: str) -> None:
        send({"preview": preview})

    with open_session(
        project,
        environ=os.environ,
        listeners=[send_line],
        preview=send_preview if request["preview"] else None,
        mode=request["mode"],
        state=Path(request["state"]),
    ) as context:
        redact_standard_streams(context.secrets.redact)
        step = context.get_scenario(request["scenario"]).steps[request["index"]]
        log = replace(context.log, folder=Path(request["folder"]), scenario=request["scenario"], step=step.name)
        values = {name: request[name] for name in ("built", "run", "trigger")}
        # The tokens let this process pass the locks that the parent process holds for the run.
        send({"ready": True})
        return steps.run(step, replace(context, log=log, held_locks=tuple(request["under"]), **values))


def main() -> None:
    """Read the request and write the reply. Output of a user's function goes to standard error, not into the reply."""
    output = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def send(message: dict[str, Any]) -> None:
        output.write(json.dumps(message) + "\n")
        output.flush()

    try:
        result = _execute_request(json.load(sys.stdin), send)
    except EngineError as error:
        send({"failed": str(error)})
    else:
        send({"result": result.model_dump(mode="json")})
