"""Compares a version of the engine with the range that a bundle allows."""

import re

_CONDITION = re.compile(r"\s*(>=|<=|==|!=|>|<)\s*([0-9]+(?:\.[0-9]+)*)\s*")


def fits_range(version: str, allowed: str) -> bool:
    """Return whether a version is within a range such as `>=0.3,<1`; an empty range allows every version.

    Only the numbers of a version are compared, so 0.3.0rc1 is within `>=0.3`. A range of another form allows no
    version.
    """
    found = _read_numbers(version)
    for part in filter(None, allowed.split(",")):
        matched = _CONDITION.fullmatch(part)
        if matched is None:
            return False
        bound = _read_numbers(matched[2])
        width = max(len(found), len(bound))
        one, other = found + (0,) * (width - len(found)), bound + (0,) * (width - len(bound))
        holds = {">=": one >= other, "<=": one <= other, "==": one == other, "!=": one != other, ">": one > other,
                 "<": one < other}  # fmt: skip
        if not holds[matched[1]]:
            return False
    return True


def _read_numbers(version: str) -> tuple[int, ...]:
    numbers = re.match(r"[0-9]+(?:\.[0-9]+)*", version)
    return tuple(int(part) for part in numbers[0].split(".")) if numbers else ()
