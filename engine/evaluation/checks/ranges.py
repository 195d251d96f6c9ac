"""Compare a metric, or its change, with a range that the check declares or that follows from earlier values."""

from dataclasses import replace
from math import isclose
from statistics import median

from engine.evaluation.bounds import AppliedRange
from engine.evaluation.changes import average_metrics, change_between
from engine.evaluation.checks.detectable import explain_weak_check, find_detectable
from engine.evaluation.checks.target import CheckFinding, CheckTarget, MetricsByName, build_missing_finding
from engine.evaluation.checks.typical import compute_fences, explain_too_few, select_typical_values
from engine.evaluation.record import MetricValue
from engine.formatting.numbers import format_count, format_figure, format_number, format_seconds
from engine.outcome import CheckOutcome
from engine.spec.metrics.names import normalize_metric_name
from engine.spec.resources.checks import MeanOfLast, Range, RangeCheck, TypicalCheck, build_bounds

MOST_MOVED = "; most moved: "
"""The text before the most drifted columns in the reason of a check on the drift of all columns."""

_OF_ALL_COLUMNS = frozenset(
    {"data_drift", "data_drift_low", "data_drift_auc", "data_drift_significant", "drifted_columns", "drifted_share"}
)

_SHOWN_COLUMNS = 3

ROUNDING = 1e-9
"""Relative distance up to which a change counts as equal to its bound: 0.75 - 0.8 is not exactly -0.05."""


def check_declared_range(
    check: RangeCheck, metric: str, measured: MetricValue, target: CheckTarget
) -> tuple[AppliedRange | None, CheckFinding]:
    """Compare a value, or its change, with the declared bounds of a check; return the bounds and the finding."""
    # Bounds for this metric in `except:` replace those of the check.
    excepted: dict[str, Range] = {normalize_metric_name(text): one for text, one in check.except_.items()}
    in_seconds = metric in target.in_seconds and check.change == "absolute"
    applied = AppliedRange(excepted.get(metric, check).bounds, in_seconds)
    if check.compare is not None:
        measured = _compute_change(check, metric, measured, target)
        applied = replace(applied, compare=_name_baseline(check), change=check.change)
    bounds = applied if applied.limits or applied.compare else None  # an exception may remove all bounds
    finding = (
        build_missing_finding(measured)
        if measured.value is None
        else _check_range(applied, measured, metric, certain=check.certain)
    )
    if finding.outcome is CheckOutcome.OK:
        finding = _add_detectable(finding, check, applied, metric, measured, target)
    elif metric in _OF_ALL_COLUMNS and finding.value is not None:
        finding = replace(finding, reason=finding.reason + _list_most_moved(target.metrics))
    elif finding.value is not None and measured.reason and not measured.reason.startswith("no interval"):
        finding = replace(finding, reason=f"{finding.reason}: {measured.reason}")
    if finding.value is not None and (short := _describe_short_mean(check, metric, target)):
        finding = replace(finding, reason="; ".join(filter(None, [finding.reason, short])))
    return bounds, finding


def check_typical_range(
    check: TypicalCheck, metric: str, measured: MetricValue, target: CheckTarget
) -> tuple[AppliedRange | None, CheckFinding]:
    """Compare a value with the fences of its earlier values; return them and the finding."""
    earlier = ((target.moment - one.moment, one.metrics.get(metric)) for one in reversed(target.past))
    values = select_typical_values(earlier, check)
    few = explain_too_few(values, check)
    limits: dict[str, float] = {}
    for factor, lower, upper in ((check.factor, "min", "max"), (check.soft_factor, "soft_min", "soft_max")):
        if factor is not None and not few:
            limits[lower], limits[upper] = compute_fences(values, factor)
    applied = AppliedRange(build_bounds(limits), metric in target.in_seconds) if limits else None
    if measured.value is None:
        return applied, build_missing_finding(measured)
    if applied is None:
        return None, CheckFinding(CheckOutcome.EMPTY, few, nothing_wrong=True)
    finding = _check_range(applied, measured, metric, certain=False)
    if finding.outcome is CheckOutcome.OK:
        return applied, finding
    middle = format_seconds(median(values)) if applied.in_seconds else format_number(median(values))
    return applied, replace(
        finding, reason=f"{finding.reason}, which follows from {len(values)} earlier values around {middle}"
    )


def _list_most_moved(metrics: MetricsByName) -> str:
    """Return the most drifted columns, for a reason; empty if none drifted."""
    drifts = [(name.removeprefix("drift."), one.value) for name, one in metrics.items() if name.startswith("drift.")]
    moved = sorted(((drift, name) for name, drift in drifts if drift), reverse=True)[:_SHOWN_COLUMNS]
    return MOST_MOVED + ", ".join(f"{name} ({format_figure(drift)})" for drift, name in moved) if moved else ""


