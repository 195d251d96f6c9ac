"""Translate the data quality rules of datasets, such as `ColumnMinInRangeRule`, into checks and column contracts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from engine.dss.json_objects import JsonObject
from engine.dss.metric_names import translate_metric
from engine.dss.report import ObjectLine
from engine.spec.metrics.names import MetricName
from engine.spec.resources.checks import FEWEST_TYPICAL_VALUES

Keys = dict[str, Any]

BOUNDS = {"minimum": "min", "softMinimum": "soft_min", "softMaximum": "soft_max", "maximum": "max"}
"""The bounds of a check in DSS and in the spec, in ascending order."""

COLUMN_TYPES = {
    "string": "text",
    **dict.fromkeys(("tinyint", "smallint", "int", "bigint"), "integer"),
    **dict.fromkeys(("float", "double"), "number"),
    "boolean": "boolean",
    "date": "datetime",
    "dateonly": "date",
    "datetimenotz": "datetime",
}
"""The types of columns in DSS and in the spec."""

_COLUMN_STATISTICS = {
    "Min": "min",
    "Max": "max",
    "Avg": "mean",
    "Sum": "sum",
    "Median": "median",
    "StdDev": "std",
    "EmptyValueCount": "missing_count",
    "UniqueValueCount": "distinct_count",
}
_PERIODS = {"HOURS": (1, "h"), "DAYS": (1, "d"), "WEEKS": (7, "d"), "MONTHS": (30, "d")}
_LONGEST_PERIOD = 1_000
_MOST_FACTOR = 100
_INSTEAD = {
    "FileSizeInRangeRule": "the size of files is not a metric: check row_count",
    "ColumnMeaningValidityRule": "meanings of DSS are not known here: declare type:, min:, max: or allowed:",
}


@dataclass(frozen=True, slots=True)
class TranslatedRule:
    """The result of translating a rule: checks, by the suffix of their name, and keys of columns."""

    checks: list[tuple[str, Keys]] = field(default_factory=list)
    contract: dict[str, Keys] = field(default_factory=dict)


Columns = Mapping[str, Mapping[str, Any]]


def read_bounds(one: JsonObject, line: ObjectLine, per: float = 1) -> dict[str, float]:
    """Return the enabled bounds; if there are none, that is reported.

    Parameters
    ----------
    per
        The divisor of the values: 100 for percentages.
    """
    bounds: dict[str, float] = {}
    for key, ours in BOUNDS.items():
        value, enabled = one.get_number(key), one.get_flag(f"{key}Enabled", default=False)
        if enabled and value is None:
            line.note(f"{key} is enabled, but has no value")
        elif enabled and value is not None:
            bounds[ours] = value if per == 1 else value / per
    for soft, hard, further in (("soft_min", "min", -1), ("soft_max", "max", 1)):
        if soft in bounds and hard in bounds and (bounds[soft] - bounds[hard]) * further > 0:
            line.note(
                f"its {soft} {bounds.pop(soft):g} is left out: a value beyond it is an ERROR already, also in DSS"
            )
    if list(bounds.values()) != sorted(bounds.values()):
        line.note("TODO its bounds are not in ascending order")
    if not bounds:
        line.drop("no bound of it is enabled, so that it checks nothing, also in DSS")
    return bounds


def read_scalar(text: str) -> Any:
    """Return a text as a number if it is one, because metrics are numbers in the engine."""
    try:
        number = float(text)
    except ValueError:
        return text
    if not abs(number) < 1e15:
        return text
    return int(number) if number.is_integer() else number


def read_columns(one: JsonObject, line: ObjectLine) -> list[str]:
    """Return the columns named by a rule; if there are none, the rule is reported as left out."""
    names = one.get_texts("columns") or [name for name in [one.get_text("column")] if name]
    if not names:
        line.leave_out("it names no column")
    return list(dict.fromkeys(names))


def _check_whole(metric: str) -> Callable[[JsonObject, Columns, ObjectLine], TranslatedRule]:
    def translate(one: JsonObject, _: Columns, line: ObjectLine) -> TranslatedRule:
        bounds = read_bounds(one, line)
        return TranslatedRule([("", {"metric": metric, **bounds})] if bounds else [])

    return translate


def _check_statistic(statistic: str) -> Callable[[JsonObject, Columns, ObjectLine], TranslatedRule]:
    def translate(one: JsonObject, _: Columns, line: ObjectLine) -> TranslatedRule:
        bounds, columns = read_bounds(one, line), read_columns(one, line)
        return _check_columns(columns, statistic, bounds)

    return translate


def _check_columns(columns: list[str], statistic: str, bounds: Mapping[str, Any]) -> TranslatedRule:
    return TranslatedRule(
        [(name, {"metric": str(MetricName(statistic, name)), **bounds}) for name in columns if bounds]
    )


def _check_missing(one: JsonObject, _: Columns, line: ObjectLine) -> TranslatedRule:
    """Translate a rule that a column is empty or not, entirely or up to a number or share of the rows."""
    columns, how = read_columns(one, line), one.get_text("thresholdType")
    if how.endswith("PERCENTAGE_EMPTY"):
        return _check_columns(columns, "missing_share", read_bounds(one, line, per=100))
    if how.endswith("COUNT_EMPTY"):
        return _check_columns(columns, "missing_count", read_bounds(one, line))
    whole = {
        "": one.get_text("type") == "ColumnEmptyRule",
        "ENTIRE_COLUMN_EMPTY": True,
        "ENTIRE_COLUMN_NOT_EMPTY": False,
    }
    if how not in whole:
        line.leave_out(
            f"its kind of threshold {how[:40]} is not known: write a check of missing_count or missing_share"
        )
        return TranslatedRule()
    return _check_columns(columns, "missing_share", {"min": 1} if whole[how] else {"max": 0})


def _check_unique(one: JsonObject, _: Columns, line: ObjectLine) -> TranslatedRule:
    columns, how = read_columns(one, line), one.get_text("thresholdType")
    if how in ("", "ENTIRE_COLUMN"):
        return TranslatedRule(contract={name: {"unique": True} for name in columns})
    if how == "MIN_COUNT":
        return _check_columns(columns, "distinct_count", read_bounds(one, line))
    if how == "MIN_PERCENTAGE":
        return _check_columns(columns, "distinct_share", read_bounds(one, line, per=100))
    line.leave_out(f"its kind of threshold {how[:40]} is not known: write a check of distinct_count or distinct_share")
    return TranslatedRule()


def _check_values_in_range(one: JsonObject, _: Columns, line: ObjectLine) -> TranslatedRule:
    """Translate bounds of all values: the smallest and the largest value must be within them."""
    bounds, columns = read_bounds(one, line), read_columns(one, line)
    sides = {"min": ("min", "soft_min"), "max": ("soft_max", "max")}
    return TranslatedRule(
        [
            (f"{name} {statistic}", {"metric": str(MetricName(statistic, name)), **given})
            for name in columns
            for statistic, keys in sides.items()
            if (given := {key: bounds[key] for key in keys if key in bounds})
        ]
    )


def _check_values_in_set(one: JsonObject, columns: Columns, line: ObjectLine) -> TranslatedRule:
    allowed = read_allowed_values(one, columns, line)
    return TranslatedRule(contract={name: {"allowed": values} for name, values in allowed.items()})


def read_allowed_values(one: JsonObject, columns: Columns, line: ObjectLine) -> dict[str, list[Any]]:
    """Return, by column, the values in the set of a rule; if there are none, the rule is reported as left out."""
    values, names = one.get_texts("valueSet") or one.get_texts("values"), read_columns(one, line)
    if not values:
        line.leave_out("its set of values is empty, so that no value is allowed, also in DSS")
        return {}
    allowed: dict[str, list[Any]] = {}
    for name in names:
        type_ = columns.get(name, {}).get("type", "text")
        allowed[name] = [_read_as(type_, value) for value in values]
        if None in allowed[name]:
            line.leave_out(f"a value of its set is no {type_}, the type of {name[:60]}")
            return {}
    return allowed


def _read_as(type_: str, text: str) -> Any:
    """Return a text as a value of a column's type; None if it is not one."""
    if type_ == "text":
        return text
    if type_ == "boolean":
        return {"true": True, "false": False}.get(text.lower())
    value = read_scalar(text)
    if type_ in ("integer", "number"):
        return None if isinstance(value, str) or (type_ == "integer" and not isinstance(value, int)) else value
    return text


