"""The exceptions of the engine, one class per group of people who can act on them, and the diagnostics of a spec.

Every message is written for these people: it gives the place of the problem, what was found, what is allowed, and what
to do. An exception of another class is a bug of the engine.
"""

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in a spec file: its path as the user gave it, line and column counted from 1, and length of the text."""

    file: str
    line: int = 1
    column: int = 1
    length: int = 1


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One problem of a spec. `code` is stable and documented, `help` is what to do, `also` is a second place."""

    position: Position
    code: str
    message: str
    help: str | None = None
    severity: Severity = Severity.ERROR
    also: Position | None = None


class EngineError(Exception):
    """The base class of errors that a user can act on. `str()` returns the whole message."""


class SpecError(EngineError):
    """The spec has errors. `diagnostics` holds all problems found, in order of position."""

    def __init__(self, diagnostics: tuple[Diagnostic, ...]) -> None:
        super().__init__(
            "\n".join(f"{d.position.file}:{d.position.line}:{d.position.column}: {d.message}" for d in diagnostics)
        )
        self.diagnostics = diagnostics


class UsageError(EngineError):
    """The caller refers to a scenario, store, evaluation or run that does not exist."""


class DataError(EngineError):
    """A dataset cannot be read, or violates its contract."""


class RefusedPathError(DataError):
    """A path of a deployment leads to a place to which its node grants no access."""


class ModelError(EngineError):
    """A model cannot be trained, loaded or used."""


class StoreError(EngineError):
    """The state cannot be read or written, because it is locked, damaged, full, or newer than this engine."""


class BundleError(EngineError):
    """A bundle is damaged, lacks a required signature, cannot be packed, or its name is taken."""


class DeliveryError(EngineError):
    """A message was not accepted. The text quotes the reply of the recipient."""


class UnreachableError(DeliveryError):
    """The recipient cannot be reached or does not answer, so other messages to it would fail too."""
