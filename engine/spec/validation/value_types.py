"""The types of the keys of the language, read from the annotations of the resource classes.

The classes in `resources` declare the language; nothing else repeats their keys. This module turns their type hints,
constraints and markers into a `ValueType`, which converts a value and describes in words what is allowed. An unknown
hint or marker raises TypeError, so that a new one cannot remain unchecked by mistake.
"""

import math
import re
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen
from pydantic.fields import FieldInfo

from engine.formatting.numbers import format_count
from engine.spec.resources.resource import Opens, Reading, Ref, Resource
from engine.spec.variables.references import INVALID, Value, format_value, parse_iso_date

Constraint = Ge | Gt | Le | Lt | MinLen | MaxLen

RAW_READINGS = ("message", "condition", "sql", "statement", "secret", "trigger", "where")
"""Readings of texts that a project keeps as they are written, without filling in variables."""

_DURATION_PATTERN = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?) ?(ms|s|m|h|d)")
_SECONDS_PER_UNIT = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION_WORDS = {"minutely": "1m", "hourly": "1h", "daily": "1d", "nightly": "1d", "weekly": "7d"}
_SCALAR_NAMES: dict[type, str] = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    date: "a date such as 2017-10-01",
    datetime: "a time such as 2017-10-01T12:30:00",
    timedelta: "a duration such as 90s, 15m, 2h or 1d",
}


class ValueType(NamedTuple):
    """The values that a key allows. If the type hint is a union, several of these attributes are set.

    Attributes
    ----------
    scalars, literals, nullable
        Types of scalars, single values, and whether null is allowed.
    resources
        The resources that a mapping may be, one per kind.
    items, values
        Type of the items of a list, and of the values of a mapping with free names.
    key_reading
        The `reading` of the keys of such a mapping, if they are texts to check (such as metrics) and not free names.
    constraints
        Limits of a number, or of the length of a text, list or mapping.
    reading, sections
        What kind of text it is (message, condition, sql, secret, metric, function, trigger or cron; None for any
        other), and the sections in which it names a resource.
    """

    scalars: frozenset[type] = frozenset()
    literals: tuple[str | int, ...] = ()
    nullable: bool = False
    resources: tuple[type[Resource], ...] = ()
    items: "ValueType | None" = None
    values: "ValueType | None" = None
    key_reading: str | None = None
    constraints: tuple[Constraint, ...] = ()
    reading: str | None = None
    sections: tuple[str, ...] = ()

    @property
    def takes_numbers_as_text(self) -> bool:
        """Return whether a number is taken as the text that was written."""
        return str in self.scalars and not self.scalars & {int, float}

    def convert(self, value: Value) -> Any:
        """Return a scalar converted to this type, or INVALID. Constraints are not checked."""
        if value is None:
            return None if self.nullable or NoneType in self.scalars else INVALID
        if any(value == word and type(value) is type(word) for word in self.literals):
            return value
        if isinstance(value, bool):
            return value if bool in self.scalars else INVALID
        if isinstance(value, int | float):
            return self._convert_number(value)
        if isinstance(value, date):
            return value if date in self.scalars else value.isoformat() if str in self.scalars else INVALID
        return value if str in self.scalars else self._convert_time(value)

    def _convert_number(self, value: int | float) -> Any:
        if int in self.scalars and (isinstance(value, int) or (value.is_integer() and float not in self.scalars)):
            return int(value)
        if float in self.scalars:
            return float(value)
        if timedelta in self.scalars:
            return timedelta(seconds=value) if math.isfinite(value) and abs(value) < 1e9 else INVALID
        return format_value(value) if self.takes_numbers_as_text else INVALID

    def _convert_time(self, value: str) -> Any:
        if date in self.scalars and (day := parse_iso_date(value)):
            return day
        if datetime in self.scalars and re.match(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ]", value):
            try:
                return datetime.fromisoformat(value)
            except ValueError:
                return INVALID
        if timedelta in self.scalars and (duration := parse_duration(value)) is not None:
            return duration
        return INVALID

    def describe(self) -> str:
        """Describe the allowed values for a message."""
        listed = ", ".join(map(str, self.literals))
        words = [f"one of {listed}" if len(self.literals) > 1 else listed] if self.literals else []
        if {int, float, str, bool} <= self.scalars:
            words.append("text, a number, true or false")
        else:
            words += [
                _SCALAR_NAMES[kind]
                for kind in _SCALAR_NAMES
                if kind in self.scalars and not (kind is int and float in self.scalars)
            ]
        if self.items:
            words.append("a list")
        if self.values or self.resources:
            required = [key for one in self.resources for key, info in list_keys(one).items() if info.required]
            words.append(f"a mapping with {required[0]}" if len(required) == 1 else "a mapping")
        return " or ".join(words) + self._describe_limits()

    def _describe_limits(self) -> str:
        low = next((c.ge if isinstance(c, Ge) else c.gt for c in self.constraints if isinstance(c, Ge | Gt)), None)
        high = next((c.le if isinstance(c, Le) else c.lt for c in self.constraints if isinstance(c, Le | Lt)), None)
        kinds = {type(c) for c in self.constraints}
        if timedelta in self.scalars and low is not None:
            return ", longer than 0"
        if low is not None and high is not None:
            return f" between {low} and {high}" + (
                ", both excluded" if {Gt, Lt} <= kinds else ", 0 excluded" if Gt in kinds else ""
            )
        if low is not None:
            return f" of at least {low}" if Ge in kinds else f" above {low}"
        shortest = next((c.min_length for c in self.constraints if isinstance(c, MinLen)), None)
        longest = next((c.max_length for c in self.constraints if isinstance(c, MaxLen)), None)
        if shortest is not None and shortest == longest:
            return f" of {format_count(shortest, 'character')}"
        return f" with at least {shortest} " + ("entries" if shortest > 1 else "entry") if shortest else ""


