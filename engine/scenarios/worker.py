"""The work of a step with a timeout, or of whole runs, in a process that `supervisor.py` starts.

It reads requests from standard input and writes replies to standard output, see `requests.py`.
"""

import json
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from importlib import import_module
from pathlib import Path

from engine.data.query_digests import digest_database_query, digest_query
from engine.drift.kernels.lazy import list_compiled_kernels, load_kernel
from engine.errors import EngineError, Severity, SpecError, UsageError
from engine.formatting.redacted_output import redact_standard_streams
from engine.notifications import DeliveryTime
from engine.pipeline.actions import FrozenModel
from engine.pipeline.log import LogFiles, LogLine
from engine.scenarios import steps
from engine.scenarios.context import RunContext
from engine.scenarios.preload.proofs import prove_revision
from engine.scenarios.release import describe_release
from engine.scenarios.requests import (
    AbortRequest,
    CallReply,
    FailureCause,
    FailureReply,
    LineReply,
    LoadRequest,
    PreloadRequest,
    PreviewReply,
    QueryReply,
    QueryRequest,
    ReadyReply,
    RunReply,
    RunRequest,
    StepReply,
    StepRequest,
    get_request_reader,
    write_message,
)
from engine.scenarios.result import RunResult
from engine.scenarios.run_reasons import has_reason_to_run
from engine.scenarios.runner import DuplicateRunError
from engine.scenarios.scenario_selection import select_scenarios
from engine.scenarios.session import open_session, plan_scenarios, run_scenarios
from engine.spec import ProjectSpec, load
from engine.spec.secrets.values import Secrets
from engine.store import LockBusy, MessageState, OutboxMessage, utc_now
from engine.store.location import resolve_state_folder
from engine.store.locks import SERVER_LOCK, Locks

Send = Callable[[FrozenModel], None]

CAUSES: Mapping[type[EngineError], FailureCause] = {
    SpecError: "invalid spec",
    UsageError: "invalid spec",  # it does not have the scenario
    LockBusy: "busy",
    DuplicateRunError: "known run",
}
"""The cause in the reply for each error that the requesting process must distinguish."""


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
            # With these tokens, this process does not wait for the locks that the parent process holds for the run.
            held_locks=request.held_locks,
            built=request.built,
            turn=request.turn,
            finished=request.finished,
            deliver=request.deliver,
            delivery_time=DeliveryTime(left=request.delivery_seconds),
            run=request.run,
            trigger=request.trigger,
            fire=None if request.fire is None else context.store.fires.get(request.fire),
            settled=request.settled,
            datasets=context.datasets.with_drill(request.drill),
        )
        send(ReadyReply())
        return StepReply(result=steps.run(step, at_step))


def _answer_runs(request: RunRequest, project: ProjectSpec, send: Send) -> CallReply:
    """Run the requested scenarios in this process; send their log entries and results."""

    def listen(line: LogLine) -> None:
        _send_line(line, send)

    if request.fire is not None:
        _raise_own_oom_score()
    send(ReadyReply())
    problems: list[str] = []
    undelivered: list[OutboxMessage] = []
    written: list[Path] = []
    for name in select_scenarios(project, request.scenarios):
        if request.changed is not None:
            plan = plan_scenarios(project, [name], listeners=[listen])
            if not has_reason_to_run(plan, set(request.changed)):
                problems += [step.problem for step in plan.all_steps() if step.problem]
                problems += [str(SpecError((one,))) for one in plan.findings if one.severity is Severity.ERROR]
                continue
        finished = run_scenarios(
            project,
            [name],
            listeners=[listen],
            trigger=request.trigger,
            run=request.run,
            settled=request.settled,
            fire=request.fire,
            deliver=request.deliver,
        )
        for run in finished.runs:
            send(RunReply(result=run))
            written += _list_written_files(run, project)
        # Those of an earlier scenario that wait are among them, if they still do.
        undelivered = [*(one for one in undelivered if one.state is MessageState.REFUSED), *finished.undelivered]
    return CallReply(
        problems=tuple(dict.fromkeys(problems)),
        undelivered=tuple(
            f"{one.prospect}: {one.reporter} to {one.channel}: {one.last_error or 'not sent yet'}"
            for one in undelivered
        ),
        written=tuple(written),
        served=Locks(resolve_state_folder(project), utc_now).is_held(SERVER_LOCK),
    )


