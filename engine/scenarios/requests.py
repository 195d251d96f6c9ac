"""The protocol between the engine and the process of a step or of whole runs: one request, then replies, as JSON.

A request is one line on the standard input of the process; a `LoadRequest` may precede it. Each reply is one line of
its standard output, in this order: `ready`; log entries and previews during the work; a result or a failure; and the
`end`, which the supervisor of the process adds (`supervisor.py`). This module imports no data library, so that a
program that only starts runs needs little memory.
"""

import json
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from engine.file_identity import FileIdentity
from engine.pipeline.actions import FrozenModel, Mode
from engine.pipeline.log import LogLine
from engine.scenarios.result import RunResult, StepResult
from engine.scenarios.run_reasons import ChangedPart
from engine.spec.disturbances import Drill

KernelSignature = tuple[str, str, int]
"""The module and the name of a kernel, and the position of one of its signatures."""


class StepRequest(FrozenModel):
    """Run step number `index` of a scenario, for a run that has begun in the requesting process.

    Attributes
    ----------
    variables
        The values that the command line, loops and steps have set so far.
    as_of
        The moment that the run stands for.
    log_folder
        The folder of the run's log.
    held_locks
        Tokens of the locks that the run holds, so that the process does not wait for them.
    built
        Per evaluation store, the id of the evaluation that the run has built.
    turn
        The number of the iteration.
    deliver
        Whether the run sends its messages, or only commits them.
    delivery_seconds
        Seconds that are left for the deliveries of the run.
    finished
        The results of the earlier steps of the same iteration.
    preview
        Whether the messages of child runs are to be shown, not sent.
    confined
        The variables whose values come from a request, see `ProjectSpec.confine`.
    state
        The folder of the state, or of its copy.
    drill
        The datasets that a drill disturbs, and how.
    settled
        By absolute path, the identities of changed data files that were found to be complete.
    fire
        The number of the trigger's fire that started the run; None without one.
    """

    kind: Literal["step"] = "step"
    spec: Path
    variables: dict[str, Any]
    as_of: datetime
    scenario: str
    index: int
    run: str | None
    log_folder: Path | None
    held_locks: tuple[str, ...]
    built: dict[str, str]
    turn: int
    finished: tuple[StepResult, ...]
    delivery_seconds: float
    deliver: bool = True
    trigger: str
    preview: bool
    mode: Mode
    confined: tuple[str, ...] = ()
    state: Path
    drill: Drill | None = None
    settled: dict[str, FileIdentity] = Field({})
    fire: int | None = None


class RunRequest(FrozenModel):
    """Run scenarios one after the other.

    Attributes
    ----------
    scenarios
        Their names; if empty, those that `engine run` runs by default.
    run
        The id for the run of the only scenario, so that it is known before the process is started.
    changed
        If given, each scenario is planned first, and runs only if these changes give its plan work to do.
    settled
        By absolute path, the identities of changed data files that were found to be complete.
    as_of
        The moment that the runs stand for; None for the time at which the process loads the spec.
    fire
        The number of the fire that starts the run of the only scenario. Such a run does not wait for the scenario's
        lock.
    release
        The release of the requesting process, see `release.py`; a process of another release refuses. Empty accepts
        any.
    confined
        The variables whose values come from a request, see `ProjectSpec.confine`.
    deliver
        Whether the runs send their messages. If not, they only commit them, and the requesting process sends them.
        Messages that cannot be committed are sent in any case.
    """

    kind: Literal["run"] = "run"
    spec: Path
    variables: dict[str, Any]
    scenarios: tuple[str, ...] = ()
    run: str | None = None
    as_of: datetime | None = None
    confined: tuple[str, ...] = ()
    trigger: str = "manual"
    changed: tuple[ChangedPart, ...] | None = None
    settled: dict[str, FileIdentity] = Field({})
    fire: int | None = None
    release: str = ""
    deliver: bool = True


class AbortRequest(FrozenModel):
    """Mark the runs whose process has died as ABORTED, and commit the messages of their reporters."""

    kind: Literal["abort dead"] = "abort dead"
    spec: Path
    variables: dict[str, Any] = Field({})
    as_of: datetime | None = None
    release: str = ""


class QueryRequest(FrozenModel):
    """Compute a query over the datasets of a spec, or in a database, and return the digest of its result.

    Attributes
    ----------
    sql
        The query as the spec has it, with its references to variables.
    connection
        The connection to the database that runs it; None if it reads datasets.
    as_of
        The moment that the query's time variables refer to.
    """

    kind: Literal["query"] = "query"
    spec: Path
    variables: dict[str, Any]
    as_of: datetime
    sql: str
    connection: str | None = None


