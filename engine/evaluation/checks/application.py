"""Apply the checks of a spec to the metrics of a dataset or an evaluation.

Every declared check gives at least one result; a wildcard check gives one per metric. A metric that could not be
computed gives ERROR, a metric without a value gives EMPTY, each with the reason: no metric is skipped silently.
"""

from dataclasses import replace

from engine.data import load_function
from engine.errors import DataError, Position
from engine.evaluation.bounds import AllowedValues, CheckBounds
from engine.evaluation.checks.ranges import check_declared_range, check_typical_range
from engine.evaluation.checks.target import CheckFinding, CheckTarget, PastMetrics, build_missing_finding
from engine.evaluation.record import CheckResult, MetricValue
from engine.evaluation.segments.metrics import group_segment_metrics, write_segment_metric
from engine.formatting.hints import did_you_mean
from engine.formatting.lists import join_some
from engine.formatting.numbers import format_number
from engine.outcome import CheckOutcome
from engine.spec.metrics.names import normalize_metric_name
from engine.spec.resources.checks import Check, PythonCheck, RangeCheck, TypicalCheck, ValuesCheck, WhenEmpty
from engine.spec.segments import FOUND, FOUND_SEGMENTS, match_segments

SHOWN_CHARACTERS = 200
"""Maximum number of shown characters of an invalid result of a user's function."""


def apply_check(name: str, check: Check, target: CheckTarget, position: Position) -> list[CheckResult]:
    """Apply one check.

    Returns
    -------
    One result; for a wildcard one per matching metric and an EMPTY one per exception for a metric that does not exist,
    or one ERROR if nothing matches.
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
    results = [_apply_to_metric(name, check, metric, target, position) for metric in matches]
    excepted = map(normalize_metric_name, check.except_) if isinstance(check, RangeCheck) else ()
    for metric in (one for one in excepted if one not in target.metrics):
        unused = CheckFinding(CheckOutcome.EMPTY, f"except names it, but {_describe_unknown_metric(metric, target)}")
        outcome = _apply_when_empty(unused, check.when_empty)
        results.append(_build_result(name, metric, unused, outcome, None, target, position))
    return results


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
    """Return the finding for a batch or segment with fewer rows than the check requires; None if it has enough.

    A segment may have no rows in a batch, but a batch without rows does not count as small.
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
        finding = build_missing_finding(measured) if measured.value is None else _check_values(check, measured.value)
    elif isinstance(check, TypicalCheck):
        bounds, finding = check_typical_range(check, metric, measured, target)
    else:
        bounds, finding = check_declared_range(check, metric, measured, target)
    return _build_result(name, metric, finding, _apply_when_empty(finding, check.when_empty), bounds, target, position)


def _describe_unknown_metric(metric: str, target: CheckTarget) -> str:
    """Return the message for a metric that does not exist, with similar columns or classes that have the statistic."""
    statistic, _, member = metric.partition(".")
    members = [other.partition(".")[2] for other in target.metrics if other.startswith(f"{statistic}.")]
    hint = f"; {did_you_mean(member, members, f'{statistic} exists for')[:300]}" if members else ""
    return f"{target.name} has no metric {metric}{hint}"


def _check_values(check: ValuesCheck, value: float) -> CheckFinding:
    """Compare a value with the allowed values."""
    shown = format_number(value)
    if value not in check.allowed:
        return CheckFinding(CheckOutcome.ERROR, f"{shown} is not in allowed ({join_some(check.allowed)})", value)
    if check.soft_allowed is not None and value not in check.soft_allowed:
        reason = f"{shown} is not in soft_allowed ({join_some(check.soft_allowed)})"
        return CheckFinding(CheckOutcome.WARNING, reason, value)
    return CheckFinding(CheckOutcome.OK, "", value)


def _call_check_function(check: PythonCheck, target: CheckTarget) -> CheckFinding:
    """Call the function of a python check with {metric: value}; it returns an outcome, or (outcome, reason)."""
    values = {name: metric.value for name, metric in target.metrics.items()}
    try:
        returned = load_function(target.code, check.function)(values, **check.arguments)
    except DataError as error:
        return CheckFinding(CheckOutcome.ERROR, target.redact(str(error)))
    outcome, reason = returned if isinstance(returned, tuple) and len(returned) == 2 else (returned, "")
    if not isinstance(outcome, str) or outcome not in list(CheckOutcome):  # == with an array is not a boolean
        allowed, shown = ", ".join(CheckOutcome), " ".join(repr(returned).split())[:SHOWN_CHARACTERS]
        message = f"{check.function} returned {shown}; a check must return one of {allowed}, or (outcome, reason)"
        return CheckFinding(CheckOutcome.ERROR, target.redact(message))
    text = "" if reason is None else str(reason)
    if not text and outcome != CheckOutcome.OK:
        text = f"{check.function} returned {outcome}, without a reason"
    return CheckFinding(CheckOutcome(outcome), target.redact(text))


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
