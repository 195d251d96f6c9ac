"""Errors by who must act: the author of the spec, the owner of the data, of the model, of the store, of the channel.

Every message is written for that person: what was found, where, what is allowed, what to do. Anything else that
escapes is a bug of ours, and only the command line catches it.
"""

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in a spec file: the path as the user gave it; line and column from 1; length of the text meant."""

    file: str
    line: int = 1
    column: int = 1
    length: int = 1


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One problem of a spec. `code` is stable and documented; `help` says what to do; `also` is a second place."""

    position: Position
    code: str
    message: str
    help: str | None = None
    severity: Severity = Severity.ERROR
    also: Position | None = None


class EngineError(Exception):
    """What a user can act on. `str()` is the whole message, without a traceback."""


class SpecError(EngineError):
    """The spec is wrong. Carries every problem found, in order of position."""

    def __init__(self, diagnostics: tuple[Diagnostic, ...]) -> None:
        super().__init__(
            "\n".join(f"{d.position.file}:{d.position.line}:{d.position.column}: {d.message}" for d in diagnostics)
        )
        self.diagnostics = diagnostics


class UsageError(EngineError):
    """Who calls asks for what is not there: a scenario, store, evaluation or run of a name that nothing has."""


class DataError(EngineError):
    """A dataset cannot be read, or is not what its contract says."""


class ModelError(EngineError):
    """A model cannot be trained, loaded or used."""


class StoreError(EngineError):
    """The state cannot be read or written: locked, damaged, full, newer than this engine."""


class DeliveryError(EngineError):
    """A message was not taken. The text holds the receiver's own words."""
