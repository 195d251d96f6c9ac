"""The columns that the user names on the command line."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ColumnChoices:
    """The user's options about columns: `--target`, `--prediction`, `--time`, and the `--period` of a batch."""

    target: str | None = None
    prediction: str | None = None
    time: str | None = None
    period: str | None = None
