"""What a plan says and a run does: actions, each with its reason.

One model for both, so that `engine plan`, `run.json` and the log speak of the same things. The reason is data: which
setting of the spec, from what to what, at which place; which file; which version. Words are made from it, not instead.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from engine.errors import Position

Because = Literal["new", "changed", "forced", "reused", "always", "depends", "never"]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Change(_Frozen):
    """One difference between what was computed before and what is asked for now."""

    kind: Literal["spec", "variable", "data", "code", "version", "model", "reference"] = Field(
        description="What differs: a setting, a variable, the content of data, a Python file, a version of the "
        "engine or a library, the model, the reference."
    )
    what: str = Field(description="Which: a path in the spec, or a name.")
    before: Any = Field(None, description="What it was.")
    after: Any = Field(None, description="What it is.")
    position: Position | None = Field(None, description="Where the spec says it.")
    says: str = Field(description="The difference in words.")


class Reads(_Frozen):
    """What an action reads: a dataset that has no inputs, or one whose rows are known."""

    dataset: str = Field(description="The dataset, or what else has rows.")
    rows: int | None = Field(None, description="How many rows; null where that is not known before reading.")
    files: list[str] = Field([], description="The files that it is made from.")


class Action(_Frozen):
    """One thing that is done, or need not be done again."""

    kind: Literal["read", "train", "look", "evaluate", "check", "set", "call", "write", "send"] = Field(
        description="read: verify and measure a dataset; look: at a reference, to keep what is seen; call: a function "
        "of yours; the others say it."
    )
    target: str = Field(description="What it is done to.")
    result: str = Field("", description="What comes of it: a version, an evaluation's name.")
    because: Because = Field(
        description="reused is not done again; depends is decided by an earlier step; never is switched off."
    )
    reason: str = Field("", description="Why, in words.")
    changes: list[Change] = Field([], description="Of changed: what.")
    reads: list[Reads] = Field([], description="What is read for it.")
    notes: list[str] = Field([], description="What is worth knowing besides.")

    @property
    def reused(self) -> bool:
        """Nothing is done: what is there is right."""
        return self.because == "reused"

    def __str__(self) -> str:
        said = "; ".join(filter(None, [self.reason, *(change.says for change in self.changes)]))
        return f"{self.kind} {self.target}{f' {self.result}' if self.result else ''}: {self.because}, {said}"


def spec_path(place: tuple[str, ...], path: tuple[str, ...]) -> str:
    """Return a path in the spec as people write it: `models.fraud.test.seed`."""
    return ".".join((*place, *path))
