"""Checks: a check of the spec, applied to the metrics of a dataset or an evaluation, gives check results.

Every declared check gives at least one result; a wildcard check gives one per metric. A metric that could not be
computed gives ERROR, a metric without a value gives EMPTY, each with the reason: no metric is skipped silently.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from math import isclose
from statistics import median
from typing import NamedTuple

from engine.data import load_function
from engine.errors import DataError, Position
from engine.evaluation.bounds import AllowedValues, AppliedRange, CheckBounds
from engine.evaluation.changes import average_metrics, change_between
from engine.evaluation.detectable import explain_weak_check, find_detectable
from engine.evaluation.record import CheckResult, MetricValue
from engine.evaluation.segment_metrics import group_segment_metrics, write_segment_metric
from engine.evaluation.typical import compute_fences, explain_too_few, select_typical_values
from engine.formatting.hints import did_you_mean
from engine.formatting.lists import join_some
from engine.formatting.numbers import format_figure, format_number, format_seconds
from engine.outcome import CheckOutcome
from engine.spec.code_folder import CodeFolder
from engine.spec.metric_names import normalize_metric_name
from engine.spec.resources.checks import (
    Check,
    MeanOfLast,
    PythonCheck,
    Range,
    RangeCheck,
    TypicalCheck,
    ValuesCheck,
    WhenEmpty,
    build_bounds,
)
from engine.spec.segments import FOUND, FOUND_SEGMENTS, match_segments

MetricsByName = Mapping[str, MetricValue]

MOST_MOVED = "; most moved: "
"""What stands in the reason of a check on the drift of all columns before those that drifted most."""

_OF_ALL_COLUMNS = frozenset(
    {"data_drift", "data_drift_low", "data_drift_auc", "data_drift_significant", "drifted_columns", "drifted_share"}
)
_SHOWN_COLUMNS = 3

ROUNDING = 1e-9
"""How near to its bound, in parts of it, a change counts as at it: 0.75 - 0.8 is not exactly -0.05."""

SHOWN_CHARACTERS = 200
"""Characters of what a function returned instead of an outcome that are shown."""


class PastMetrics(NamedTuple):
    """The metrics of an earlier evaluation or measurement, and the moment that its history goes by."""

    moment: datetime
    metrics: MetricsByName


@dataclass(frozen=True, slots=True)
class CheckTarget:
    """The metrics that checks are applied to: those of a dataset or of one evaluation.

    `name` is that of the dataset or evaluation store, and `moment` that of the metrics. `past` holds earlier ones,
    oldest first: those of the window that `find_past_window` tells, or all. Functions of python checks are found in
    `code`, and their messages pass through `redact`, which masks secrets. `evaluation` is the id of the evaluation, if
    there is one, `rows` are the numbers of rows of batch and reference, and `confidence` is the level of its intervals.
    `detectable_drifts` gives, by name of a drift metric, the smallest drift that would be found 4 times in 5.
    `in_seconds` are the metrics that are measured in seconds. `of_model` tells that `past` is of the same model only,
    `is_segment` that these are the metrics of a part of the batch.
    """

    name: str
    moment: datetime
    metrics: MetricsByName
    past: Sequence[PastMetrics]
    code: CodeFolder
    redact: Callable[[str], str]
    evaluation: str | None = None
    in_seconds: Collection[str] = ()
    rows: tuple[int, int] | None = None
    confidence: float = 0.95
    detectable_drifts: Mapping[str, float | None] = field(default_factory=dict)
    of_model: bool = False
    is_segment: bool = False


@dataclass(frozen=True, slots=True)
class CheckFinding:
    """The outcome of a check, with its reason and the value that was checked.

    `nothing_wrong` is true if only labels are missing, there are too few rows for a verdict, or too few earlier values
    to compare with. An EMPTY outcome then counts as OK, unless the check has `when_empty`.
    """

    outcome: CheckOutcome
    reason: str
    value: float | None = None
    nothing_wrong: bool = False
    detectable: Mapping[str, float | None] = field(default_factory=dict)


def apply_check(name: str, check: Check, target: CheckTarget, position: Position) -> list[CheckResult]:
    """Apply one check.

    Returns
    -------
    One result; for a wildcard one per metric that it matches, or one ERROR where it matches none.
    """
    if isinstance(check, PythonCheck):
        finding = _call_check_function(check, target)
        return [_build_result(name, "", finding, finding.outcome, None, target, position)]
    if not isinstance(check, ValuesCheck) and check.segment is not None:
        return _apply_in_segments(name, check, check.segment, target, position)
    wanted = normalize_metric_name(check.metric)
    min_rows = None if isinstance(check, ValuesCheck) else check.min_rows
    if min_rows is not None and (few := _find_few_rows(min_rows, target)):
        return [
            _build_result(name, check.metric, few, _apply_when_empty(few, check.when_empty), None, target, position)
        ]
    if not wanted.endswith(".*"):
        return [_apply_to_metric(name, check, wanted, target, position)]
    matches = [metric for metric in target.metrics if metric.startswith(wanted.removesuffix("*"))]
    if not matches:
        nothing = CheckFinding(CheckOutcome.ERROR, f"{check.metric} matches no metric of {target.name}")
        return [_build_result(name, check.metric, nothing, CheckOutcome.ERROR, None, target, position)]
    return [_apply_to_metric(name, check, metric, target, position) for metric in matches]


def _apply_in_segments(
    name: str, check: RangeCheck | TypicalCheck, wanted: str, target: CheckTarget, position: Position
) -> list[CheckResult]:
    """Apply a check in each segment that it names, as if the segment were the batch."""
    by_segment = group_segment_metrics(target.metrics)
    matches = match_segments(wanted, by_segment)
    if not matches and wanted.startswith(FOUND) and (search := target.metrics.get(FOUND_SEGMENTS)):
        reason = search.reason or f"no segment {wanted!r} was found this time"
        nothing = CheckFinding(
            CheckOutcome.EMPTY, reason, nothing_wrong=search.value is not None or search.counts_as_ok
        )
        outcome = _apply_when_empty(nothing, check.when_empty)
        return [_build_result(name, check.metric, nothing, outcome, None, target, position)]
    if not matches:
        hint = f"; {did_you_mean(wanted, list(by_segment), 'the segments are')[:300]}" if by_segment else ""
        nothing = CheckFinding(CheckOutcome.ERROR, f"{target.name} has no segment {wanted!r} this time{hint}")
        return [_build_result(name, check.metric, nothing, CheckOutcome.ERROR, None, target, position)]
    past = [(one.moment, group_segment_metrics(one.metrics)) for one in target.past]
    found = []
    for segment in matches:
        inside = replace(
            target,
            name=f"segment {segment!r} of {target.name}",
            metrics=by_segment[segment],
            past=[PastMetrics(moment, metrics[segment]) for moment, metrics in past if segment in metrics],
            rows=None,
            is_segment=True,
            detectable_drifts={},
        )
        results = apply_check(name, check.model_copy(update={"segment": None}), inside, position)
        found += [replace(one, target=target.name, metric=write_segment_metric(segment, one.metric)) for one in results]
    return found


def _find_few_rows(min_rows: int, target: CheckTarget) -> CheckFinding | None:
    """Return the finding of a check whose batch or segment has fewer rows than it asks for; None if it has enough.

    A segment may have no rows in a batch, but a batch without any row is not a small one.
    """
    rows = target.metrics.get("row_count")
    if rows is None or rows.value is None or rows.value >= min_rows:
        return None
    if not rows.value and not target.is_segment:
        return CheckFinding(CheckOutcome.EMPTY, "there are no rows")
    reason = f"too few rows: {rows.value:,.0f}, and min_rows is {min_rows:,}"
    return CheckFinding(CheckOutcome.EMPTY, reason, nothing_wrong=True)


def _apply_to_metric(
    name: str, check: RangeCheck | TypicalCheck | ValuesCheck, metric: str, target: CheckTarget, position: Position
) -> CheckResult:
    """Apply a check to one concrete metric: find its value, or its change, and compare it with the bounds."""
    measured = target.metrics.get(metric) or MetricValue(
        None, reason=_describe_unknown_metric(metric, target), failed=True
    )
    bounds: CheckBounds | None
    if isinstance(check, ValuesCheck):
        soft = check.soft_allowed
        bounds = AllowedValues(tuple(check.allowed), None if soft is None else tuple(soft))
        finding = _missing_value_finding(measured) if measured.value is None else _check_values(check, measured.value)
    elif isinstance(check, TypicalCheck):
        bounds, finding = _check_typical(check, metric, measured, target)
    else:
        # Bounds that `except:` gives for this metric replace those of the check.
        excepted: dict[str, Range] = {normalize_metric_name(text): one for text, one in check.except_.items()}
        in_seconds = metric in target.in_seconds and check.change == "absolute"
        applied = AppliedRange(excepted.get(metric, check).bounds, in_seconds)
        if check.compare is not None:
            measured = _compute_change(check, metric, measured, target)
            applied = replace(applied, compare=_name_baseline(check), change=check.change)
        bounds = applied if applied.limits or applied.compare else None  # an exception may lift all bounds
        finding = (
            _missing_value_finding(measured)
            if measured.value is None
            else _check_range(applied, measured, metric, certain=check.certain)
        )
        if finding.outcome is CheckOutcome.OK:
            finding = _add_detectable(finding, check, applied, metric, measured, target)
        elif metric in _OF_ALL_COLUMNS and finding.value is not None:
            finding = replace(finding, reason=finding.reason + _list_most_moved(target.metrics))
        elif finding.value is not None and measured.reason and not measured.reason.startswith("no interval"):
            finding = replace(finding, reason=f"{finding.reason}: {measured.reason}")
    return _build_result(name, metric, finding, _apply_when_empty(finding, check.when_empty), bounds, target, position)


def _check_typical(
    check: TypicalCheck, metric: str, measured: MetricValue, target: CheckTarget
) -> tuple[AppliedRange | None, CheckFinding]:
    """Compare a value with the fences of its earlier ones; return them, and what was found."""
    earlier = ((target.moment - one.moment, one.metrics.get(metric)) for one in reversed(target.past))
    values = select_typical_values(earlier, check)
    few = explain_too_few(values, check)
    limits: dict[str, float] = {}
    for factor, lower, upper in ((check.factor, "min", "max"), (check.soft_factor, "soft_min", "soft_max")):
        if factor is not None and not few:
            limits[lower], limits[upper] = compute_fences(values, factor)
    applied = AppliedRange(build_bounds(limits), metric in target.in_seconds) if limits else None
    if measured.value is None:
        return applied, _missing_value_finding(measured)
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
    """Return the columns that drifted most, for a reason; nothing if none did."""
    drifts = [(name.removeprefix("drift."), one.value) for name, one in metrics.items() if name.startswith("drift.")]
    moved = sorted(((drift, name) for name, drift in drifts if drift), reverse=True)[:_SHOWN_COLUMNS]
    return MOST_MOVED + ", ".join(f"{name} ({format_figure(drift)})" for drift, name in moved) if moved else ""


def _missing_value_finding(metric: MetricValue) -> CheckFinding:
    """Return the finding for a metric without a value."""
    reason = metric.reason or "no reason is recorded"
    if metric.failed:
        return CheckFinding(CheckOutcome.ERROR, reason)
    return CheckFinding(CheckOutcome.EMPTY, reason, nothing_wrong=metric.counts_as_ok)


def _describe_unknown_metric(metric: str, target: CheckTarget) -> str:
    """Return the message for a metric that does not exist; it suggests columns or classes that have the statistic."""
    statistic, _, member = metric.partition(".")
    members = [other.partition(".")[2] for other in target.metrics if other.startswith(f"{statistic}.")]
    hint = f"; {did_you_mean(member, members, f'{statistic} exists for')[:300]}" if members else ""
    return f"{target.name} has no metric {metric}{hint}"


def _check_range(applied: AppliedRange, measured: MetricValue, metric: str, *, certain: bool) -> CheckFinding:
    """Compare a value, or the change of one, with a range whose bounds are inclusive; hard bounds come first.

    With `certain` the whole interval must be outside; where there is none, nothing is certain, and the reason says so.
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
        answer = " (yes)" if metric == "data_drift_significant" and value == 1 else ""  # a number, but read as yes
        told, bound = _write_apart(value, limit.value, in_seconds=applied.in_seconds)
        shown = f"changed by {told}" if changed else f"{told}{answer}"
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
    """Return two numbers as texts, with all digits where they would look the same."""
    write = format_seconds if in_seconds else format_number
    texts = write(value), write(bound)
    unit = "s" if in_seconds else ""
    return texts if texts[0] != texts[1] else (f"{value!r}{unit}", f"{bound!r}{unit}")


