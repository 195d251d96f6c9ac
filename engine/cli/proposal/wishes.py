"""What the command line says of the columns."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the command line says of the columns."""

    target: str | None = None
    prediction: str | None = None
    time: str | None = None