def parse_duration(text: str) -> timedelta | None:
    """Return the duration of a text such as 90s, 15m, 2h or 1d; None for any other text and above 31 years."""
    found = _DURATION_PATTERN.fullmatch(text)
    seconds = float(found[1]) * _SECONDS_PER_UNIT[found[2]] if found else math.inf
    return timedelta(seconds=seconds) if seconds < 1e9 else None


def suggest_duration(text: str) -> str | None:
    """Return a duration as the language writes it for a text such as `2w`, `1h30m` or `10 minutes`, if it is one."""
    if text.lower() in _DURATION_WORDS:
        return _DURATION_WORDS[text.lower()]
    if two := re.fullmatch(r"([0-9]{1,4}) ?([dh]) ?([0-9]{1,4}) ?([hm])", text.lower()):
        each = {"dh": 24, "hm": 60}.get(two[2] + two[4])
        return f"{int(two[1]) * each + int(two[3])}{two[4]}" if each else None
    found = re.fullmatch(r"([0-9]{1,6}) *([a-z]+)", text.lower())
    if not found:
        return None
    count, word = int(found[1]), found[2]
    if word in ("w", "week", "weeks"):
        return f"{7 * count}d"
    units = {"ms": "millisecond", "s": "second", "m": "minute", "h": "hour", "d": "day"}
    short = {"sec": "s", "secs": "s", "min": "m", "mins": "m", "hr": "h", "hrs": "h"}
    unit = next((unit for unit, whole in units.items() if word in (unit, whole, f"{whole}s")), short.get(word))
    return f"{count}{unit}" if unit and count else None


def satisfies_constraint(constraint: Constraint, value: Any) -> bool:
    """Return whether a value satisfies a constraint.

    A constraint on length holds for a value that has no length, and one on order for a value that has no order. To
    check the length of a list or mapping, give `range(length)` as the value.
    """
    match constraint:
        case MinLen(length):
            return not hasattr(value, "__len__") or len(value) >= length
        case MaxLen(length):
            return not hasattr(value, "__len__") or len(value) <= length
        case _ if value is None or isinstance(value, str | range | bool):
            return True
        case Ge(bound):
            return bool(value >= bound)
        case Gt(bound):
            return bool(value > bound)
        case Le(bound):
            return bool(value <= bound)
        case Lt(bound):
            return bool(value < bound)


class ResourceKey(NamedTuple):
    """A key of a resource: its type, whether it must be given, its text on the reference page, and its default."""

    type: ValueType
    required: bool
    description: str
    default: object


@cache
def list_keys(resource: type[Resource]) -> dict[str, ResourceKey]:
    """Return the keys of a resource, by the names that users write (`from`, not `from_`)."""
    return {
        info.alias or name: ResourceKey(
            _parse_annotation(info.annotation, info.metadata), info.is_required(), info.description or "", info.default
        )
        for name, info in resource.model_fields.items()
    }


def _parse_annotation(hint: Any, metadata: Iterable[Any] = ()) -> ValueType:
    """Return the type of a hint with its markers: those of `Annotated`, and those of the pydantic field."""
    marks = list(metadata)
    if get_origin(hint) is Annotated:
        hint, *more = get_args(hint)
        marks = [*more, *marks]
    made = _parse_hint(hint)
    for mark in marks:
        if isinstance(mark, FieldInfo):
            marks.extend(mark.metadata)  # Field(gt=0) inside Annotated: its constraints follow in this loop
        elif isinstance(mark, Constraint):
            made = made._replace(constraints=(*made.constraints, mark))
        elif isinstance(mark, Reading):
            made = made._replace(reading=mark.name)
        elif isinstance(mark, Ref):
            made = made._replace(sections=mark.sections)
        elif isinstance(mark, Opens):
            pass  # any text may be a path; `rules/reach.py` checks where it leads
        else:
            raise TypeError(f"no code checks the marker {mark!r} of a resource")
    return made


def _parse_hint(hint: Any) -> ValueType:
    """Return the type of a hint that is not `Annotated`."""
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return _merge_types([_parse_annotation(arg) for arg in args])
    if origin is Literal:
        return ValueType(literals=args)
    if origin is list:
        return ValueType(items=_parse_annotation(args[0]))
    if origin is dict:
        return ValueType(values=_parse_annotation(args[1]), key_reading=_parse_annotation(args[0]).reading)
    if hint is NoneType:
        return ValueType(nullable=True)
    if hint in _SCALAR_NAMES:
        return ValueType(scalars=frozenset({hint}))
    if isinstance(hint, type) and issubclass(hint, Resource):
        return ValueType(resources=(hint,))
    raise TypeError(f"no code converts values of type {hint!r}, which a resource uses")


def _merge_types(members: list[ValueType]) -> ValueType:
    return ValueType(
        scalars=frozenset().union(*(m.scalars for m in members)),
        literals=tuple(word for m in members for word in m.literals),
        nullable=any(m.nullable for m in members),
        resources=tuple(r for m in members for r in m.resources),
        items=next((m.items for m in members if m.items), None),
        values=next((m.values for m in members if m.values), None),
        key_reading=next((m.key_reading for m in members if m.key_reading), None),
        constraints=tuple(c for m in members for c in m.constraints),
        reading=next((m.reading for m in members if m.reading), None),
        sections=next((m.sections for m in members if m.sections), ()),
    )