def _describe_certainty(measured: MetricValue) -> str:
    """Return the interval that a check with `certain` looks at, in parentheses, or why there is none."""
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
    """Return an OK with what it could have found, and a reason if that is little."""
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


def _check_values(check: ValuesCheck, value: float) -> CheckFinding:
    """Compare a value with the allowed ones."""
    shown = format_number(value)
    if value not in check.allowed:
        return CheckFinding(CheckOutcome.ERROR, f"{shown} is not in allowed ({join_some(check.allowed)})", value)
    if check.soft_allowed is not None and value not in check.soft_allowed:
        reason = f"{shown} is not in soft_allowed ({join_some(check.soft_allowed)})"
        return CheckFinding(CheckOutcome.WARNING, reason, value)
    return CheckFinding(CheckOutcome.OK, "", value)


def _compute_change(check: RangeCheck, metric: str, measured: MetricValue, target: CheckTarget) -> MetricValue:
    """Return the change of a metric from the baseline that `compare` names: absolute or relative, as in `change`."""
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
    """Return what a change is measured from, as the spec names it."""
    return f"mean_of_last {check.compare.mean_of_last}" if isinstance(check.compare, MeanOfLast) else str(check.compare)


def _find_baseline(check: RangeCheck, metric: str, value: float, target: CheckTarget) -> MetricValue | str:
    """Return the value that a metric is compared with, or the reason why there is none."""
    if check.compare == "reference":
        # A performance metric: the reference's value is the batch's minus the change that was measured.
        if (changed := target.metrics.get(f"performance_change.{metric}")) and changed.value is not None:
            return MetricValue(value - changed.value)
        reference = target.metrics.get(f"reference_{metric}")
        return reference if reference and reference.value is not None else f"the reference has no {metric}"
    last = check.compare.mean_of_last if isinstance(check.compare, MeanOfLast) else 1
    earlier = [one.metrics[metric] for one in target.past[-last:] if metric in one.metrics]
    values = [one for one in earlier if one.value is not None]
    return average_metrics(values) if values else "there is no earlier value to compare with"