def _check_range(applied: AppliedRange, measured: MetricValue, metric: str, *, certain: bool) -> CheckFinding:
    """Compare a value, or its change, with a range whose bounds are inclusive; hard bounds come first.

    With `certain`, the whole interval must be outside; without an interval nothing is certain, and the reason says so.
    """
    value, changed = measured.value or 0.0, applied.compare is not None
    difference = changed or "_change" in metric.partition(".")[0] or metric.startswith("advantage")
    interval = (measured.low, measured.high) if certain else (None, None)
    remark = _describe_certainty(measured) if certain else ""
    possible = ""
    for limit in sorted(applied.limits, key=lambda one: one.outcome is not CheckOutcome.ERROR):
        if not limit.is_broken_by(value):
            continue
        if difference and isclose(value, limit.value, rel_tol=ROUNDING):
            continue
        nearest = interval[1] if limit.is_lower else interval[0]
        answer = " (yes)" if metric == "data_drift_significant" and value == 1 else ""  # a number, meant as yes or no
        shown_value, bound = _write_apart(value, limit.value, in_seconds=applied.in_seconds)
        shown = f"changed by {shown_value}" if changed else f"{shown_value}{answer}"
        shown = f"{shown}{remark}{', which' if changed else ''} is {limit.side} {bound}"
        if certain and (nearest is None or not limit.is_broken_by(nearest)):
            doubt = (
                "it is not certain" if nearest is None else "its interval reaches the bound, so chance may explain it"
            )
            possible = possible or f"{shown}, but {doubt}"
            continue
        return CheckFinding(limit.outcome, shown, value)
    if not possible and certain and interval[0] is None:
        possible = f"{format_number(value)}{remark}"
    return CheckFinding(CheckOutcome.OK, possible, value)


def _write_apart(value: float, bound: float, *, in_seconds: bool) -> tuple[str, str]:
    """Return two numbers as texts, with all digits if they would otherwise look equal."""
    write = format_seconds if in_seconds else format_number
    texts = write(value), write(bound)
    unit = "s" if in_seconds else ""
    return texts if texts[0] != texts[1] else (f"{value!r}{unit}", f"{bound!r}{unit}")


def _describe_certainty(measured: MetricValue) -> str:
    """Return the interval for a check with `certain`, in parentheses, or why there is none."""
    if measured.low is not None and measured.high is not None:
        return f" ({format_number(measured.low)} to {format_number(measured.high)})"
    reason = (measured.reason or "").removeprefix("no interval: ")
    return f" (no interval this time{': ' if reason else ''}{reason})"


def _add_detectable(
    finding: CheckFinding,
    check: RangeCheck,
    applied: AppliedRange,
    metric: str,
    measured: MetricValue,
    target: CheckTarget,
) -> CheckFinding:
    """Return an OK with the values that it could have found, and a reason if that is little."""
    detectable = find_detectable(
        applied,
        metric,
        measured,
        target.metrics,
        {} if check.compare else target.detectable_drifts,
        target.confidence,
        certain=check.certain,
    )
    weak = explain_weak_check(applied, metric, detectable, target.metrics, target.rows)
    return replace(finding, detectable=detectable, reason=finding.reason or weak)


def _compute_change(check: RangeCheck, metric: str, measured: MetricValue, target: CheckTarget) -> MetricValue:
    """Return the change of a metric from the baseline in `compare`: absolute or relative, as in `change`."""
    if measured.value is None:
        return measured
    if check.compare != "reference" and not target.past:
        what = "evaluation" if target.evaluation is not None else "measurement"
        what += " of this model" if target.of_model else ""
        return MetricValue(None, reason=f"no earlier {what} to compare with", counts_as_ok=True)
    baseline = _find_baseline(check, metric, measured.value, target)
    if isinstance(baseline, str):
        return MetricValue(None, reason=baseline)
    known = target.metrics.get(f"performance_change{'_relative' if check.change == 'relative' else ''}.{metric}")
    if check.compare == "reference" and known is not None and known.value is not None:
        return known
    return change_between(measured, baseline, check.change)


def _name_baseline(check: RangeCheck) -> str:
    """Return the name of the baseline of a change, as in the spec."""
    return f"mean_of_last {check.compare.mean_of_last}" if isinstance(check.compare, MeanOfLast) else str(check.compare)


def _find_baseline(check: RangeCheck, metric: str, value: float, target: CheckTarget) -> MetricValue | str:
    """Return the baseline of a metric, or the reason why there is none."""
    if check.compare == "reference":
        # A performance metric: the reference's value is the batch's value minus the measured change.
        if (changed := target.metrics.get(f"performance_change.{metric}")) and changed.value is not None:
            return MetricValue(value - changed.value)
        reference = target.metrics.get(f"reference_{metric}")
        return reference if reference and reference.value is not None else f"the reference has no {metric}"
    last = check.compare.mean_of_last if isinstance(check.compare, MeanOfLast) else 1
    values = _list_last_values(metric, last, target)
    return average_metrics(values) if values else "there is no earlier value to compare with"


def _list_last_values(metric: str, last: int, target: CheckTarget) -> list[MetricValue]:
    """Return the values of a metric in the `last` earlier evaluations."""
    earlier = [one.metrics[metric] for one in target.past[-last:] if metric in one.metrics]
    return [one for one in earlier if one.value is not None]


def _describe_short_mean(check: RangeCheck, metric: str, target: CheckTarget) -> str:
    """Return a text if a value is compared with a mean of fewer values than the check requires; else an empty one."""
    if not isinstance(check.compare, MeanOfLast):
        return ""
    last, found = check.compare.mean_of_last, len(_list_last_values(metric, check.compare.mean_of_last, target))
    return f"the mean is that of {format_count(found, 'earlier value')}" if found < last else ""
