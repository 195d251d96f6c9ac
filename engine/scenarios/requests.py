"""What the engine and the process of a step or of a whole run say to each other: one request, then replies, as JSON.

The request is one document on the standard input of the process. Each reply is one line of its standard output, in this
order: `ready`; log entries and previews while it works; a result or a failure; and the `end`, which the supervisor of
the process adds (`supervisor.py`). This module loads no data library, so a program that only starts runs stays small.
"""

import json
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from engine.pipeline.actions import FrozenModel, Mode
from engine.pipeline.log import LogLine
from engine.scenarios.result import RunResult, StepResult
from engine.spec.disturbances import Drill


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
    delivery_seconds
        The time that is left to the deliveries of the run.
    finished
        The results of the steps before it, of the same iteration.
    preview
        Whether the messages of child runs are to be shown, not sent.
    state
        The folder of the state, or of its copy.
    drill
        What a drill disturbs.
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
    trigger: str
    preview: bool
    mode: Mode
    state: Path
    drill: Drill | None = None


class RunRequest(FrozenModel):
    """Run a scenario. `run` is the id that the run will have, so it is known before the process is started.

    `as_of` is the moment that it stands for; None for the time at which the process loads the spec.
    """

    kind: Literal["run"] = "run"
    spec: Path
    variables: dict[str, Any]
    scenario: str
    run: str
    as_of: datetime | None = None
    trigger: str = "manual"


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


class StepReply(FrozenModel):
    """The result of the requested step."""

    kind: Literal["step"] = "step"
    result: StepResult


class RunReply(FrozenModel):
    """The result of the requested run."""

    kind: Literal["run"] = "run"
    result: RunResult


class FailureReply(FrozenModel):
    """Why there is no result."""

    kind: Literal["failure"] = "failure"
    text: str


class EndReply(FrozenModel):
    """How the process has ended, as `subprocess` counts it (None: it was ended), and what it had left running."""

    kind: Literal["end"] = "end"
    code: int | None
    left: list[str]


Request = Annotated[StepRequest | RunRequest, Field(discriminator="kind")]
Reply = Annotated[
    ReadyReply | LineReply | PreviewReply | StepReply | RunReply | FailureReply | EndReply, Field(discriminator="kind")
]


def write_message(message: FrozenModel) -> str:
    """Return a request or a reply as one line of JSON, in which infinite numbers stay what they are.

    pydantic's own JSON has null for them, and the infinite maximum of a column would be no value in the other process.
    """
    return json.dumps(message.model_dump(mode="json"))


REQUEST: TypeAdapter[StepRequest | RunRequest] = TypeAdapter(Request)
REPLY: TypeAdapter[ReadyReply | LineReply | PreviewReply | StepReply | RunReply | FailureReply | EndReply] = (
    TypeAdapter(Reply)
)
