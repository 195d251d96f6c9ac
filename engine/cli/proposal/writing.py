"""Values as YAML and SQL write them: whatever a column is called, what is read back is its name."""

import math
import re

from engine.models.classes import Class
from engine.spec.variables import escape

_PLAIN = re.compile(r"(\.\.?/)*[A-Za-z_][A-Za-z0-9_./-]*")
_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})


def text(value: str, *, filled: bool = True) -> str:
    """Return a text as a YAML scalar that reads as it, whatever is in it; `filled`: variables are filled in there."""
    if _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    shown = escape(value) if filled else value
    return '"' + "".join(escaped(character) for character in shown) + '"'


def escaped(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    if character.isprintable():
        return character
    return f"\\u{ord(character):04x}" if ord(character) < 0x10000 else f"\\U{ord(character):08x}"


def is_key(name: str) -> bool:
    """Whether the name can be a key of a spec: in keys nothing is filled in, and so nothing is escaped."""
    return name != "" and "${" not in name


def scalar(value: Class) -> str:
    return text(value) if isinstance(value, str) else str(value).lower()


def quoted(value: str) -> str:
    return '"' + "".join(map(escaped, escape(value))) + '"'


def rounded(value: float) -> float:
    return float(f"{value:.3g}") if math.isfinite(value) else value


def number(value: float) -> str:
    """Return a number as YAML reads it: no exponent without a sign, no whole number that is too long."""
    return f"{value:.0f}" if value.is_integer() and abs(value) < 1e15 else repr(value)