class PreloadRequest(FrozenModel):
    """Prove that a revision of a deployment can run, before it is activated. Nothing is kept and nothing is sent.

    Attributes
    ----------
    spec
        The file of the revision.
    released
        The folder of its release.
    scenarios
        Scenarios whose data are checked, besides those that triggers start.
    dry_run
        Scenarios that are computed completely.
    probe_channels
        Whether to connect to mail servers.
    """

    kind: Literal["preload"] = "preload"
    spec: Path
    released: Path
    scenarios: tuple[str, ...] = ()
    dry_run: tuple[str, ...] = ()
    probe_channels: bool = False


class LoadRequest(FrozenModel):
    """Load these modules and the compiled code of these kernels while waiting for the request.

    An earlier process has reported them, see `CallReply`.
    """

    kind: Literal["load"] = "load"
    modules: tuple[str, ...]
    kernels: tuple[KernelSignature, ...]


class ReadyReply(FrozenModel):
    """The process has loaded its modules and begins to work."""

    kind: Literal["ready"] = "ready"


class LineReply(FrozenModel):
    """An entry of the log."""

    kind: Literal["line"] = "line"
    line: LogLine


class PreviewReply(FrozenModel):
    """The text that a reporter would send."""

    kind: Literal["preview"] = "preview"
    text: str


class ProofReply(FrozenModel):
    """One proof of a preload: what was proved, or the problem that stops the update."""

    kind: Literal["proof"] = "proof"
    name: str
    text: str = ""
    problem: str = ""


class StepReply(FrozenModel):
    """The result of the requested step."""

    kind: Literal["step"] = "step"
    result: StepResult


class RunReply(FrozenModel):
    """The result of one of the requested runs."""

    kind: Literal["run"] = "run"
    result: RunResult


class CallReply(FrozenModel):
    """The end of a request for runs.

    Attributes
    ----------
    problems
        Why steps of scenarios that were only planned would fail, and errors in the spec that need the data to be found.
    undelivered
        The messages that were not delivered, and what comes of them, as text; empty if the runs do not send messages.
    written
        The files that the runs have written.
    served
        Whether `engine serve` runs the project too.
    modules, kernels
        The modules and kernels that the process has loaded for the runs.
    """

    kind: Literal["call"] = "call"
    problems: tuple[str, ...] = ()
    undelivered: tuple[str, ...] = ()
    written: tuple[Path, ...] = ()
    served: bool = False
    modules: tuple[str, ...] = ()
    kernels: tuple[KernelSignature, ...] = ()


FailureCause = Literal["", "busy", "known run", "invalid spec", "other release"]
"""Why there is no result, if the requesting process must distinguish it.

In order: any other reason; the scenario is running already; a run with this id exists; the spec is not valid; the
process has the code of another release.
"""


class QueryReply(FrozenModel):
    """The digest of a query's result. It depends on the order of rows only if the query has ORDER BY."""

    kind: Literal["query"] = "query"
    digest: str


class FailureReply(FrozenModel):
    """Why there is no result."""

    kind: Literal["failure"] = "failure"
    text: str
    cause: FailureCause = ""


class EndReply(FrozenModel):
    """The worker's return code as in `subprocess` (None: it was killed), and the processes that it left running."""

    kind: Literal["end"] = "end"
    code: int | None
    left: list[str]


Request = Annotated[
    StepRequest | RunRequest | AbortRequest | QueryRequest | PreloadRequest | LoadRequest,
    Field(discriminator="kind"),
]
Reply = Annotated[
    ReadyReply
    | LineReply
    | PreviewReply
    | ProofReply
    | StepReply
    | RunReply
    | CallReply
    | QueryReply
    | FailureReply
    | EndReply,
    Field(discriminator="kind"),
]


def write_message(message: FrozenModel) -> str:
    """Return a request or a reply as one line of JSON, with infinite numbers as `Infinity`.

    pydantic's own JSON writes null for them, and an infinite maximum of a column would be lost.
    """
    return json.dumps(message.model_dump(mode="json"))


@cache
def get_request_reader() -> TypeAdapter[
    StepRequest | RunRequest | AbortRequest | QueryRequest | PreloadRequest | LoadRequest
]:
    """Return the parser of requests."""
    return TypeAdapter(Request)


@cache
def get_reply_reader() -> TypeAdapter[
    ReadyReply
    | LineReply
    | PreviewReply
    | ProofReply
    | StepReply
    | RunReply
    | CallReply
    | QueryReply
    | FailureReply
    | EndReply
]:
    """Return the parser of replies."""
    return TypeAdapter(Reply)
