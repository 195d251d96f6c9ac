"""The core schema of YAML 1.2 (section 10.3.2): the value of an unquoted scalar.

The resolvers of PyYAML are not used: they implement YAML 1.1, which reads `on` as true, `12:30` as 750 and `010` as 8.
"""

import math
import re

PlainValue = bool | int | float | str | None

_CONSTANTS: dict[str, PlainValue] = {
    **dict.fromkeys(["", "~", "null", "Null", "NULL"], None),
    **dict.fromkeys(["true", "True", "TRUE"], True),
    **dict.fromkeys(["false", "False", "FALSE"], False),
    **dict.fromkeys([s + w for s in ("", "+") for w in (".inf", ".Inf", ".INF")], math.inf),
    **dict.fromkeys(["-.inf", "-.Inf", "-.INF"], -math.inf),
    **dict.fromkeys([".nan", ".NaN", ".NAN"], math.nan),
}
_INTEGER_PATTERN = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_NUMBER_PATTERN = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_LEADING_ZERO_PATTERN = re.compile(r"[-+]?0[0-9]+(\.[0-9]*)?")


class NumberError(ValueError):
    """A text looks like a number but cannot be used as one. `nearest` is a number to continue with in its place."""

    def __init__(self, message: str, nearest: PlainValue) -> None:
        super().__init__(message)
        self.nearest = nearest


def resolve_scalar(text: str) -> PlainValue:
    """Return the value of an unquoted scalar by the core schema of YAML 1.2.

    Raises
    ------
    NumberError
        The text has leading zeros, or the number does not fit in 64 bits.
    """
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _LEADING_ZERO_PATTERN.fullmatch(text):
        nearest = float(text) if "." in text else int(text[:300])
        raise NumberError(f"{text[:40]} has leading zeros, so it is unclear whether it is a number or text", nearest)
    if _INTEGER_PATTERN.fullmatch(text):
        if len(text) > 40:  # int() would refuse more than 4,300 digits with another error
            raise NumberError("this whole number does not fit in 64 bits", 0)
        whole = int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
        if not -(2**63) <= whole < 2**63:
            raise NumberError(f"{text} does not fit in 64 bits", 0)
        return whole
    if _NUMBER_PATTERN.fullmatch(text):
        number = float(text)
        if math.isinf(number):
            raise NumberError(f"{text[:40]} is too large for a 64-bit number", 0.0)
        return number
    return text