def _abort_dead_runs(project: ProjectSpec, send: Send) -> CallReply:
    """Open the state, which marks dead runs as ABORTED and commits their messages."""
    send(ReadyReply())
    listeners = [lambda line: _send_line(line, send)]
    with open_session(project, environ=os.environ, listeners=listeners, deliver=False):
        return CallReply()


def _raise_own_oom_score() -> None:
    """Make Linux kill this process, if memory runs out, rather than the server that started it."""
    with suppress(OSError):  # only Linux has this file
        Path("/proc/self/oom_score_adj").write_text("500", encoding="ascii")


def _answer_query(request: QueryRequest, project: ProjectSpec, send: Send) -> QueryReply:
    """Compute the requested query; nothing is kept."""
    with open_session(project, environ=os.environ, mode="plan") as context:
        send(ReadyReply())

        def compute(at: RunContext) -> QueryReply:
            if request.connection is not None:
                found = digest_database_query(at.project, request.connection, request.sql, at.secrets)
                return QueryReply(digest=found)
            found = digest_query(at.datasets, request.sql)
            at.datasets.files.verify()
            return QueryReply(digest=found)

        return context.read_unchanged(compute)


def _list_written_files(run: RunResult, project: ProjectSpec) -> list[Path]:
    """Return the files that the steps of a run and of its child runs have written."""
    here = project.home_of("scenarios", run.scenario)
    written = [here / action.target for step in run.steps for action in step.actions if action.kind == "write"]
    return written + [path for step in run.steps if step.run for path in _list_written_files(step.run, project)]


def _find_other_release(line: bytes) -> str:
    """Return the release that a request is for if it is not this one, else "".

    This is read before the request is parsed, because a request of another release may have other keys.
    """
    release = str(json.loads(line).get("release", ""))
    return "" if release == describe_release() else release


def _load_early(request: LoadRequest) -> None:
    """Import modules and load kernels; those that do not exist any more are ignored."""
    for name in request.modules:
        with suppress(ImportError):
            import_module(name)
    for module, name, index in request.kernels:
        with suppress(ImportError, AttributeError, IndexError):
            load_kernel(module, name, index)


def _limit_environment(project: ProjectSpec) -> None:
    """Remove the environment variables that the project must not see."""
    for name in set(os.environ) - set(project.select_environment(os.environ)):
        del os.environ[name]


def _send_line(line: LogLine, send: Send) -> None:
    send(LineReply(line=line))


def main() -> None:
    """Read requests, and write the replies to the last one.

    Standard output of a user's function goes to standard error, so that it cannot mix with the replies.
    """
    output = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())

    def send(reply: FrozenModel) -> None:
        output.write(write_message(reply) + "\n")
        output.flush()

    imported = set(sys.modules)
    try:
        while line := sys.stdin.buffer.readline():
            if release := _find_other_release(line):
                send(FailureReply(text=f"this is {describe_release()}, not {release}", cause="other release"))
                return
            request = get_request_reader().validate_json(line)
            if not isinstance(request, LoadRequest):
                break
            _load_early(request)
        else:
            return  # the pipe was closed: the process is not needed any more
        os.dup2(os.open(os.devnull, os.O_RDONLY), sys.stdin.fileno())  # user code that reads it gets the end
        if isinstance(request, PreloadRequest):
            send(ReadyReply())
            prove_revision(request, send)
            send(CallReply())
            return
        confined = request.confined if isinstance(request, StepRequest | RunRequest) else ()
        project = load(request.spec, request.variables, as_of=request.as_of, confined=confined)
        _limit_environment(project)
        redact_standard_streams(Secrets(project, os.environ).redact)
        if isinstance(request, StepRequest):
            send(_answer_step(request, project, send))
        elif isinstance(request, AbortRequest):
            send(_abort_dead_runs(project, send))
        elif isinstance(request, QueryRequest):
            send(_answer_query(request, project, send))
        else:
            reply = _answer_runs(request, project, send)
            modules = tuple(name for name in sys.modules if name not in imported)
            send(reply.model_copy(update={"modules": modules, "kernels": tuple(list_compiled_kernels())}))
    except EngineError as error:
        send(FailureReply(text=str(error), cause=CAUSES.get(type(error), "")))
    except KeyboardInterrupt:
        send(FailureReply(text="it was interrupted"))