def _check_schema(one: JsonObject, _: Columns, line: ObjectLine) -> TranslatedRule:
    """Translate a rule on the columns of a dataset: the named columns must exist, with their types."""
    expected = one.get_object("expectedSchema").get_objects("columns")
    contract: dict[str, Keys] = {}
    for column in expected:
        type_ = COLUMN_TYPES.get(column.get_text("type"))
        if name := column.get_text("name"):
            contract[name] = {"type": type_} if type_ else {}
    if not contract:
        line.leave_out("it names no column")
        return TranslatedRule()
    if one.get_text("type") == "DatasetSchemaContainsRule":
        return TranslatedRule(contract=contract)
    return TranslatedRule([("", {"metric": "column_count", "min": len(contract), "max": len(contract)})], contract)


def _check_typical(metric: str) -> Callable[[JsonObject, Columns, ObjectLine], TranslatedRule]:
    """Return a translator for rules that a metric, or the named columns' statistic, is in its typical range."""

    def translate(one: JsonObject, _: Columns, line: ObjectLine) -> TranslatedRule:
        name = metric or translate_metric(one.get_text("metricId"), "dataset")
        of_columns = metric in _COLUMN_STATISTICS.values()
        columns = read_columns(one, line) if of_columns else [""]
        if name is None:
            line.leave_out(f"the metric {one.get_text('metricId')[:80] or '(none)'} has no counterpart here")
            return TranslatedRule()
        body = _read_typical_range(one.get_object("driftParams"), line)
        metrics = {column: str(MetricName(name, column)) if of_columns else name for column in columns}
        return TranslatedRule(
            [(column, {"kind": "typical", "metric": text, **body}) for column, text in metrics.items() if body]
        )

    return translate


