"""Explains cron expressions: the problems of invalid ones, and possible surprises of valid ones.

cronsim reads them by the rules of Debian's cron. It is imported by the first expression; its own errors name a field
alone, so that each part is tried by itself here.
"""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from engine.formatting.lists import join_words
from engine.spec.problem import Problem

_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_DAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_NICKNAMES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_EPOCH = datetime(2000, 1, 1)  # noqa: DTZ001  any moment does: whether an expression is legal does not depend on it


class CronField(NamedTuple):
    """A field of an expression: its name, its lowest and highest value, their names, and its valid form as text."""

    name: str
    low: int
    high: int
    allowed: str
    words: tuple[str, ...] = ()


CRON_FIELDS = (
    CronField("minute", 0, 59, "0 to 59"),
    CronField("hour", 0, 23, "0 to 23"),
    CronField("day of the month", 1, 31, "1 to 31, L for the last day or LW for the last weekday"),
    CronField("month", 1, 12, "1 to 12 or JAN to DEC", _MONTHS),
    CronField(
        "day of the week",
        0,
        6,
        "0 to 7 or SUN to SAT, MON#2 for the second Monday or 5L for the last Friday",
        _DAYS,
    ),
)
"""The fields in order. The day of the week may also be 7, which is Sunday as 0 is."""


def find_cron_problem(text: str) -> Problem | None:
    """Return the problem of an expression; None if it is valid."""
    fields = [*re.finditer(r"\S+", text)]
    if len(fields) != len(CRON_FIELDS):
        help_ = _suggest_five_fields([found[0] for found in fields])
        message = f"a cron expression has five fields, but this has {len(fields)}"
        return Problem(0, len(text), "cron", message, help_)
    for field, found in zip(CRON_FIELDS, fields, strict=True):
        for item in re.finditer(r"[^,]+|(?<![^,])(?=,|$)", found[0]):
            if not _is_legal_item(field, item[0]):
                message = f'"{item[0][:60]}" is not a valid {field.name} of a cron expression'
                if not item[0]:
                    message = f"the list of the {field.name} has an empty entry"
                return Problem(
                    found.start() + item.start(), len(item[0]), "cron", message, _suggest_item(field, item[0])
                )
    if not _has_times(text):
        day = fields[2]
        message = (
            f"no date matches day {day[0]} together with this month and day of the week, so this never starts a run"
        )
        return Problem(
            day.start(), len(day[0]), "cron", message, "write a day that these months have, or L for the last day"
        )
    return None


def find_cron_surprises(text: str) -> Iterator[Problem]:
    """Yield the meanings of a valid expression that many do not expect."""
    fields = [*re.finditer(r"\S+", text)]
    for field, found in zip(CRON_FIELDS[:2], fields, strict=False):
        for item in re.finditer(r"[^,]+", found[0]):
            if surprise := _describe_uneven_steps(field, item[0]):
                unit = "m" if field.name == "minute" else "h"
                help_ = f"for equal intervals write kind: interval, every: {item[0].removeprefix('*/')}{unit}"
                yield Problem(found.start() + item.start(), len(item[0]), "cron-steps", surprise, help_)
    day, weekday = fields[2], fields[4]
    if "*" in (day[0], weekday[0]):
        return
    both = day[0].startswith("*") or weekday[0].startswith("*")
    message = (
        "this starts only on days that match both the day of the month and the day of the week"
        if both
        else "this starts on days that match the day of the month or the day of the week, not only on those of both"
    )
    help_ = "write * for one of the two; the first Monday of a month is MON#1, its last Friday 5L"
    yield Problem(day.start(), len(day[0]), "cron-days", message, help_)


def _with_article(name: str) -> str:
    return f"an {name}" if name == "hour" else f"a {name}"


def _has_times(text: str) -> bool:
    from cronsim import CronSim, CronSimError

    try:
        return next(CronSim(text, _EPOCH), None) is not None
    except CronSimError:
        return False


def _is_legal_item(field: CronField, item: str) -> bool:
    """Return whether one item of the list of a field is legal, such as `5`, `MON-FRI` or `*/10`."""
    from cronsim import CronSim, CronSimError

    parts = [item if other is field else "*" for other in CRON_FIELDS]
    try:
        CronSim(" ".join(parts), _EPOCH)
    except CronSimError:
        return False
    return bool(item)


def _suggest_item(field: CronField, item: str) -> str:
    """Return the help for an invalid item: the probable value, or the allowed ones."""
    parts = item.upper().split("-")
    if not item:
        return "remove one comma"
    if item == "?":
        return "write * in place of ?"
    if item.upper().startswith("H") and field.name != "month":
        return f"write a number: H, which lets other tools choose the {field.name}, is not supported"
    if field.name == "hour" and item == "24":
        return "write 0 for midnight"
    if len(parts) == 2 and all(part.isalnum() and part[0] != "L" and _is_legal_item(field, part) for part in parts):
        named = bool(field.words) and parts[0].isalpha()
        first, last = (field.words[0], field.words[-1]) if named else (field.low, field.high)
        return f"a range goes upwards: write {parts[0]}-{last},{first}-{parts[1]}"
    if any(len(part) > 3 and part.isalpha() and part[:3] in field.words for part in parts):
        return f"write {'-'.join(part[:3] for part in parts)}"
    allowed = f"{_with_article(field.name)} is {field.allowed}"
    return f"{allowed}; lists such as 1,3, ranges such as 1-5 and steps such as */2 are possible"


def _suggest_five_fields(fields: list[str]) -> str:
    """Return the help for a wrong number of fields: the probable expression, or a description of the fields."""
    text = " ".join(fields)
    if text.lower() in _NICKNAMES:
        return f'write "{_NICKNAMES[text.lower()]}"'
    if clock := re.fullmatch(r"([01]?\d|2[0-3]):([0-5]\d)", text):
        return f'write "{int(clock[2])} {int(clock[1])} * * *"'
    stars = ["*" if field == "?" else field for field in fields]
    # Six fields begin with seconds, or end with a year; seven do both.
    for rest, what in ((stars[1:6], "the first field is seconds"), (stars[:5], "the last field is a year")):
        if len(fields) > 5 and find_cron_problem(" ".join(rest)) is None:
            return f'write "{" ".join(rest)}": {what} in other tools, and a run starts at full minutes'
    return f'they are {join_words([field.name for field in CRON_FIELDS], "and")}, as in "30 2 * * 1-5"'


def _describe_uneven_steps(field: CronField, item: str) -> str | None:
    """Return what `*/45` means, if its times are not equally far apart; None if they are."""
    found = re.fullmatch(r"\*/(\d{1,4})", item)
    size = field.high + 1
    if not found or size % (step := int(found[1])) == 0:
        return None
    times = [str(time) for time in range(0, size, step)]
    whole = "hour" if field.name == "minute" else "day"
    if len(times) == 1:
        return f"{item} means only {field.name} 0 of each {whole}, because the steps restart with each {whole}"
    last = size - int(times[-1])
    rest = f"there are {last} {field.name}s from {field.name} {times[-1]} to the next start, not {step}"
    return f"{item} restarts with each {whole}: {rest}"
