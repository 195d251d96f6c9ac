"""The work of a step with a timeout, or of a whole run, in a process that `supervisor.py` starts.

It reads a request from standard input; the lines of standard output are the replies, see `requests.py`.
"""

import os
import sys
from collections.abc import Callable
from dataclasses import replace

from engine.errors import EngineError
from engine.formatting.redacted_output import redact_standard_streams
from engine.notifications import DeliveryTime
from engine.pipeline.actions import FrozenModel
from engine.pipeline.log import LogFiles, LogLine
from engine.scenarios import steps
from engine.scenarios.requests import (
    REQUEST,
    FailureReply,
    LineReply,
    PreviewReply,
    ReadyReply,
    RunReply,
    RunRequest,
    StepReply,
    StepRequest,
    write_message,
)
from engine.scenarios.session import open_session, run_scenarios
from engine.spec import ProjectSpec, load
from engine.spec.secrets import Secrets

Send = Callable[[FrozenModel], None]


def _answer_step(request: StepRequest, project: ProjectSpec, send: Send) -> StepReply:
    """Run the requested step in this process; send its log entries and its previews."""

    def send_preview(text: str) -> None:
        send(PreviewReply(text=text))

    with open_session(
        project,
        environ=os.environ,
        listeners=[lambda line: _send_line(line, send)],
        preview=send_preview if request.preview else None,
        mode=request.mode,
        state=request.state,
    ) as context:
        step = context.get_scenario(request.scenario).steps[request.index]
        files = LogFiles(request.log_folder) if request.log_folder else None
        at_step = replace(
            context,
            log=replace(context.log, files=files, scenario=request.scenario, step=step.name),
            # The tokens let this process pass the locks that the parent process holds for the run.
            held_locks=request.held_locks,
            built=request.built,
            turn=request.turn,
            finished=request.finished,
            delivery_time=DeliveryTime(left=request.delivery_seconds),
            run=request.run,
            trigger=request.trigger,
            datasets=context.datasets.with_drill(request.drill),
        )
        send(ReadyReply())
        return StepReply(result=steps.run(step, at_step))


def _answer_run(request: RunRequest, project: ProjectSpec, send: Send) -> RunReply:
    """Run the requested scenario in this process; send its log entries."""
    send(ReadyReply())
    result = run_scenarios(
        project,
        [request.scenario],
        environ=os.environ,
        listeners=[lambda line: _send_line(line, send)],
        trigger=request.trigger,
        run=request.run,
    )
    return RunReply(result=result.runs[0])


def _send_line(line: LogLine, send: Send) -> None:
    send(LineReply(line=line))


def main() -> None:
    """Read the request and write the reply. Output of a user's function goes to standard error, not into the reply."""
    output = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def send(reply: FrozenModel) -> None:
        output.write(write_message(reply) + "\n")
        output.flush()

    try:
        request = REQUEST.validate_json(sys.stdin.buffer.read())
        project = load(request.spec, request.variables, as_of=request.as_of)
        redact_standard_streams(Secrets(project, os.environ).redact)
        if isinstance(request, StepRequest):
            send(_answer_step(request, project, send))
        else:
            send(_answer_run(request, project, send))
    except EngineError as error:
        send(FailureReply(text=str(error)))