def _read_typical_range(params: JsonObject, line: ObjectLine) -> Keys:
    """Return the keys of a check of kind typical; if no factor is enabled, none, and that is reported."""
    factors = {
        key: factor
        for key, name in (("soft_factor", "softIqrFactor"), ("factor", "iqrFactor"))
        if (factor := params.get_number(name)) is not None
        and params.get_flag(f"{name}Enabled", default=True)
        and 0 < factor <= _MOST_FACTOR
    }
    if len(factors) == 2 and factors["soft_factor"] > factors["factor"]:
        line.note(f"its soft factor {factors.pop('soft_factor'):g} is left out: a value beyond it is an ERROR already")
    period, unit = params.get_whole("lookbackPeriod") or 0, params.get_text("periodUnit").upper()
    if learning := params.get_whole("learningPeriod"):
        line.note(f"DSS learns for {learning} {unit.lower() or 'values'}; here it is EMPTY until there are 8 values")
    if not factors:
        line.drop("no factor of it is enabled, so that it checks nothing, also in DSS")
        return {}
    if unit in _PERIODS and 0 < period <= _LONGEST_PERIOD:
        count, letter = _PERIODS[unit]
        return {"within": f"{count * period}{letter}", **factors}
    if period >= FEWEST_TYPICAL_VALUES:
        return {"last": period, **factors}
    line.note(f"the last 30 values count, because {period} {unit.lower() or 'values'} are too few or not known")
    return dict(factors)


def _leave_out(one: JsonObject, _: Columns, line: ObjectLine) -> TranslatedRule:
    one.read_whole()
    line.leave_out(_INSTEAD[one.get_text("type")])
    return TranslatedRule()


RULES: dict[str, Callable[[JsonObject, Columns, ObjectLine], TranslatedRule]] = {
    "RecordCountInRangeRule": _check_whole("row_count"),
    "ColumnCountInRangeRule": _check_whole("column_count"),
    **{
        f"Column{name}InRangeRule": _check_statistic(statistic)
        for name, statistic in _COLUMN_STATISTICS.items()
        if not name.endswith("Count")
    },
    "ColumnNotEmptyRule": _check_missing,
    "ColumnEmptyRule": _check_missing,
    "ColumnUniqueValuesRule": _check_unique,
    "ValuesInRangeRule": _check_values_in_range,
    "ValuesInSetRule": _check_values_in_set,
    "DatasetSchemaEqualsRule": _check_schema,
    "DatasetSchemaContainsRule": _check_schema,
    "DriftRecordCountRule": _check_typical("row_count"),
    "DriftColumnCountRule": _check_typical("column_count"),
    "DriftMetricRule": _check_typical(""),
    **{f"DriftColumn{name}Rule": _check_typical(statistic) for name, statistic in _COLUMN_STATISTICS.items()},
    **dict.fromkeys(_INSTEAD, _leave_out),
}
"""The translator of a rule, by type in DSS; it may report the rule as left out."""
