"""The actions of a plan and of a run, each with its reason.

`engine plan`, `run.json` and the log share this model, so they cannot disagree. A reason is structured data: the
changed setting of the spec with its old and new value and its position, or the changed file or version. The text for
people is derived from that data and stored beside it.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from engine.errors import Position

Mode = Literal["run", "dry run", "plan"]
"""Whether actions are executed; executed on a copy of the state, with nothing sent; or only simulated."""

ActionCause = Literal["new", "changed", "forced", "reused", "always", "depends", "never"]


class FrozenModel(BaseModel):
    """An immutable part of a plan or of a result, without extra fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class Change(FrozenModel):
    """One difference between an earlier computation and the required one."""

    kind: Literal["spec", "variable", "data", "code", "version", "model", "reference"] = Field(
        description="What kind of thing differs: a setting of the spec, a variable, the content of data, a Python "
        "file, a version of the engine or of a library, the model, or the reference."
    )
    what: str = Field(description="The path in the spec, or the name, of what differs.")
    before: Any = Field(None, description="The earlier value.")
    after: Any = Field(None, description="The value now.")
    position: Position | None = Field(None, description="Where the spec declares it.")
    says: str = Field(description="The difference as text.")


class ReadSource(FrozenModel):
    """A source that an action reads: a dataset without inputs, or a query with a known number of rows."""

    dataset: str = Field(description="The name of the dataset, or of other rows, such as a model's held-out rows.")
    rows: int | None = Field(None, description="The number of rows; null if it is not known before reading.")
    files: list[str] = Field([], description="The files of the dataset.")
    place: str = Field("", description="Connection and table of the dataset, if its rows are read from a database.")


class Action(FrozenModel):
    """A unit of work: executed, or skipped because an earlier result is still valid."""

    kind: Literal[
        "read",
        "train",
        "promote",
        "profile",
        "evaluate",
        "check",
        "set",
        "call",
        "write",
        "remove",
        "send",
        "pack",
        "deploy",
    ] = Field(
        description="read: verify and measure a dataset; train: a version of a model; promote: a version to the place "
        "of another model; profile: measure a reference once and keep its profile; evaluate: a batch; check: apply "
        "checks; set: a variable; call: a function of yours, or SQL statements; write: a file or a table; remove: the "
        "files of a dataset; send: a message; pack: a bundle; deploy: a bundle."
    )
    target: str = Field(
        description="The dataset, model, evaluation store, file, variable, deployment, or the sender of a message."
    )
    result: str = Field("", description="What the action makes: a model version, an evaluation's or a bundle's name.")
    because: ActionCause = Field(
        description="Why: new, changed and forced are computed; reused is not computed again; always is done every "
        "time; depends is decided by an earlier step; never is switched off."
    )
    reason: str = Field("", description="The reason as text.")
    changes: list[Change] = Field([], description="What has changed, if because is changed.")
    reads: list[ReadSource] = Field([], description="What the action reads.")
    notes: list[str] = Field([], description="Further remarks.")

    @property
    def reused(self) -> bool:
        """Whether an earlier result is used and nothing is computed."""
        return self.because == "reused"

    def __str__(self) -> str:
        reasons = "; ".join(filter(None, [self.reason, *(change.says for change in self.changes)]))
        return f"{self.kind} {self.target}{f' {self.result}' if self.result else ''}: {self.because}, {reasons}"


def format_spec_path(place: tuple[str, ...], path: tuple[str, ...]) -> str:
    """Return a path in the spec as text: `models.fraud.test.seed`."""
    return ".".join((*place, *path))
