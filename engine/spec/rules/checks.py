"""Rules of metrics and checks: each metric exists where it is used, and each range can be both kept and broken."""

import math
from datetime import timedelta
from itertools import pairwise

from engine.formatting.numbers import format_seconds
from engine.outcome import CheckOutcome
from engine.spec.diagnostics import Findings
from engine.spec.metrics.definition import MetricScope
from engine.spec.metrics.lookup import find_metric_definition
from engine.spec.metrics.names import MetricName
from engine.spec.metrics.names import parse_metric_name as parse_metric
from engine.spec.metrics.owner import MetricOwner
from engine.spec.problem import Problem
from engine.spec.resources.checks import Range, RangeCheck, TypicalCheck, ValuesCheck
from engine.spec.rules.draft import Draft, report_problem
from engine.spec.rules.messages import build_metric_owner
from engine.spec.validation.validator import SpecPath
from engine.spec.variables.references import quote_value


def check_metrics(draft: Draft, findings: Findings) -> None:
    """Check that each metric is built in or custom, and that its store has the model and task that it needs."""
    for text in draft.texts_read_as("metric"):
        section, owner = str(text.path[0]), str(text.path[1])
        in_segment = "checks" in text.path and draft.find_node(*text.path[:4], "segment") is not None
        found = build_metric_owner(draft, section, owner).resolve(text.value, in_segment=in_segment)
        if isinstance(found, Problem):
            report_problem(findings, text, found)
        elif found.wildcard and "display" in text.path:
            message = "a metric with * cannot be displayed"
            findings.error(text.node.position, "metric-member", message, f"write {found.statistic}.<column>")
        elif found.statistic == "repeated_data" and section != "datasets" and _lacks_times(draft, owner):
            message = "repeated_data needs evaluations with a time, but those of this store have none"
            help_ = "add evaluation: {time: …}, such as the day of the batch"
            findings.error(text.node.position, "needs-key", message, help_)


def _lacks_times(draft: Draft, store: str) -> bool:
    """Return whether the evaluations of a store have no time, and no metric of the user's has the name of theirs."""
    own = draft.declared_names("evaluation_stores", store, "metrics")
    return "repeated_data" not in own and draft.find_node("evaluation_stores", store, "evaluation", "time") is None


def check_ranges(draft: Draft, findings: Findings) -> None:
    """Check each range: at least one bound, finite numbers in order, and keys that fit together."""
    for section in ("datasets", "evaluation_stores"):
        for owner, resource in getattr(draft.spec, section).items():
            for name, check in resource.checks.items():
                path = (section, owner, "checks", name)
                if isinstance(check, RangeCheck):
                    _check_bounds(draft, findings, check, path)
                    _check_exceptions(draft, findings, check, path)
                    _check_change(draft, findings, check, path)
                    _check_durations(draft, findings, check, path)
                    _check_certain(draft, findings, check, path)
                    _warn_about_bounds(draft, findings, check, path)
                elif isinstance(check, TypicalCheck):
                    _check_factors(draft, findings, check, path)
                elif isinstance(check, ValuesCheck):
                    _check_allowed_values(draft, findings, check, path)


def _check_bounds(draft: Draft, findings: Findings, bounds: Range, path: SpecPath) -> None:
    given = bounds.bounds
    if not given and not getattr(bounds, "except_", None):
        help_ = "add min, soft_min, soft_max or max"
        findings.error(draft.key_position(*path), "no-bound", "this range has no bound", help_)
    for name, value, *_ in given:
        if not math.isfinite(value):
            message = f"{name} is {quote_value(value)}, but a bound must be a finite number"
            findings.error(
                draft.value_position(*path, name), "bound", message, f"leave {name} out if there is no bound"
            )
    # The declared bounds must be in order; it is enough to compare neighbours.
    for (lower, low, *_), (upper, high, *_) in pairwise(given):
        if low > high:
            at = draft.value_position(*path, upper)
            order = " <= ".join(bound.key for bound in given)
            message = f"{upper} {_write_bound(bounds, upper)} is below {lower} {_write_bound(bounds, lower)}"
            findings.error(
                at, "range-order", message, f"the order must be {order}", also=draft.value_position(*path, lower)
            )


def _write_bound(bounds: Range, key: str) -> str:
    value = getattr(bounds, key)
    return format_seconds(value.total_seconds()) if isinstance(value, timedelta) else quote_value(value)


def _check_exceptions(draft: Draft, findings: Findings, check: RangeCheck, path: SpecPath) -> None:
    metric = parse_metric(check.metric)
    if isinstance(metric, Problem):
        return
    if check.except_ and not metric.wildcard:
        at = draft.key_position(*path, "except")
        help_ = f"write {metric.statistic}.* or remove except" if metric.member else "remove except"
        findings.error(at, "except", f"except needs a metric with *, but the metric is {check.metric}", help_)
        return
    for name, bounds in check.except_.items():
        _check_bounds(draft, findings, bounds, (*path, "except", name))
        other = MetricOwner(
            _choose_metric_scope(path), custom_metrics=draft.declared_names(*path[:2], "metrics")
        ).resolve(name)
        if isinstance(other, MetricName) and other.statistic != metric.statistic:
            at = draft.key_position(*path, "except", name)
            findings.error(
                at, "except", f"{name} is not one of the metrics {check.metric}", f"write {metric.statistic}.<column>"
            )
        elif isinstance(other, MetricName) and other.wildcard:
            findings.error(
                draft.key_position(*path, "except", name),
                "except",
                "an exception is for one metric and cannot contain *",
            )


