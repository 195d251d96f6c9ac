"""Write values as YAML scalars that are read back unchanged, whatever characters a column's name has."""

import math

from engine.formatting.yaml_text import is_plain_scalar, quote_scalar
from engine.models.classes import ClassValue
from engine.spec.variables.references import escape_references


def format_text(value: str, *, filled: bool = True) -> str:
    """Return a text as a YAML scalar, quoted if necessary.

    Parameters
    ----------
    filled
        Whether the spec fills in variables at that place, so that `${` must be escaped.
    """
    if is_plain_scalar(value):
        return value
    return quote_scalar(escape_references(value) if filled else value)


def can_be_key(name: str) -> bool:
    """Return whether a name can be a key of a spec: variables are not filled in there, so `${` cannot be escaped."""
    return name != "" and "${" not in name


def format_label(value: ClassValue) -> str:
    """Return a class label as a YAML scalar."""
    return format_text(value) if isinstance(value, str) else str(value).lower()


def quote_text(value: str) -> str:
    """Return a text as a YAML scalar in double quotes."""
    return quote_scalar(escape_references(value))


def round_digits(value: float) -> float:
    """Return a number with three significant digits."""
    return float(f"{value:.3g}") if math.isfinite(value) else value


def format_yaml_number(value: float) -> str:
    """Return a number that YAML reads as a number: as an integer up to 1e15, else as Python writes a float."""
    return f"{value:.0f}" if value.is_integer() and abs(value) < 1e15 else repr(value)
