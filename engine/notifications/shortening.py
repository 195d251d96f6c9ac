"""Shortens the text of a message for a service that limits its length.

The first lines are kept whole, and a last line says how many were left out. A service that cuts a text itself does so
in the middle of a line and without notice.
"""

from collections.abc import Callable

from engine.formatting.numbers import format_count


def shorten_text(text: str, fits: Callable[[str], bool]) -> str:
    """Return `text` if it fits, else its first lines and how many more there are.

    Parameters
    ----------
    fits
        Returns whether the service accepts a text. If it accepts a text, it must accept every beginning of it.
    """
    if fits(text):
        return text
    lines = text.rstrip("\n").split("\n")
    kept = _find_largest(len(lines) - 1, lambda count: fits(_join_first(lines, count)))
    if kept:
        return _join_first(lines, kept)
    rest = f"\n{_count_rest(len(lines) - 1)}" if len(lines) > 1 else ""
    characters = _find_largest(len(lines[0]), lambda count: fits(f"{lines[0][:count]}…{rest}"))
    return f"{lines[0][:characters]}…{rest}" if characters else f"{lines[0][:1]}…"


def _join_first(lines: list[str], count: int) -> str:
    return "\n".join([*lines[:count], _count_rest(len(lines) - count)])


def _count_rest(count: int) -> str:
    return f"… and {format_count(count, 'more line')}, for which this service has no room"


def _find_largest(most: int, holds: Callable[[int], bool]) -> int:
    """Return the largest number from 1 to `most` for which `holds` is true; 0 if there is none."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if holds(middle) else (low, middle - 1)
    return low
