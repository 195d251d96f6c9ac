"""Checks: what metrics must be. Metrics, what is known of the past, and a check of the spec give results.

Every declared check gives at least one result; a wildcard check gives one a metric. A metric that failed to compute is
an ERROR with its reason, one that has no value is EMPTY: nothing turns into a silent OK.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.data import load_function
from engine.errors import DataError, Position
from engine.evaluation.record import CheckResult, MetricValue
from engine.outcome import CheckOutcome
from engine.spec.catalogue import canonical
from engine.spec.problem import did_you_mean
from engine.spec.resources.checks import Check, MeanOfLast, PythonCheck, Range, RangeCheck, ValuesCheck, WhenEmpty
from engine.spec.resources.resource import Scalar

Metrics = Mapping[str, MetricValue]


@dataclass(frozen=True, slots=True)
class Subject:
    """What checks are applied to: the metrics of a dataset or of one evaluation, and of those before it, oldest first.

    `folder` is where functions of the user's are found; what they say passes through `redact`.
    """

    target: str
    metrics: Metrics
    past: Sequence[Metrics]
    folder: Path
    redact: Callable[[str], str]
    evaluation: str | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """An outcome with the value it was found on and a sentence that says why."""

    outcome: CheckOutcome
    reason: str
    value: float | None = None
    forgiven: bool = False


def judge(name: str, check: Check, subject: Subject, position: Position) -> list[CheckResult]:
    """Apply one check.

    Returns
    -------
    One result; of a wildcard one for each metric that it matches, or an ERROR where it matches none.
    """
    if isinstance(check, PythonCheck):
        finding = _ask(check, subject)
        return [_result(name, "", finding, finding.outcome, {}, subject, position)]
    wanted = canonical(check.metric)
    if not wanted.endswith(".*"):
        return [_judge_metric(name, check, wanted, subject, position)]
    matches = [metric for metric in subject.metrics if metric.startswith(wanted.removesuffix("*"))]
    if not matches:
        nothing = Finding(CheckOutcome.ERROR, f"{check.metric} matches no metric of {subject.target}")
        return [_result(name, check.metric, nothing, CheckOutcome.ERROR, {}, subject, position)]
    return [_judge_metric(name, check, metric, subject, position) for metric in matches]


def _judge_metric(
    name: str, check: RangeCheck | ValuesCheck, metric: str, subject: Subject, position: Position
) -> CheckResult:
    known = subject.metrics.get(metric) or MetricValue(None, reason=_unknown(metric, subject), failed=True)
    if isinstance(check, ValuesCheck):
        bounds: dict[str, Any] = {"allowed": check.allowed, "soft_allowed": check.soft_allowed}
        finding = _absent(known) if known.value is None else _among(check, known.value)
    else:
        excepted = {canonical(text): limits for text, limits in check.except_.items()}
        limits: Range = excepted.get(metric, check)
        bounds = limits.model_dump(include={"min", "soft_min", "soft_max", "max"})
        if check.compare is not None:
            known = _change(check, metric, known, subject)
            bounds |= _comparison(check)
        finding = _absent(known) if known.value is None else _within(limits, known.value, changed=bool(check.compare))
    bounds = {key: bound for key, bound in bounds.items() if bound is not None}
    return _result(name, metric, finding, _counted(finding, check.when_empty), bounds, subject, position)


def _absent(known: MetricValue) -> Finding:
    reason = known.reason or "it has no value"
    if known.failed:
        return Finding(CheckOutcome.ERROR, reason)
    return Finding(CheckOutcome.EMPTY, reason, forgiven=known.unlabelled)


def _unknown(metric: str, subject: Subject) -> str:
    """Say that there is no such metric, and of what its statistic is known."""
    statistic, _, member = metric.partition(".")
    members = [other.partition(".")[2] for other in subject.metrics if other.startswith(f"{statistic}.")]
    known = f"; {did_you_mean(member, members, f'{statistic} is known of')[:300]}" if members else ""
    return f"{subject.target} has no metric {metric}{known}"


def _within(limits: Range, value: float, *, changed: bool) -> Finding:
    for bound, side, outcome in (
        (limits.min, "below min", CheckOutcome.ERROR),
        (limits.max, "above max", CheckOutcome.ERROR),
        (limits.soft_min, "below soft_min", CheckOutcome.WARNING),
        (limits.soft_max, "above soft_max", CheckOutcome.WARNING),
    ):
        if bound is not None and (value < bound if "below" in side else value > bound):
            said = f"changed by {value:.6g}, which" if changed else f"{value:.6g}"
            return Finding(outcome, f"{said} is {side} {bound:.6g}", value)
    return Finding(CheckOutcome.OK, "", value)


def _among(check: ValuesCheck, value: float) -> Finding:
    if value not in check.allowed:
        return Finding(CheckOutcome.ERROR, f"{value:.6g} is none of {_listed(check.allowed)}", value)
    if check.soft_allowed is not None and value not in check.soft_allowed:
        return Finding(
            CheckOutcome.WARNING, f"{value:.6g} is allowed, but none of {_listed(check.soft_allowed)}", value
        )
    return Finding(CheckOutcome.OK, "", value)


def _listed(values: Sequence[Scalar]) -> str:
    return ", ".join(str(value) for value in values)


def _change(check: RangeCheck, metric: str, known: MetricValue, subject: Subject) -> MetricValue:
    """Replace a value by its change, as `compare` and `change` of the check say."""
    if known.value is None:
        return known
    against = _compared_with(check, metric, known.value, subject)
    if isinstance(against, str):
        return MetricValue(None, reason=against)
    difference = known.value - against
    if check.change == "absolute":
        return MetricValue(difference)
    if against == 0:
        return MetricValue(None, reason="a relative change from 0 is not defined")
    return MetricValue(difference / abs(against))


def _comparison(check: RangeCheck) -> dict[str, str]:
    """Return what makes the bounds those of a change, in the words of the spec."""
    against = f"mean_of_last {check.compare.mean_of_last}" if isinstance(check.compare, MeanOfLast) else check.compare
    return {"compare": str(against), "change": check.change}


def _compared_with(check: RangeCheck, metric: str, value: float, subject: Subject) -> float | str:
    """Return what the value is compared with, or why there is none."""
    if check.compare == "reference":
        if (changed := subject.metrics.get(f"performance_change.{metric}")) and changed.value is not None:
            return value - changed.value
        reference = subject.metrics.get(f"reference_{metric}")
        known = reference.value if reference else None
        return known if known is not None else f"the reference has no {metric}"
    last = check.compare.mean_of_last if isinstance(check.compare, MeanOfLast) else 1
    earlier = [metrics[metric].value for metrics in subject.past[-last:] if metric in metrics]
    values = [known for known in earlier if known is not None]
    return sum(values) / len(values) if values else "there is nothing earlier to compare with"


def _ask(check: PythonCheck, subject: Subject) -> Finding:
    """Let a function of the user's judge: it is given {metric: value} and returns an outcome, or outcome and reason."""
    values = {metric: known.value for metric, known in subject.metrics.items()}
    try:
        answer = load_function(subject.folder, check.function)(values, **check.arguments)
    except DataError as error:
        return Finding(CheckOutcome.ERROR, subject.redact(str(error)))
    outcome, reason = answer if isinstance(answer, tuple) and len(answer) == 2 else (answer, "")
    if outcome not in list(CheckOutcome):
        allowed = ", ".join(CheckOutcome)
        said = f"{check.function} returned {answer!r}; a check returns one of {allowed}, or (outcome, reason)"
        return Finding(CheckOutcome.ERROR, subject.redact(said))
    return Finding(CheckOutcome(outcome), subject.redact(str(reason)))


def _counted(finding: Finding, when_empty: WhenEmpty | None) -> CheckOutcome:
    if finding.outcome is not CheckOutcome.EMPTY:
        return finding.outcome
    if when_empty is None:
        return CheckOutcome.OK if finding.forgiven else CheckOutcome.WARNING
    return CheckOutcome(when_empty.upper())


def _result(
    check: str,
    metric: str,
    finding: Finding,
    counts_as: CheckOutcome,
    bounds: Mapping[str, Any],
    subject: Subject,
    position: Position,
) -> CheckResult:
    return CheckResult(
        target=subject.target,
        check=check,
        metric=metric,
        outcome=finding.outcome,
        counts_as=CheckOutcome.WARNING if counts_as is CheckOutcome.EMPTY else counts_as,
        value=finding.value,
        bounds=bounds,
        reason=finding.reason,
        position=position,
        evaluation=subject.evaluation,
    )
