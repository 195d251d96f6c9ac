"""References such as `${name}`: finding them in a text, and filling them in.

A reference consists of names, dots and `['…']`; a date may have days added, as in `${as_of - 7d}`. There is
deliberately no template language with filters and loops:
without it, a text cannot run code or grow without bound, and every name in it can be checked before anything runs.
References are filled in after the YAML has been parsed, in scalars only, so a value cannot change the structure of a
spec.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import date, timedelta
from typing import Any, NamedTuple

from engine.formatting.hints import did_you_mean, find_similar
from engine.spec.diagnostics import Findings
from engine.spec.variables.moment import FIRE_NAMES, MOMENT_NAMES
from engine.spec.yaml.yaml_scalars import NumberError, PlainValue, resolve_scalar
from engine.spec.yaml.yaml_tree import ScalarNode

Value = PlainValue | date


class Invalid:
    """The class of INVALID, which replaces a value that has been reported as wrong."""


INVALID = Invalid()
MAX_TEXT_REFERENCES = 1000
FIRE_NAME_HELP = (
    "only messages and the variables of a trigger may use this name: declare a variable, and give it the value in the "
    "trigger"
)
SHIFT_HELP = "a variable is a date if its value is one, such as 2017-10-01; as_of, yesterday and month_start are dates"

# `$${`, or a whole reference, or a lone `${`. A default may contain anything but `}`; a text in ['…'] also braces.
_REFERENCE_PATTERN = re.compile(
    r"\$\$\{|\$\{(?:\s*(?P<env>env\.[^}:]*)(?::-(?P<default>[^}]*))?|(?P<path>(?:\['[^']*'\]|[^}\[])*))\}|\$\{"
)
_NAME_PATTERN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PART_PATTERN = re.compile(r"\.([A-Za-z_][A-Za-z0-9_]*)|\['([^']*)'\]")
_DAYS_PATTERN = re.compile(r"(?P<path>.*?)\s*(?P<sign>[-+])\s*(?P<days>[0-9]{1,7})\s*d\s*", re.DOTALL)


class VariableReference(NamedTuple):
    """A `${…}` in a text.

    Attributes
    ----------
    parts
        Its names; empty if it is malformed.
    default
        The text after `:-`.
    days
        The days to add to a date: -7 for `${as_of - 7d}`.
    """

    offset: int
    length: int
    text: str
    parts: tuple[str, ...]
    default: str | None = None
    days: int = 0

    def add_days(self, value: Any) -> Any:
        """Return the value of the reference, given the values of its names.

        Raises
        ------
        ValueError
            Days are to be added to what is not a date, or to one that has no date so many days away.
        """
        if not self.days:
            return value
        if not isinstance(value, date):
            raise ValueError(f"days can be added to a date only, and {'.'.join(self.parts)[:60]} is not a date")
        try:
            return value + timedelta(days=self.days)
        except OverflowError:
            raise ValueError(f"there is no date {abs(self.days)} days away from {value}") from None


def is_identifier(name: str) -> bool:
    """Return whether the name can be written as `${name}` and in a condition."""
    return _NAME_PATTERN.fullmatch(name) is not None


def find_references(text: str) -> list[VariableReference]:
    """Return all references of a text, in order. An escaped `$${` is not a reference."""
    found = []
    for token in _REFERENCE_PATTERN.finditer(text):
        if token[0] == "$${":
            continue
        path, days = token["env"] or token["path"] or "", 0
        if shifted := _DAYS_PATTERN.fullmatch(path):
            path, days = shifted["path"], int(shifted["sign"] + shifted["days"])
        parts = _split_names(path.strip())
        found.append(VariableReference(token.start(), len(token[0]), token[0], parts, token["default"], days))
    return found


def _split_names(path: str) -> tuple[str, ...]:
    """Split `a.b['c']` into its names; return nothing if it is malformed."""
    first = _NAME_PATTERN.match(path)
    if not first:
        return ()
    parts, at = [first[0]], first.end()
    while at < len(path):
        part = _PART_PATTERN.match(path, at)
        if not part:
            return ()
        parts.append(part[1] if part[1] is not None else part[2])
        at = part.end()
    return tuple(parts)


def lookup_names(parts: tuple[str, ...], names: Mapping[str, object]) -> object:
    """Return what a path of names leads to. Raise KeyError with the first name that does not exist."""
    value: object = names
    for part in parts:
        if not isinstance(value, Mapping) or part not in value:
            raise KeyError(part)
        value = value[part]
    return value


def format_value(value: object) -> str:
    """Return a value as it is filled into a text: `2017-10-01`, `0.45`, `true`; an empty text for null."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.isoformat() if isinstance(value, date) else str(value)


