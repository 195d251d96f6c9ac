"""What the engine and the process of a step or of whole runs say to each other: one request, then replies, as JSON.

A request is one line on the standard input of the process. Before it the process may be told what to load while it
waits. Each reply is one line of its standard output, in this order: `ready`; log entries and previews while it works;
a result or a failure; and the `end`, which the supervisor of the process adds (`supervisor.py`). This module loads no
data library, so a program that only starts runs stays small.
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
"""A kernel's module, its name, and the position of one of its signatures."""


class StepRequest(FrozenModel):
    """Run step number `index` of a scenario, for a run that has begun in the process which asks.

    Attributes
    ----------
    variables
        The values that the command line, loops and steps have set so far.
    as_of
        The moment that the run stands for.
    log_folder
        The folder of the run's log.
    held_locks
        Tokens of the locks that the run holds, so that the process passes them.
    built
        Per evaluation store, the id of the evaluation that the run has built.
    turn
        The number of the iteration.
    deliver
        Whether the run sends its messages, or commits them only.
    delivery_seconds
        The time that is left to the deliveries of the run.
    finished
        The results of the steps before it, of the same iteration.
    preview
        Whether the messages of child runs are to be shown, not sent.
    confined
        The variables whose values come from a request, see `ProjectSpec.confine`.
    state
        The folder of the state, or of its copy.
    drill
        What a drill disturbs.
    settled
        The states, by absolute path, in which changed files of data were found to be complete.
    fire
        The number of the fire that the run answers, if one does.
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
        Their names; none: those that `engine run` runs when none is named.
    run
        The id that the run of the only scenario will have, so it is known before the process is started.
    changed
        If given, each scenario is planned first, and is run only if its plan has work to do after such changes.
    settled
        The states, by absolute path, in which changed files of data were found to be complete.
    as_of
        The moment that the runs stand for; None for the time at which the process loads the spec.
    fire
        The number of the fire that the run of the only scenario answers. Such a run does not wait for its scenario.
    release
        The release of whoever asks, see `release.py`: a process of another one refuses. Empty: any will do.
    confined
        The variables whose values come from a request, see `ProjectSpec.confine`.
    deliver
        Whether the runs send their messages. If not, they commit them only: whoever asks for the runs sends them. What
        cannot be committed is sent all the same.
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


class TellRequest(FrozenModel):
    """Mark the runs whose process has died as ABORTED, and tell their reporters."""

    kind: Literal["tell"] = "tell"
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
        The moment whose names it may use.
    """

    kind: Literal["query"] = "query"
    spec: Path
    variables: dict[str, Any]
    as_of: datetime
    sql: str
    connection: str | None = None


class PreloadRequest(FrozenModel):
    """Prove that a revision of a deployment can run, before it is used. Nothing is kept and nothing is sent.

    Attributes
    ----------
    spec
        The file of the revision.
    released
        The folder of its release.
    scenarios
        Those whose data are looked at, besides the ones that triggers start there.
    dry_run
        Those that are computed completely.
    probe_channels
        Whether mail servers are greeted.
    """

    kind: Literal["preload"] = "preload"
    spec: Path
    released: Path
    scenarios: tuple[str, ...] = ()
    dry_run: tuple[str, ...] = ()
    probe_channels: bool = False


class LoadRequest(FrozenModel):
    """Load these modules, and the compiled code of these kernels, before the request that is to be answered comes.

    Both are what an earlier process has needed, see `CallReply`.
    """

    kind: Literal["load"] = "load"
    modules: tuple[str, ...]
    kernels: tuple[KernelSignature, ...]


class ReadyReply(FrozenModel):
    """The process has loaded what it needs and begins to work."""

    kind: Literal["ready"] = "ready"


class LineReply(FrozenModel):
    """An entry of the log."""

    kind: Literal["line"] = "line"
    line: LogLine


class PreviewReply(FrozenModel):
    """What a reporter would send."""

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
        Why steps of the scenarios that were planned, but not run, would fail; and errors about the spec that only the
        data show.
    undelivered
        The messages that were not delivered, and what comes of them, as text; none if the runs do not send them.
    written
        The files that the runs have written.
    served
        Whether `engine serve` runs the project too.
    modules, kernels
        What the process has loaded for them.
    """

    kind: Literal["call"] = "call"
    problems: tuple[str, ...] = ()
    undelivered: tuple[str, ...] = ()
    written: tuple[Path, ...] = ()
    served: bool = False
    modules: tuple[str, ...] = ()
    kernels: tuple[KernelSignature, ...] = ()


FailureCause = Literal["", "busy", "known run", "invalid spec", "other release"]
"""Why there is no result, where whoever asks goes by it.

The scenario is running already; there is a run of this id; the spec is not valid; the code is of another release.
"""


class QueryReply(FrozenModel):
    """The digest of a query's result: the same one for the same rows, in any order unless the query has ORDER BY."""

    kind: Literal["query"] = "query"
    digest: str


class FailureReply(FrozenModel):
    """Why there is no result."""

    kind: Literal["failure"] = "failure"
    text: str
    cause: FailureCause = ""


class EndReply(FrozenModel):
    """How the process has ended, as `subprocess` counts it (None: it was ended), and what it had left running."""

    kind: Literal["end"] = "end"
    code: int | None
    left: list[str]


Request = Annotated[
    StepRequest | RunRequest | TellRequest | QueryRequest | PreloadRequest | LoadRequest, Field(discriminator="kind")
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
    """Return a request or a reply as one line of JSON, in which infinite numbers stay what they are.

    pydantic's own JSON has null for them, and the infinite maximum of a column would be no value in the other process.
    """
    return json.dumps(message.model_dump(mode="json"))


@cache
def get_request_reader() -> TypeAdapter[
    StepRequest | RunRequest | TellRequest | QueryRequest | PreloadRequest | LoadRequest
]:
    """Return what reads requests."""
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
    """Return what reads replies."""
    return TypeAdapter(Reply)
