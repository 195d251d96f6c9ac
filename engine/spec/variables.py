"""`${name}`: the one resolver of references.

Names, dots, `['…']`, nothing more: no filters, loops or templates, so that a text can neither run code nor grow
without bound, and every name in it can be checked before anything runs. References are filled in after the YAML is
parsed, in text scalars only: a value can change neither the structure of a spec nor that of a query.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date

from engine.spec.core import NumberError, Plain, core
from engine.spec.diagnostics import Findings
from engine.spec.problem import did_you_mean
from engine.spec.tree import ScalarNode

Value = Plain | date


class Invalid:
    """Stands for a value that a finding was made about."""


INVALID = Invalid()
MAX_REFERENCES = 1000

_TOKEN = re.compile(
    r"\$\$\{|\$\{(?:\s*(?P<env>env\.[^}:]*)(?::-(?P<default>[^}]*))?|(?P<path>(?:\['[^']*'\]|[^}\[])*))\}|\$\{"
)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PART = re.compile(r"\.([A-Za-z_][A-Za-z0-9_]*)|\['([^']*)'\]")


@dataclass(frozen=True, slots=True)
class Reference:
    """A `${…}` in a text. `parts` are its names; none if it is malformed. `default` is what follows `:-`."""

    offset: int
    length: int
    text: str
    parts: tuple[str, ...]
    default: str | None = None


def is_identifier(name: str) -> bool:
    """Whether the name can stand in `${name}` and in a condition."""
    return _NAME.fullmatch(name) is not None


def references(text: str) -> list[Reference]:
    """Return every reference of the text, in order; `$${` is none."""
    found = []
    for token in _TOKEN.finditer(text):
        if token[0] == "$${":
            continue
        path = token["env"] or token["path"] or ""
        found.append(Reference(token.start(), len(token[0]), token[0], _parts(path.strip()), token["default"]))
    return found


def _parts(path: str) -> tuple[str, ...]:
    first = _NAME.match(path)
    if not first:
        return ()
    parts, at = [first[0]], first.end()
    while at < len(path):
        part = _PART.match(path, at)
        if not part:
            return ()
        parts.append(part[1] if part[1] is not None else part[2])
        at = part.end()
    return tuple(parts)


def lookup(parts: tuple[str, ...], names: Mapping[str, object]) -> object:
    """Return what the names lead to; raises KeyError with the first part that leads nowhere."""
    value: object = names
    for part in parts:
        if not isinstance(value, Mapping) or part not in value:
            raise KeyError(part)
        value = value[part]
    return value


def as_text(value: object) -> str:
    """Return a value as it stands in a text: `2017-10-01`, `0.45`, `true`; nothing for no value."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.isoformat() if isinstance(value, date) else str(value)


def shown(value: object) -> str:
    """Return a value as an error quotes it: `"text"`, `5`, `nothing`; long texts are cut."""
    if isinstance(value, str):
        return f'"{value[:60]}…"' if len(value) > 60 else f'"{value}"'
    return "nothing" if value is None else as_text(value).removesuffix(".0")


def fill(text: str, names: Mapping[str, object], otherwise: Callable[[Reference], str] | None = None) -> str:
    """Fill every reference of a text in.

    Parameters
    ----------
    text
        A text with `${…}`; `$${` becomes `${`.
    names
        What the first part of a reference names; mappings are walked by the parts that follow.
    otherwise
        What stands where a reference leads nowhere.

    Raises
    ------
    KeyError
        A reference leads nowhere and there is no `otherwise`.
    """
    out, at = [], 0
    for reference in references(text):
        out.append(text[at : reference.offset].replace("$${", "${"))
        try:
            out.append(as_text(lookup(reference.parts, names) if reference.parts else _nowhere(reference)))
        except KeyError:
            if otherwise is None:
                raise
            out.append(otherwise(reference))
        at = reference.offset + reference.length
    out.append(text[at:].replace("$${", "${"))
    return "".join(out)


def _nowhere(reference: Reference) -> object:
    raise KeyError(reference.text)


def only_reference(text: str) -> Reference | None:
    """Return the reference that is the whole text, if there is one."""
    found = references(text)
    return found[0] if len(found) == 1 and found[0].length == len(text) else None


def escape(text: str) -> str:
    """Return the text with `${` escaped, so that reading it gives the text again."""
    return text.replace("${", "$${")


def read_value(text: str) -> Value:
    """Read a text as a plain value of `variables:` reads: a number, true, an ISO date, else text."""
    try:
        value = core(text)
    except NumberError:
        return text
    return iso_date(value) or value if isinstance(value, str) else value


def iso_date(text: str) -> date | None:
    """Return the date of `2017-10-01`; None for any other text."""
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text, re.ASCII):
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def too_many_references(node: ScalarNode, findings: Findings) -> bool:
    """Whether a text holds more references than anybody writes; says so."""
    if node.text.count("${") <= MAX_REFERENCES:
        return False
    findings.error(node.position, "malformed-reference", f"more than {MAX_REFERENCES} ${{…}} in one text")
    return True


def undeclared(node: ScalarNode, reference: Reference, declared: Mapping[str, object], findings: Findings) -> None:
    """Add the finding about a reference to no variable."""
    at = node.at(reference.offset, reference.length)
    if not reference.parts:
        help_ = "write ${name}, ${name.name} or ${name['any text']}; $${ stands for ${ itself"
        findings.error(at, "malformed-reference", f"{reference.text[:60]} is not a reference", help_)
        return
    name = ".".join(reference.parts)
    help_ = did_you_mean(name, declared, "the variables are") if declared else "declare it under variables:"
    findings.error(at, "undeclared-variable", f'no variable "{name[:60]}" is declared', help_)
