"""Numbers as text: plain for messages, aligned for terminal tables, typographic for pages."""

import math
from collections.abc import Callable

MISSING = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def format_number(value: object) -> str:
    """Return a float with six significant digits, anything else by `str`."""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def format_count(number: int, noun: str) -> str:
    """Return a number of things: 1 file, 12,345 files; the plural of the noun ends in s."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def format_cell(value: float) -> str:
    """Return a number for a table: four significant digits, or an integer with thousands separators."""
    whole = abs(value) < 1e15 and (abs(value) >= 1000 or value == int(value))
    return f"{value:,.0f}" if whole else f"{value:.4g}"


def format_figure(value: float | None) -> str:
    """Return a number for a page, with four significant digits: 71,160, 0.5965, 2.3 × 10⁻⁷."""  # noqa: RUF002  (the multiplication sign is intended)
    if value is None:
        return MISSING
    sign, size = (MINUS if value < 0 else ""), abs(value)
    if math.isinf(size):
        return f"{sign}∞"
    if size == int(size) and size < 1e9:
        return f"{sign}{int(size):,}"
    if size >= 1e9 or size < 1e-4:
        mantissa, exponent = f"{size:.3e}".split("e")
        power = str(int(exponent)).translate(_SUPERSCRIPTS)
        return f"{sign}{_strip_zeros(mantissa)} \N{MULTIPLICATION SIGN} 10{power}"
    decimals = max(0, 3 - math.floor(math.log10(size)))
    return sign + _strip_zeros(f"{size:,.{decimals}f}")


def _strip_zeros(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text


def format_share(value: float | None) -> str:
    """Return a share as a percentage with three significant digits."""
    return MISSING if value is None else f"{format_figure(float(f'{value * 100:.3g}'))} %"


def format_p_value(value: float | None) -> str:
    """Return a p-value; one below 0.0001 as `< 0.0001`."""
    return "< 0.0001" if value is not None and value < 1e-4 else format_figure(value)


def format_seconds(seconds: float) -> str:
    """Return a time span in the notation of specs, in one unit with three significant digits: 90s, 36h, 12.5d, -3h."""
    size = abs(seconds)
    # a day and a half is 36h; from three days on, hours are hard to read
    unit, length = next(
        (unit for unit in (("d", 86_400), ("h", 3_600), ("m", 60)) if size >= unit[1] * (3 if unit[0] == "d" else 1)),
        ("s", 1),
    )
    return f"{float(f'{seconds / length:.3g}'):g}{unit}"


def format_duration(seconds: float) -> str:
    """Return a duration: 0.018 s, 0.4 s, 12 s, 3 min 20 s, 2 h 5 min."""
    if seconds < 0.1:
        return f"{round(seconds, 3):g} s"
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def format_bytes(size: int) -> str:
    """Return a size with three significant digits: 512 B, 12.3 MB; 1 MB is 1,000,000 B."""
    units = (("GB", 10**9), ("MB", 10**6), ("kB", 10**3), ("B", 1))
    unit, length = next((one for one in units if size >= one[1]), units[-1])
    return f"{float(f'{size / length:.3g}'):,g} {unit}"


def format_ends(low: float | None, high: float | None, form: Callable[[float], str]) -> str:
    """Return the ends of an interval as text: 0.741 to 0.786; empty if there is none."""
    return "" if low is None or high is None else f"{form(low)} to {form(high)}"


def format_interval(value: str, low: float | None, high: float | None, form: Callable[[float], str]) -> str:
    """Return a formatted value with its interval in parentheses, if it has one: 0.764 (0.741 to 0.786)."""
    ends = format_ends(low, high, form)
    return f"{value} ({ends})" if ends else value