def _check_change(draft: Draft, findings: Findings, check: RangeCheck, path: SpecPath) -> None:
    if "change" in check.model_fields_set and check.compare is None:
        help_ = "add compare: previous, compare: reference or compare: {mean_of_last: 3}"
        at = draft.key_position(*path, "change")
        findings.error(at, "needs-key", "change needs compare", help_)
    if path[0] == "datasets" and check.compare == "reference":
        message = "a dataset has no reference to compare with"
        findings.error(
            draft.value_position(*path, "compare"),
            "compare",
            message,
            "write compare: previous, or put this check into an evaluation store",
        )


def _check_durations(draft: Draft, findings: Findings, check: RangeCheck, path: SpecPath) -> None:
    """Check that durations are bounds only of metrics that are measured in seconds."""
    scope, custom_metrics = _choose_metric_scope(path), draft.declared_names(*path[:2], "metrics")
    found = MetricOwner(scope, custom_metrics=custom_metrics).resolve(check.metric)
    if isinstance(found, Problem):
        return
    seconds = check.metric not in custom_metrics and find_metric_definition(found, scope).unit == "seconds"
    if seconds and check.change == "absolute":
        return
    what = f"the relative change of {check.metric}" if seconds else check.metric
    for inner in ((), *(("except", name) for name in check.except_)):
        limits = check.except_[inner[1]] if inner else check
        for key in (bound.key for bound in limits.bounds):
            if isinstance(getattr(limits, key), timedelta):
                at = draft.value_position(*path, *inner, key)
                findings.error(at, "bound", f"{key} is a duration, but {what} is a number", "write a number")


def _check_certain(draft: Draft, findings: Findings, check: RangeCheck, path: SpecPath) -> None:
    """Check that a metric with a required interval can have one."""
    custom_metrics = draft.declared_names(*path[:2], "metrics")
    found = MetricOwner(_choose_metric_scope(path), custom_metrics=custom_metrics).resolve(check.metric)
    if not check.certain or isinstance(found, Problem):
        return
    custom = check.metric in custom_metrics
    if not custom and find_metric_definition(found, _choose_metric_scope(path)).interval:
        return
    help_ = "remove certain; data_drift, performance, its estimates, performance_change and advantage have intervals"
    if found.statistic == "drift" and not custom:
        help_ = "remove certain; drift is 0 unless it is significant, so chance alone does not break this check"
    at = draft.value_position(*path, "certain")
    findings.error(at, "certain", f"{check.metric} never has a confidence interval", help_)


def _choose_metric_scope(path: SpecPath) -> MetricScope:
    return "dataset" if path[0] == "datasets" else "store"


def _warn_about_bounds(draft: Draft, findings: Findings, check: RangeCheck, path: SpecPath) -> None:
    """Warn about a bound that is always or never broken, given the metric's limits and its value without drift."""
    custom_metrics = draft.declared_names(*path[:2], "metrics")
    found = MetricOwner(_choose_metric_scope(path), custom_metrics=custom_metrics).resolve(check.metric)
    if isinstance(found, Problem) or check.compare is not None or check.metric in custom_metrics:
        return
    metric = find_metric_definition(found, _choose_metric_scope(path))
    for name, bound, is_lower, outcome in check.bounds:
        if not math.isfinite(bound):
            continue
        upper, verb = not is_lower, "warns" if outcome is CheckOutcome.WARNING else "fails"
        given, at = f"{name} {quote_value(bound)}", draft.value_position(*path, name)
        neutral = metric.neutral if metric.worse == "higher" else None
        if neutral is not None and (bound < neutral if upper else bound > neutral):
            usual = quote_value(neutral)
            message = f"{check.metric} is about {usual} if nothing drifts, so this check ({given}) always {verb}"
            instead = f"choose a {name} above {usual}" if upper else "higher is worse: write soft_max or max"
            findings.warning(at, "check-always", message, instead)
        elif (edge := metric.high if upper else metric.low) is not None and (bound > edge if upper else bound < edge):
            side = "above" if upper else "below"
            help_ = "if this is a percentage, divide it by 100" if edge == 1 and bound <= 100 else None
            message = f"{given}: {check.metric} is never {side} {quote_value(edge)}, so this check never {verb}"
            findings.warning(at, "check-never", message, help_)


def _check_factors(draft: Draft, findings: Findings, check: TypicalCheck, path: SpecPath) -> None:
    """Check that a typical range has a factor, factors in order, and one way to choose its values."""
    if {"last", "within"} <= check.model_fields_set and check.within is not None:
        also = draft.key_position(*path, "last")
        message = "last and within both define the typical earlier values"
        findings.error(draft.key_position(*path, "within"), "needs-key", message, "remove one of them", also=also)
    if check.factor is None and check.soft_factor is None:
        findings.error(
            draft.key_position(*path), "no-bound", "this check has no factor", "add soft_factor: 1.5 or factor: 3"
        )
    elif check.factor is not None and check.soft_factor is not None and check.factor < check.soft_factor:
        message = f"factor {quote_value(check.factor)} is below soft_factor {quote_value(check.soft_factor)}"
        also = draft.value_position(*path, "soft_factor")
        help_ = "the order must be soft_factor <= factor"
        findings.error(draft.value_position(*path, "factor"), "range-order", message, help_, also=also)


def _check_allowed_values(draft: Draft, findings: Findings, check: ValuesCheck, path: SpecPath) -> None:
    for key in ("allowed", "soft_allowed"):
        for i, value in enumerate(getattr(check, key) or []):
            at = draft.value_position(*path, key, i)
            if isinstance(value, bool) or not isinstance(value, int | float):
                findings.error(at, "wrong-value", f"a metric is a number, but this is {quote_value(value)}")
            elif key == "soft_allowed" and value not in check.allowed:
                message = f"{quote_value(value)} is not in allowed, so it is an ERROR although it is in soft_allowed"
                findings.error(at, "range-order", message, "add it to allowed, or remove it from soft_allowed")
