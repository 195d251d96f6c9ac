"""What every resource of the language is built from: the frozen model, the kinds of text, references, kinds.

A field's type says how its text is read. `Text` has variables filled in when the project is resolved; `SecretText`
may also hold `${secret.name}` and stays unrevealed until the moment of use; `Message`, `Condition` and `Sql` keep
their text, because what fills them is known only in a run, or is not text (a SQL literal).
`Ref("datasets")` marks a name that must be declared in that section, so that one pass resolves them all.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Scalar = bool | int | float | str | None


class Resource(BaseModel):
    """A mapping of the spec: frozen, unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True, defer_build=True)


@dataclass(frozen=True, slots=True)
class Ref:
    """Marks a text that names a resource of `sections` (any of them)."""

    sections: tuple[str, ...]

    def __init__(self, *sections: str) -> None:
        object.__setattr__(self, "sections", sections)


@dataclass(frozen=True, slots=True)
class Reading:
    """Marks how a text is read: the names that may stand in it and who fills them."""

    as_: Literal["message", "condition", "sql", "secret", "function", "metric"]


Message = Annotated[str, Reading("message")]
Condition = Annotated[str, Reading("condition")]
Sql = Annotated[str, Reading("sql")]
Function = Annotated[str, Reading("function")]
Metric = Annotated[str, Reading("metric")]
SecretText = Annotated[str, Reading("secret")]

Names = list[str]
Share = Annotated[float, Field(gt=0, lt=1)]
Duration = Annotated[timedelta, Field(gt=timedelta(0))]
"""A duration: a number of seconds or a text such as 90s, 15m, 2h, 1d."""
