"""Recognize and parse texts that are numbers, dates or booleans in another notation: `1.234,56`, `12.5%`, `31/12/2025`.

A column is read as something else than text only if that is certain: every value fits one notation and no other.
`1,234` alone may be a thousand or slightly more than one, `03/04/2025` alone may be in March or April: such a column
stays text, and the finding says what it looks like.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import polars as pl

MISSING_MARKERS = frozenset(
    {"NA", "N/A", "n/a", "na", "#N/A", "#NA", "N.A.", "<NA>", "NaN", "nan", "-nan", "NULL", "Null", "null", "None"}
    | {"none", "nil", "(null)", "-", "--", "—", "–", "?", ".", "\\N", "#DIV/0!", "#VALUE!", "#REF!"}  # noqa: RUF001  dashes of spreadsheets
)
"""Texts that mean a missing value in a column whose other values are numbers, dates or booleans."""

MIN_SHARE = 0.9
"""Minimum share of matching values for the warning that a text column looks like numbers or dates."""

TRUTH_VALUES = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}

DateOrder = Literal["dmy", "mdy", "ymd"]

LOOKS_NUMERIC = r"^[-+(−]?\s*(?:\p{Sc}|[A-Z]{3}\b)?\s*[-+−]?[.,]?\d"  # noqa: RUF001  the sign that typesetters use
_LOOKS_LIKE_DATE = r"^(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.](\d{4}|\d{2}))([T ,]|$)"
_SIGN = r"(\p{Sc}|%|\b[A-Z]{3}\b)"
UNUSUAL_MINUS = r"^\(|^−|-$"  # noqa: RUF001  the sign that typesetters use
"""Notations of negative numbers other than a hyphen in front: brackets, a minus sign, a hyphen behind."""
_CODE = r"^0\d+$"
_TIME = r"(?:,?[T ]+\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?: ?[AaPp][Mm])?(?: ?(?:Z|[+-]\d{2}:?\d{2}))?)?"
_SURE_SEPARATORS = ("'", "\u2019", "\u00a0", "\u202f")
"""Thousands separators that are never a decimal mark and never separate words."""


@dataclass(frozen=True, slots=True)
class Notation:
    """What is declared about the texts of a file: decimal mark, thousands separator, order of dates."""

    decimal_comma: bool = False
    thousands: str | None = None
    date_order: DateOrder | None = None


@dataclass(frozen=True, slots=True)
class TextReading:
    """How the texts of one column are read.

    Attributes
    ----------
    type
        integer, number, boolean, date or datetime.
    missing
        Texts that are read as missing.
    decimal, thousands
        The decimal mark, and the thousands separator if there is one.
    sign
        A currency sign or `%` that is removed: 12.5% is read as 12.5.
    order, short_year, zoned, halves
        For dates: the order of day, month and year; whether years have two digits; whether times have a UTC offset;
        whether they use AM and PM.
    """

    type: str
    missing: tuple[str, ...] = ()
    decimal: str = "."
    thousands: str | None = None
    sign: str = ""
    order: DateOrder = "ymd"
    short_year: bool = False
    zoned: bool = False
    halves: bool = False

    @property
    def dtype(self) -> pl.DataType:
        """The polars type of the values."""
        zone = "UTC" if self.zoned else None
        dtypes: dict[str, pl.DataType] = {
            "integer": pl.Int64(),
            "number": pl.Float64(),
            "boolean": pl.Boolean(),
            "date": pl.Date(),
            "datetime": pl.Datetime("us", zone),
        }
        return dtypes[self.type]

    def facts(self) -> dict[str, Any]:
        """Return the settings other than defaults, ready for JSON, for a fingerprint."""
        defaults = asdict(TextReading(""))
        return {key: value for key, value in asdict(self).items() if value != defaults[key]}

    def parse(self, text: pl.Expr, *, strict: bool = True) -> pl.Expr:
        """Return an expression for the values. A text that does not fit is null, or a polars error if `strict`."""
        bare = text.str.strip_chars()
        value = pl.when(bare.is_in([*self.missing, ""])).then(None).otherwise(bare)
        if self.type == "boolean":
            return value.replace_strict(TRUTH_VALUES, return_dtype=pl.Boolean, **({} if strict else {"default": None}))
        # A text that does not fit must not be read in another notation, such as 1.23 where a point separates thousands.
        refused = pl.concat_str(pl.lit("no value: "), value) if strict else pl.lit(None, pl.String)
        plain = pl.when(value.str.contains(self._grammar())).then(self._normalize(value)).otherwise(refused)
        if self.type in ("integer", "number"):
            return plain.cast(self.dtype, strict=strict)
        year = "%y" if self.short_year else "%Y"
        if self.type == "date":
            return plain.str.to_date(f"{year}-%m-%d", strict=strict)
        clock = f"{'%I' if self.halves else '%H'}:%M:%S%.f{' %p' if self.halves else ''}{'%#z' if self.zoned else ''}"
        zone = "UTC" if self.zoned else None
        return plain.str.to_datetime(f"{year}-%m-%d {clock}", time_unit="us", time_zone=zone, strict=strict)

    def _grammar(self) -> str:
        if self.type in ("date", "datetime"):
            year = r"\d{2}" if self.short_year else r"\d{4}"
            date = (
                rf"{year}[-/.]\d{{1,2}}[-/.]\d{{1,2}}"
                if self.order == "ymd"
                else rf"\d{{1,2}}[-/.]\d{{1,2}}[-/.]{year}"
            )
            return f"^{date}{_TIME if self.type == 'datetime' else ''}$"
        point, sign = re.escape(self.decimal), re.escape(self.sign)
        whole = r"\d+"
        if self.thousands:
            part = re.escape(self.thousands)
            whole = rf"(?:\d+|[1-9]\d{{0,2}}(?:{part}\d{{2,3}})*{part}\d{{3}})"
        number = whole if self.type == "integer" else rf"(?:{whole}(?:{point}\d*)?|{point}\d+)(?:[eE][-+]?\d+)?"
        sign = rf"(?:{sign}\s?)?" if sign else ""
        minus = "[-+−]?"  # noqa: RUF001  the sign that typesetters use
        signed = rf"{minus}\s?{sign}{minus}{number}\s?{sign}"
        endless = "" if self.type == "integer" else rf"|{minus}(?i:inf|infinity)"
        return rf"^(?:{signed}{endless}|\({sign}{number}\s?{sign}\)|{sign}{number}{sign}-)$"

    def _normalize(self, value: pl.Expr) -> pl.Expr:
        """Return texts that fit the grammar in the form that polars reads: 1234.5, 2025-12-31 10:00:00."""
        if self.type in ("integer", "number"):
            for removed in filter(None, (self.sign, self.thousands)):
                value = value.str.replace_all(removed, "", literal=True)
            if self.decimal != ".":
                value = value.str.replace(self.decimal, ".", literal=True)
            negative = value.str.replace_all(r"\s", "").str.replace(r"^\((.*)\)$|^(.*)-$", "-$1$2")
            return negative.str.replace("−", "-", literal=True).str.strip_prefix("+")  # noqa: RUF001
        parts = {"ymd": "$1-$2-$3", "dmy": "$3-$2-$1", "mdy": "$3-$1-$2"}[self.order]
        day = value.str.replace(r"^(\d+)[-/.](\d+)[-/.](\d+)", parts)
        if self.type == "date":
            return day
        spaced = day.str.replace(r"^(\S+?)(?:,?[T ]+|$)", "$1 ").str.replace(r" $", " 00:00")
        whole = spaced.str.replace(r" (\d{1,2}:\d{2})($|[^:\d])", " $1:00$2").str.to_uppercase()
        return whole.str.replace(r" ?([AP]M)", " $1").str.replace(r"(\d) ?(Z|[+-]\d{2}:?\d{2})$", "$1$2")

    def describe(self) -> str:
        """Return a description of the texts, in the plural: `numbers with a comma between thousands`."""
        if self.type in ("date", "datetime"):
            orders = {"ymd": "year, month, day", "dmy": "day, month, year", "mdy": "month, day, year"}
            return f"{'dates' if self.type == 'date' else 'times'} in the order {orders[self.order]}"
        if self.type == "boolean":
            return "true or false"
        marks = [f"{self.thousands!r} between thousands"] if self.thousands else []
        marks += ["a decimal comma"] if self.decimal == "," else []
        marks += [f"the sign {self.sign!r}"] if self.sign else []
        return " and ".join([f"numbers{' with ' if marks else ''}{marks[0] if marks else ''}", *marks[1:]])


@dataclass(frozen=True, slots=True)
class TextFinding:
    """The result of recognizing the texts of a column.

    Attributes
    ----------
    reading
        How most values can be read; None if they are codes, or not numbers, dates or booleans.
    certain
        Whether every value fits `reading`, and no other reading gives different values.
    share
        Share of the present values that fit `reading`.
    odd
        The first value that does not fit; None if all fit.
    alternatives
        The readings that fit as well as `reading` but give different values.
    example
        A value that shows the notation.
    codes
        Whether whole numbers have leading zeros, like postal codes: read as numbers, they would lose them.
    only_missing
        The markers of missing values, if there are no other values.
    orders_differ
        Whether all values are dates, but no single order of day, month and year fits all.
    """

    reading: TextReading | None = None
    certain: bool = False
    share: float = 0.0
    odd: str | None = None
    alternatives: tuple[TextReading, ...] = ()
    example: str = ""
    codes: bool = False
    only_missing: tuple[str, ...] = ()
    orders_differ: bool = False

    @property
    def notable(self) -> bool:
        """Whether enough values look like something else to warn about a column that stays text."""
        return self.share >= MIN_SHARE or self.orders_differ

    @property
    def ambiguous(self) -> bool:
        """Whether two readings fit all values but give different values for the same text."""
        best = self.reading
        return self.share == 1.0 and any(
            best is not None and (other.decimal != best.decimal or other.order != best.order)
            for other in self.alternatives
        )


def recognize_texts(texts: pl.Series, notation: Notation, type_: str | None = None) -> TextFinding:
    """Return what the texts of a column look like.

    Parameters
    ----------
    texts
        Values in the order of the rows; nulls are ignored.
    notation
        What is declared about the file.
    type_
        The declared type of the column, to try only readings of that type; None if none is declared.
    """
    present = texts.alias("text").drop_nulls().str.strip_chars()  # polars takes some names for patterns
    values = present.to_frame("text").group_by("text", maintain_order=True).agg(n=pl.len())
    values = values.with_columns(marker=pl.col("text").is_in([*MISSING_MARKERS, ""]))
    rest = values.filter(~pl.col("marker")).select("text", "n")
    missing = tuple(sorted(set(values.filter("marker")["text"]) - {""}))
    if not rest.height:
        return TextFinding(only_missing=missing)
    head = rest["text"].head(1000)
    if type_ in (None, "boolean") and rest["text"].is_in(list(TRUTH_VALUES)).all():
        return TextFinding(TextReading("boolean", missing), True, 1.0, example=rest["text"][0])
    if type_ in (None, "date", "datetime") and _share_of_matches(head, _LOOKS_LIKE_DATE) >= 0.5:
        dates = _recognize_dates(present, rest, missing, notation, type_)
        return replace(dates, orders_differ=dates.share < 1.0 and _differ_in_order(rest, dates.reading))
    if type_ in (None, "integer", "number") and _share_of_matches(head, LOOKS_NUMERIC) >= 0.5:
        if type_ is None and rest["text"].str.contains(_CODE).any() and rest["text"].str.contains(r"^\d+$").all():
            return TextFinding(codes=True, example=rest["text"].filter(rest["text"].str.contains(_CODE))[0])
        return _recognize_numbers(present, rest, missing, notation, type_)
    return TextFinding()


def _share_of_matches(texts: pl.Series, pattern: str) -> float:
    return float(texts.str.contains(pattern).sum()) / len(texts)


def _differ_in_order(rest: pl.DataFrame, reading: TextReading | None) -> bool:
    """Return whether all values that `reading` does not fit are dates in another order."""
    if reading is None:
        return False
    orders: tuple[DateOrder, ...] = ("ymd", "dmy", "mdy")
    read = (replace(reading, order=order).parse(pl.col("text"), strict=False).is_not_null() for order in orders)
    return bool(rest.select(pl.any_horizontal(read).all()).item())


def _recognize_dates(
    present: pl.Series, rest: pl.DataFrame, missing: tuple[str, ...], notation: Notation, type_: str | None
) -> TextFinding:
    text = rest["text"]
    timed = type_ == "datetime" or (type_ is None and bool(text.str.contains(r"\d:\d{2}").any()))
    zoned = timed and bool(text.str.contains(r":\d{2}(?:\.\d+)? ?(?:Z|[+-]\d{2}:?\d{2})$").any())
    halves = timed and bool(text.str.contains(r"(?i) ?[ap]m$").any())
    orders: tuple[DateOrder, ...] = (
        ("ymd", "dmy", "mdy") if notation.date_order is None else (notation.date_order, "ymd")
    )
    tried = []
    for order in dict.fromkeys(orders):
        for short in (False, True) if order == notation.date_order else (False,):
            found = TextReading(
                "datetime" if timed else "date", missing, order=order, short_year=short, zoned=zoned, halves=halves
            )
            tried.append((found, _share_read(rest, found)))
    return _select_reading(present, rest, tried, certain=lambda _: True)


def _recognize_numbers(
    present: pl.Series, rest: pl.DataFrame, missing: tuple[str, ...], notation: Notation, type_: str | None
) -> TextFinding:
    text = rest["text"]
    signs = text.str.extract(_SIGN).drop_nulls().unique(maintain_order=True)
    sign = signs[0] if len(signs) else ""
    # A sign on only some values, or different signs, means amounts of several kinds.
    uniform = not sign or (len(signs) == 1 and bool(text.str.contains(sign, literal=True).all()))
    declared = "," if notation.decimal_comma else "."
    tried: list[tuple[TextReading, float]] = []
    for decimal, thousands in _candidate_marks(notation):
        whole = decimal == "." and not thousands and not sign and type_ != "number"
        kinds = ("integer", "number") if whole else ("number",)
        plain = decimal == declared and not thousands
        for kind in kinds if type_ != "integer" else ("integer", "number") if plain else ("integer",):
            found = TextReading(kind, missing, decimal, thousands, sign)
            if kind == "number" and type_ == "integer" and not _are_whole(rest, found):
                continue
            if share := _share_read(rest, found):
                tried.append((found, share))
                if share == 1.0:
                    break
        if tried and tried[-1][1] == 1.0 and plain:
            break  # plain numbers contain no thousands separator

    def is_certain(found: TextReading) -> bool:
        if not uniform or found.decimal != declared:
            return False
        if not found.thousands or found.thousands == notation.thousands or found.thousands in _SURE_SEPARATORS:
            return True
        part, point = re.escape(found.thousands), re.escape(found.decimal)
        # Groups separated by spaces are no proof: telephone numbers look like that.
        groups = "" if found.thousands == " " else rf"|\d{part}\d{{2,3}}{part}\d"
        return bool(text.str.contains(rf"\d{part}\d{{3}}{point}{groups}").any())

    return _select_reading(present, rest, tried, certain=is_certain)


def _are_whole(rest: pl.DataFrame, reading: TextReading) -> bool:
    """Return whether all values are numbers without a fraction, such as 3.0."""
    number = reading.parse(pl.col("text"), strict=False)
    return bool(rest.select((number.is_finite() & (number == number.floor())).fill_null(value=False).all()).item())


def _candidate_marks(notation: Notation) -> Iterator[tuple[str, str | None]]:
    """Yield decimal mark and separator of thousands, the declared or usual ones first."""
    declared = "," if notation.decimal_comma else "."
    yield declared, notation.thousands
    if notation.thousands:
        return
    for decimal in (declared, "." if declared == "," else ","):
        for thousands in (None, "." if decimal == "," else ",", *_SURE_SEPARATORS, " "):
            if (decimal, thousands) != (declared, None):
                yield decimal, thousands


def _share_read(rest: pl.DataFrame, reading: TextReading) -> float:
    """Return the share of the values that a reading fits; each text counts as often as it occurs."""
    read = rest.select(pl.col("n").filter(reading.parse(pl.col("text"), strict=False).is_not_null()).sum()).item()
    return float(read) / float(rest["n"].sum())


def _select_reading(
    present: pl.Series,
    rest: pl.DataFrame,
    tried: list[tuple[TextReading, float]],
    certain: Callable[[TextReading], bool],
) -> TextFinding:
    """Return the finding for the reading that fits most values; the first of equals."""
    if not tried:
        return TextFinding()
    best, share = max(tried, key=lambda one: one[1])
    if not share:
        return TextFinding()
    values = rest["text"]
    odd = None
    if share < 1.0:
        read = values.to_frame().select(best.parse(pl.col("text"), strict=False)).to_series()
        bad = set(values.filter(read.is_null()))
        odd = next((text for text in present if text in bad), None)
    others = tuple(other for other, as_good in tried if as_good == share and other != best)
    # If two orders of day and month fit, neither is certain, even if they agree so far: later rows may differ.
    sure = share == 1.0 and certain(best) and not (others and best.type in ("date", "datetime"))
    return TextFinding(best, sure, share, odd, others, _show_example(values, best))


def _show_example(values: pl.Series, reading: TextReading) -> str:
    """Return a value that shows the peculiarity of a notation."""
    if reading.type in ("integer", "number"):
        below_zero = values.filter(values.str.contains(UNUSUAL_MINUS))
        if len(below_zero):
            return str(below_zero[0])[:60]
    special = next(filter(None, (reading.thousands, reading.sign, "," if reading.decimal == "," else "")), "")
    shown = values.filter(values.str.contains(special, literal=True)) if special else values
    return str((shown if len(shown) else values)[0])[:60]


_UNITS_SINCE_1970 = {"seconds": 1, "milliseconds": 10**3, "microseconds": 10**6, "nanoseconds": 10**9}
_FIRST_SECOND, _LAST_SECOND = 946_684_800, 4_102_444_800
"""The years 2000 to 2099 in seconds since 1970: whole numbers in this range may be anything, but in the range of a
smaller unit they are hardly anything but times."""
_TIME_NAME = r"(?i)(^|[^a-z])(ts|time|timestamp|epoch|date|day|when|at)([^a-z]|$)|time|epoch|date"
_MIN_TIMES = 10


def describe_times(name: str, values: pl.Series) -> str | None:
    """Return the times that a column of integers looks like, such as `milliseconds since 1970`; None if it does not.

    Seconds are distinguished from other ten-digit numbers by the name of the column.
    """
    if len(values) - values.null_count() < _MIN_TIMES:
        return None
    low, high = int(values.min()), int(values.max())  # type: ignore[arg-type]  # integers have both
    for unit, many in _UNITS_SINCE_1970.items():
        if _FIRST_SECOND * many <= low and high < _LAST_SECOND * many and (many > 1 or re.search(_TIME_NAME, name)):
            return f"{unit} since 1970"
    if low >= 19000101 and high <= 20991231 and low < high:
        present = values.alias("").drop_nulls()  # polars takes some names for patterns
        days = present.cast(pl.String).str.to_date("%Y%m%d", strict=False)
        return "dates written as 20251231" if not days.null_count() else None
    return None
