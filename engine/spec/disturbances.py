"""Parses the texts of disturbances, such as card_age=+0.5sd, which `engine drill` applies to a batch in memory.

Whether a batch has the column with a suitable type is checked with the data (`engine.data.disturbances`).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from math import isfinite
from typing import Literal

from engine.errors import UsageError
from engine.formatting.hints import suggest_name

DisturbanceKind = Literal["shift", "scale", "missing", "category", "drop", "shuffle", "rows"]

ShiftUnit = Literal["", "sd", "%", "seconds"]
"""The unit of a shift: the column's own unit, standard deviations of the reference, percent, or a time."""

FORMS: dict[DisturbanceKind, str] = {
    "shift": "COLUMN=AMOUNT, such as card_age=+0.5sd (standard deviations of the reference), card_age=+10%, "
    "card_age=-3, or paid_on=+3d for dates (w, d, h, m, s)",
    "scale": "COLUMN=FACTOR, such as amount=100",
    "missing": "COLUMN=SHARE, such as card_age=10%",
    "category": "COLUMN=VALUE:SHARE, such as country=Atlantis:20%",
    "drop": "COLUMN, such as card_age",
    "shuffle": "COLUMN, such as card_age",
    "rows": "a whole number of rows, such as 500",
}
"""The form of the text of each kind."""

MAX_SECONDS = 10_000 * 366 * 86_400

_SECONDS = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_SHIFT = re.compile(rf"({_NUMBER})\s*(sd|%|[wdhms])?")


@dataclass(frozen=True, slots=True)
class Disturbance:
    """One change of the rows of a batch.

    Attributes
    ----------
    text
        The text after the name of the kind.
    column
        The changed column; empty for `rows`.
    amount
        For `shift` the added amount, in `unit`; for `scale` the factor; for `missing` and `category` the share of the
        rows (0.1 is 10 %); for `rows` their number.
    value
        The value that `category` sets.
    deviation
        For a shift in standard deviations, that of the reference, once it is known.
    """

    kind: DisturbanceKind
    text: str
    column: str = ""
    amount: float = 0.0
    unit: ShiftUnit = ""
    value: str = ""
    deviation: float = 0.0

    @property
    def added(self) -> float:
        """The added amount of a shift, in the unit of the column; a fraction of each value for a shift in percent."""
        return self.amount * (self.deviation if self.unit == "sd" else 0.01 if self.unit == "%" else 1)

    @property
    def option(self) -> str:
        """The disturbance as an option of the command line, for messages."""
        return f"--{self.kind} {self.text}"


@dataclass(frozen=True, slots=True)
class Drill:
    """The datasets with changed rows, and the changes in order."""

    datasets: tuple[str, ...]
    disturbances: tuple[Disturbance, ...]


def parse_disturbance(kind: str, text: str) -> Disturbance:
    """Parse the text of a disturbance.

    Raises
    ------
    UsageError
        The kind does not exist, or the text does not have its form.
    """
    if kind not in _PARSERS:
        raise UsageError(f"there is no disturbance {kind!r}{suggest_name(kind, list(FORMS))}")
    return _PARSERS[kind](text)


def parse_term(term: str) -> Disturbance:
    """Parse a disturbance with its kind, such as `shift card_age=+0.5sd`; raise UsageError if it is invalid."""
    kind, _, text = term.strip().removeprefix("--").partition(" ")
    return parse_disturbance(kind, text.strip())


def _refuse(kind: DisturbanceKind, text: str, why: str = "") -> UsageError:
    return UsageError(f"--{kind} {text!r}: {f'{why}; ' if why else ''}write {FORMS[kind]}")


def _split_column(kind: DisturbanceKind, text: str) -> tuple[str, str]:
    """Return a column and the text after `=`; only the value of a category may contain `=` itself."""
    column, equals, rest = text.partition("=") if kind == "category" else text.rpartition("=")
    if not equals or not column.strip() or not rest.strip():
        raise _refuse(kind, text)
    return column.strip(), rest.strip()


def _parse_shift(text: str) -> Disturbance:
    column, amount = _split_column("shift", text)
    found = _SHIFT.fullmatch(amount)
    if not found or not isfinite(number := float(found[1])):
        raise _refuse("shift", text, f"{amount!r} is not an amount")
    if number == 0:
        raise _refuse("shift", text, "a shift by 0 changes nothing")
    unit = found[2] or ""
    if unit in _SECONDS:
        if abs(number) * _SECONDS[unit] > MAX_SECONDS:
            raise _refuse("shift", text, f"{amount} is more than 10,000 years")
        return Disturbance("shift", text, column, number * _SECONDS[unit], "seconds")
    return Disturbance("shift", text, column, number, "%" if unit == "%" else "sd" if unit == "sd" else "")


def _parse_scale(text: str) -> Disturbance:
    column, factor = _split_column("scale", text)
    if not re.fullmatch(_NUMBER, factor) or not isfinite(float(factor)):
        raise _refuse("scale", text, f"{factor!r} is not a number")
    if float(factor) == 1:
        raise _refuse("scale", text, "a factor of 1 changes nothing")
    return Disturbance("scale", text, column, float(factor))


def _parse_missing(text: str) -> Disturbance:
    column, share = _split_column("missing", text)
    return Disturbance("missing", text, column, _parse_share("missing", text, share))


def _parse_category(text: str) -> Disturbance:
    column, rest = _split_column("category", text)
    value, colon, share = rest.rpartition(":")
    if not colon or not value.strip():
        raise _refuse("category", text)
    return Disturbance("category", text, column, _parse_share("category", text, share.strip()), value=value.strip())


def _parse_share(kind: DisturbanceKind, text: str, share: str) -> float:
    found = re.fullmatch(rf"({_NUMBER})\s*%", share)
    if not found:
        raise _refuse(kind, text, f"{share!r} is not a share in percent")
    if not 0 < (percent := float(found[1])) <= 100:
        raise _refuse(kind, text, f"a share is more than 0% and at most 100%, not {share}")
    return percent / 100


def _parse_drop(text: str) -> Disturbance:
    if not text.strip():
        raise _refuse("drop", text)
    return Disturbance("drop", text, text.strip())


def _parse_shuffle(text: str) -> Disturbance:
    if not text.strip():
        raise _refuse("shuffle", text)
    return Disturbance("shuffle", text, text.strip())


def _parse_rows(text: str) -> Disturbance:
    if not re.fullmatch(r"\d{1,15}", text.strip()) or int(text.strip()) == 0:
        raise _refuse("rows", text)
    return Disturbance("rows", text, amount=int(text.strip()))


_PARSERS: dict[str, Callable[[str], Disturbance]] = {
    "shift": _parse_shift,
    "scale": _parse_scale,
    "missing": _parse_missing,
    "category": _parse_category,
    "drop": _parse_drop,
    "shuffle": _parse_shuffle,
    "rows": _parse_rows,
}
