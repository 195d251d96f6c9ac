"""Sentences that say what to write in a spec so that a text column is read as the values it contains."""

from engine.drift.reading.text_readings import Notation, TextFinding, TextReading

ONE_ORDER = "write all its dates in one order, such as 2025-12-31; if the column is text, declare type: text"
"""Advice for a column whose dates differ in the order of day, month and year."""


def describe_text_column(name: str, found: TextFinding, where: str, advice: str) -> str:
    """Return the warning about a column that is text but looks like something else."""
    reading = found.reading
    assert reading is not None  # noqa: S101 - called for findings with one
    share = "all" if found.share == 1.0 else f"{_format_share(found.share)} %"
    odd = f"; {where or 'one value'} holds {found.odd[:60]!r}" if found.odd is not None else ""
    return (
        f"column {name!r} is text, but {share} of its values read as {reading.describe()}, such as {found.example!r}"
        f"{odd}: {advice}"
    )


def advise_on_times(name: str, times: str) -> str:
    """Return the warning about a column of integers that look like times."""
    return (
        f"column {name!r} holds whole numbers that look like {times}: a time always differs between two periods; "
        "declare role: ignore, or role: numerical if it is none"
    )


def _format_share(share: float) -> str:
    return "99.9" if share >= 0.999 else f"{100 * share:.3g}"


def advise_on_finding(found: TextFinding, notation: Notation) -> str:
    """Return what to write in the spec so that a column of a CSV file is read as what it looks like."""
    reading = found.reading
    assert reading is not None  # noqa: S101 - called for findings with one
    if found.orders_differ:
        return ONE_ORDER
    if reading.type in ("date", "datetime") and found.alternatives:
        orders = dict.fromkeys([reading.order, *(other.order for other in found.alternatives)])
        return "declare csv: " + " or csv: ".join(f"{{date_order: {order}}}" for order in orders)
    if found.odd is not None:
        return (
            f"correct {found.odd[:60]!r} or remove its line; if it means missing, add it to csv: null_values; "
            "if the column is text, declare type: text"
        )
    keys = _missing_keys(reading, notation)
    other = next((one for one in found.alternatives if one.decimal != reading.decimal and not one.thousands), None)
    if other is not None and reading.thousands == other.decimal:
        return (
            f"declare csv: {{{keys}}} if {reading.thousands!r} stands between thousands, "
            f"csv: {{{_missing_keys(other, notation)}}} if it is the decimal mark, type: text if it is neither"
        )
    if keys:
        return f"declare csv: {{{keys}}}, or type: text"
    if reading.sign:
        return "its values have several signs; convert them to one unit, or declare type: text"
    return f"declare type: {reading.type}, or type: text"


def _missing_keys(reading: TextReading, notation: Notation) -> str:
    keys = []
    if reading.decimal == "," and not notation.decimal_comma:
        keys.append("decimal_comma: true")
    if reading.decimal == "." and notation.decimal_comma:
        keys.append("decimal_comma: false")
    if reading.thousands and reading.thousands != notation.thousands:
        quote = '"' if reading.thousands != '"' else "'"
        keys.append(f"thousands: {quote}{reading.thousands}{quote}")
    return ", ".join(keys)