def quote_value(value: object) -> str:
    """Return a value as an error message quotes it: `"text"`, `5`, `nothing`. Long texts are cut."""
    if isinstance(value, str):
        return f'"{value[:60]}…"' if len(value) > 60 else f'"{value}"'
    return "nothing" if value is None else format_value(value).removesuffix(".0")


def fill_references(
    text: str, names: Mapping[str, object], otherwise: Callable[[VariableReference], str] | None = None
) -> str:
    """Return a text with all its references filled in.

    Parameters
    ----------
    text
        A text with `${…}`; `$${` becomes `${`.
    names
        Values by the first name of a reference. Further names are looked up in mappings among these values.
    otherwise
        Gives the text for a reference whose names do not exist.

    Raises
    ------
    KeyError
        The names of a reference do not exist, and `otherwise` is not given.
    ValueError
        Days are to be added to what is not a date.
    """
    # Escapes are undone between references only, so a value is filled in as it is, whatever it contains.
    out, at = [], 0
    for reference in find_references(text):
        out.append(text[at : reference.offset].replace("$${", "${"))
        try:
            found = lookup_names(reference.parts, names) if reference.parts else _raise_key_error(reference)
            out.append(format_value(reference.add_days(found)))
        except KeyError:
            if otherwise is None:
                raise
            out.append(otherwise(reference))
        at = reference.offset + reference.length
    out.append(text[at:].replace("$${", "${"))
    return "".join(out)


def _raise_key_error(reference: VariableReference) -> object:
    raise KeyError(reference.text)


def find_only_reference(text: str) -> VariableReference | None:
    """Return the reference that makes up the whole text, or None if there is no such reference."""
    found = find_references(text)
    return found[0] if len(found) == 1 and found[0].length == len(text) else None


def escape_references(text: str) -> str:
    """Return the text with `${` escaped, so that filling it in gives the text again."""
    return text.replace("${", "$${")


def parse_value(text: str) -> Value:
    """Parse a text like an unquoted value of `variables:`: a number, true or false, an ISO date, or else text."""
    try:
        value = resolve_scalar(text)
    except NumberError:
        return text
    return parse_iso_date(value) or value if isinstance(value, str) else value


def parse_iso_date(text: str) -> date | None:
    """Return the date of a text such as `2017-10-01`, or None for any other text."""
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text, re.ASCII):
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def report_too_many_references(node: ScalarNode, findings: Findings) -> bool:
    """Return whether a text has too many references, and report it if so."""
    if node.text.count("${") <= MAX_TEXT_REFERENCES:
        return False
    message = f"this text has more than {MAX_TEXT_REFERENCES} variables ${{…}}"
    findings.error(node.position, "malformed-reference", message, "shorten it")
    return True


def report_undeclared_variable(
    node: ScalarNode, reference: VariableReference, declared: Mapping[str, object], findings: Findings
) -> None:
    """Report a reference that is malformed, or whose variable is not declared."""
    at = node.position_of(reference.offset, reference.length)
    if not reference.parts:
        help_ = (
            "write ${name}, ${name.name}, ${name['any text']} or, for a date, ${name - 7d}, where a name consists of "
            "A-Z a-z 0-9 _; for a literal ${ write $${"
        )
        findings.error(at, "malformed-reference", f"{reference.text[:60]} is not a valid ${{…}}", help_)
        return
    name = ".".join(reference.parts)
    findings.error(
        at, "undeclared-variable", f'variable "{name[:60]}" is not declared', suggest_variable(name, declared)
    )


def suggest_variable(name: str, declared: Iterable[str]) -> str:
    """Return the help for a variable that is not declared: a similar name, or how to declare it."""
    known = list(declared)
    if name in FIRE_NAMES:
        return FIRE_NAME_HELP
    if similar := find_similar(name, known) or find_similar(name, MOMENT_NAMES, 0.75):
        return f'did you mean "{similar}"?'
    return did_you_mean(name, known, "the variables are") if known else "declare it under variables:"


def report_shift(node: ScalarNode, reference: VariableReference, value: Value, findings: Findings) -> Value | Invalid:
    """Return the value of a reference, given that of its name; INVALID with a finding if it is not a date."""
    try:
        shifted: Value = reference.add_days(value)
    except ValueError as problem:
        at = node.position_of(reference.offset, reference.length)
        findings.error(at, "variable-value", str(problem), SHIFT_HELP)
        return INVALID
    return shifted