def _call_check_function(check: PythonCheck, target: CheckTarget) -> CheckFinding:
    """Call the function of a python check with {metric: value}; it returns an outcome, or (outcome, reason)."""
    values = {name: metric.value for name, metric in target.metrics.items()}
    try:
        returned = load_function(target.code, check.function)(values, **check.arguments)
    except DataError as error:
        return CheckFinding(CheckOutcome.ERROR, target.redact(str(error)))
    outcome, reason = returned if isinstance(returned, tuple) and len(returned) == 2 else (returned, "")
    if not isinstance(outcome, str) or outcome not in list(CheckOutcome):  # == of a table or an array is no truth value
        allowed, shown = ", ".join(CheckOutcome), " ".join(repr(returned).split())[:SHOWN_CHARACTERS]
        message = f"{check.function} returned {shown}; a check must return one of {allowed}, or (outcome, reason)"
        return CheckFinding(CheckOutcome.ERROR, target.redact(message))
    said = "" if reason is None else str(reason)
    if not said and outcome != CheckOutcome.OK:
        said = f"{check.function} returned {outcome}, without a reason"
    return CheckFinding(CheckOutcome(outcome), target.redact(said))


def _apply_when_empty(finding: CheckFinding, when_empty: WhenEmpty | None) -> CheckOutcome:
    """Return the outcome that a finding counts as: EMPTY counts as `when_empty`, by default as WARNING."""
    if finding.outcome is not CheckOutcome.EMPTY:
        return finding.outcome
    if when_empty is None:
        return CheckOutcome.OK if finding.nothing_wrong else CheckOutcome.WARNING
    return CheckOutcome(when_empty.upper())


def _build_result(
    check: str,
    metric: str,
    finding: CheckFinding,
    counts_as: CheckOutcome,
    bounds: CheckBounds | None,
    target: CheckTarget,
    position: Position,
) -> CheckResult:
    return CheckResult(
        target=target.name,
        check=check,
        metric=metric,
        outcome=finding.outcome,
        counts_as=CheckOutcome.WARNING if counts_as is CheckOutcome.EMPTY else counts_as,
        value=finding.value,
        bounds=bounds,
        reason=finding.reason,
        position=position,
        evaluation=target.evaluation,
        detectable=finding.detectable,
    )
