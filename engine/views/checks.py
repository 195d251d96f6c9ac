"""Views of check results: the most severe first, each with its value and the allowed values as text."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from engine.evaluation.bounds import AppliedRange
from engine.evaluation.checks.counts import PassedChecks, sort_by_severity
from engine.evaluation.checks.detectable import list_weak_checks
from engine.evaluation.record import CheckResult
from engine.outcome import CheckOutcome
from engine.store import CheckPoint
from engine.views.metric_text import format_metric
from engine.views.ranges import format_bounds, format_checked, select_value_range


def select_latest(points: Sequence[CheckPoint]) -> list[CheckPoint]:
    """Return the latest results of each check, oldest first."""
    newest = {point.result.check: point.created for point in sorted(points, key=lambda point: point.created)}
    return [point for point in points if point.created == newest[point.result.check]]


@dataclass(frozen=True, slots=True)
class CheckView:
    """One result of a check.

    Attributes
    ----------
    value_text
        The value in the metric's unit, as a duration if it is in seconds; empty without a value.
    allowed
        The allowed range or values; empty for a python check.
    value_range
        The range, if it applies to the metric's value and can be drawn on the metric's scale.
    summary
        The result in one line.
    """

    target: str
    check: str
    metric: str
    outcome: CheckOutcome
    counts_as: CheckOutcome
    value: float | None
    value_text: str
    allowed: str
    value_range: AppliedRange | None
    reason: str
    summary: str


@dataclass(frozen=True, slots=True)
class CheckGroup:
    """The results of one check, the most severe first; a wildcard check has one per metric."""

    name: str
    results: tuple[CheckView, ...]

    @property
    def passed(self) -> int:
        """The number of results that count as OK."""
        return sum(result.counts_as is CheckOutcome.OK for result in self.results)


@dataclass(frozen=True, slots=True)
class CheckTally:
    """The results of a step's checks, counted.

    `wrong` are the results that do not count as OK, the most severe first. `passed` is a text with the number of the
    others, and how many of them measured nothing; empty if there are none. `weak` are the checks that could hardly have
    failed. `muted` are the results of muted checks, the most severe first.
    """

    wrong: tuple[CheckView, ...]
    passed: str
    weak: tuple[str, ...]
    muted: tuple[CheckView, ...] = ()


def describe_checks(results: Iterable[CheckResult]) -> tuple[CheckView, ...]:
    """Return check results, the most severe first."""
    return tuple(map(_describe_check, sort_by_severity(results)))


def group_checks(results: Iterable[CheckResult]) -> tuple[CheckGroup, ...]:
    """Return the checks, the most severe first, each with its results."""
    by_name: dict[str, list[CheckView]] = {}
    for result in describe_checks(results):
        by_name.setdefault(result.check, []).append(result)
    return tuple(CheckGroup(name, tuple(found)) for name, found in by_name.items())


def tally_checks(results: Iterable[CheckResult]) -> CheckTally:
    """Count the results of a step's checks."""
    found = list(results)
    passed = PassedChecks.select(found)
    return CheckTally(
        wrong=tuple(one for one in describe_checks(found) if one.counts_as is not CheckOutcome.OK),
        passed=passed.count() if passed.checks else "",
        weak=tuple(list_weak_checks(found)),
        muted=tuple(sorted(map(_describe_check, (one for one in found if one.muted)), key=_rank_outcome, reverse=True)),
    )


def _format_value(result: CheckResult) -> str:
    if result.value is None:
        return ""
    if isinstance(result.bounds, AppliedRange) and result.bounds.in_seconds:
        return format_checked(result.value, result.bounds)
    return format_metric(result.metric, result.value)


def _rank_outcome(check: CheckView) -> int:
    return list(CheckOutcome).index(check.outcome)


def _describe_check(result: CheckResult) -> CheckView:
    return CheckView(
        target=result.target,
        check=result.check,
        metric=result.metric,
        outcome=result.outcome,
        counts_as=result.counts_as,
        value=result.value,
        value_text=_format_value(result),
        allowed=format_bounds(result.bounds),
        value_range=select_value_range(result.bounds),
        reason=result.explanation,
        summary=result.summary,
    )
