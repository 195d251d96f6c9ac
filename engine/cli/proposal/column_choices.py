"""The columns that the user names on the command line."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ColumnChoices:
    """The columns that the user names on the command line: `--target`, `--prediction` and `--time`."""

    target: str | None = None
    prediction: str | None = None
    time: str | None = None
