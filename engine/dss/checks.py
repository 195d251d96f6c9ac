"""The checks and rules of datasets, models and stores: `metricsChecks.checks[]`, in their old and new forms."""

from typing import Any

from engine.dss.import_state import ImportState
from engine.dss.json_objects import JsonObject
from engine.dss.metric_names import translate_metric
from engine.dss.names import make_name
from engine.dss.report import ObjectLine
from engine.dss.spec_writing import Part
from engine.spec.metric_names import MetricName

_BOUNDS = {"minimum": "min", "softMinimum": "soft_min", "softMaximum": "soft_max", "maximum": "max"}
_RANGE_RULES = {
    "RecordCountInRangeRule": "row_count",
    "ColumnCountInRangeRule": "column_count",
    "ColumnMinInRangeRule": "min",
    "ColumnMaxInRangeRule": "max",
    "ColumnAvgInRangeRule": "mean",
    "ColumnSumInRangeRule": "sum",
    "ColumnMedianInRangeRule": "median",
    "ColumnStdDevInRangeRule": "std",
}
_WHOLE_METRICS = ("row_count", "column_count")


def import_checks(state: ImportState, owner: JsonObject, scope: str, target: str) -> dict[str, Any]:
    """Return the checks of a dataset or store, by name.

    Parameters
    ----------
    scope
        `dataset` or `store`, which tells the meaning of metrics.
    target
        Where the owner is in the spec, for the report.
    """
    checks: dict[str, Any] = {}
    for one in owner.get_object("metricsChecks").get_objects("checks"):
        type_ = one.get_text("type")
        label = one.get_text("displayName") or one.get_object("meta").get_text("label") or _name_unnamed(type_)
        line = state.report.add("check", label, one.place)
        bodies = _translate_check(one, type_, scope, line)
        for column, body in bodies:
            name = make_name(f"{label} {column}" if len(bodies) > 1 else label, checks, "check")
            if name != label and len(bodies) == 1:
                line.note(f"renamed {name}")
            part = Part(one.place, body)
            if not one.get_flag("enabled", default=True):
                part["active"] = False
                line.note("it is switched off, as in DSS")
            checks[name] = part
            line.target = f"{target}.checks.{name}"
    return checks


def _name_unnamed(type_: str) -> str:
    return {"numericRange": "Value in range", "valueSet": "Value in set"}.get(type_, type_ or "check")


def _translate_check(one: JsonObject, type_: str, scope: str, line: ObjectLine) -> list[tuple[str, dict[str, Any]]]:
    """Return columns and keys of the checks that a check becomes: one, or one per column; none if it is left out."""
    if type_ in ("numericRange", "valueSet"):
        id_ = one.get_text("metricId")
        metric = translate_metric(id_, scope)
        if metric is None:
            line.leave_out(f"the metric {id_[:80] or '(none)'} has no counterpart here")
            return []
        body = _read_range(one, line) if type_ == "numericRange" else _read_values(one, line)
        return [("", {**({"kind": "values"} if type_ == "valueSet" else {}), "metric": metric, **body})] if body else []
    if statistic := _RANGE_RULES.get(type_):
        bounds = _read_range(one, line)
        if statistic in _WHOLE_METRICS:
            return [("", {"metric": statistic, **bounds})] if bounds else []
        columns = one.get_texts("columns")
        if not columns:
            line.leave_out("it names no column")
        return [(name, {"metric": str(MetricName(statistic, name)), **bounds}) for name in columns] if bounds else []
    if type_ in ("ColumnNotEmptyRule", "ColumnEmptyRule") and not one.get_text("thresholdType"):
        bound = {"max": 0} if type_ == "ColumnNotEmptyRule" else {"min": 1}
        columns = one.get_texts("columns")
        if not columns:
            line.leave_out("it names no column")
        return [(name, {"metric": str(MetricName("missing_share", name)), **bound}) for name in columns]
    if type_ == "python":
        line.leave_out("TODO it is Python code: write a check of kind: python")
    else:
        line.leave_out(f"checks of the type {type_[:60] or '(none)'} have no counterpart here")
    return []


def _read_range(one: JsonObject, line: ObjectLine) -> dict[str, Any]:
    """Return the bounds that are enabled; none, with the line left out, if no bound is."""
    bounds = {}
    for key, ours in _BOUNDS.items():
        if one.get_flag(f"{key}Enabled", default=False):
            if (value := one.get_number(key)) is None:
                line.note(f"{key} is enabled, but has no value")
            else:
                bounds[ours] = value
    if list(bounds) and list(bounds.values()) != sorted(bounds.values()):
        line.note("its bounds are not in ascending order")
    if not bounds:
        line.leave_out("no bound of it is enabled, so that it checks nothing")
    return {key: bounds[key] for key in ("min", "soft_min", "soft_max", "max") if key in bounds}


def _read_values(one: JsonObject, line: ObjectLine) -> dict[str, Any]:
    values = one.get_texts("values")
    if not values:
        line.leave_out("its set of values is empty")
        return {}
    return {"allowed": [_read_scalar(value) for value in values]}


def _read_scalar(text: str) -> Any:
    """Return a number for a text that is one: metrics are numbers here."""
    try:
        number = float(text)
    except ValueError:
        return text
    if not abs(number) < 1e15:
        return text
    return int(number) if number.is_integer() else number
