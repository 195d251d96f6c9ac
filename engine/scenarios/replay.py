"""Replays the checks of an evaluation store over all its stored evaluations: what its bounds would have said.

Nothing is recorded, so bounds can be tried before they are put into the spec.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from engine.evaluation.record import CheckResult, Evaluation
from engine.outcome import CheckOutcome, worst_check_outcome
from engine.scenarios.context import Context
from engine.scenarios.steps.run_checks import apply_checks
from engine.spec.metric_names import normalize_metric_name
from engine.spec.resources.checks import Check, MeanOfLast, PythonCheck, RangeCheck


@dataclass(frozen=True, slots=True)
class CheckReplay:
    """What one check would have said of the evaluations of a store.

    Of a wildcard check, the worst outcome of an evaluation counts.

    Attributes
    ----------
    evaluations
        How many evaluations there are.
    warnings, errors
        The names of those for which the check would have counted as WARNING or as ERROR, oldest first.
    last
        The name of the newest of them, if there is one.
    unmeasured
        How many have no value of the metric, or of one of several; those whose metric was empty count as `when_empty`
        says, those that do not hold the metric at all as nothing.
    metrics
        The metrics that would not have been OK, each with the number of evaluations, most often first.
    """

    check: str
    evaluations: int
    warnings: tuple[str, ...]
    errors: tuple[str, ...]
    last: str | None
    unmeasured: int
    metrics: tuple[tuple[str, int], ...]


def replay_checks(store: str, context: Context) -> list[CheckReplay]:
    """Apply the checks that the spec of `context` declares to every stored evaluation, in order."""
    checks = context.project.evaluation_stores[store].checks
    evaluations = context.store.list_evaluations(store, metrics=_list_needed_metrics(checks.values()))
    results: dict[str, list[tuple[Evaluation, list[CheckResult]]]] = {check: [] for check in checks}
    for evaluation, found in _apply_in_order(evaluations, _count_past(checks.values()), context):
        for check in checks:
            results[check].append((evaluation, [result for result in found if result.check == check]))
    return [_summarize_check(check, found) for check, found in results.items()]


def _apply_in_order(
    evaluations: Sequence[Evaluation], past: int, context: Context
) -> Iterator[tuple[Evaluation, list[CheckResult]]]:
    for number, evaluation in enumerate(evaluations):
        earlier = [one.metrics for one in evaluations[max(0, number - past) : number]]
        yield evaluation, apply_checks(evaluation, earlier, context)


def _count_past(checks: Iterable[Check]) -> int:
    """Return how many earlier evaluations the checks look at."""
    compared = [check.compare for check in checks if isinstance(check, RangeCheck) and check.compare]
    return max((one.mean_of_last if isinstance(one, MeanOfLast) else 1 for one in compared), default=0)


def _list_needed_metrics(checks: Iterable[Check]) -> list[str] | None:
    """Return the metrics that the checks look at; None, which is all, for a function of the user."""
    needed: list[str] = []
    for check in checks:
        if isinstance(check, PythonCheck):
            return None
        metric = normalize_metric_name(check.metric)
        needed += [metric, f"reference_{metric}"]
        needed += [f"performance_change.{metric}", f"performance_change_relative.{metric}"]
    return needed


def _summarize_check(check: str, found: Sequence[tuple[Evaluation, list[CheckResult]]]) -> CheckReplay:
    # A metric that an evaluation does not hold, such as one that its engine did not measure yet, judges nothing.
    judged = [
        (evaluation.name, [one for one in results if not one.metric or one.metric in evaluation.metrics])
        for evaluation, results in found
    ]
    worst = [(name, worst_check_outcome(one.counts_as for one in results)) for name, results in judged]
    every = [result for _, results in judged for result in results]
    alarms = Counter(result.metric for result in every if result.metric and result.counts_as is not CheckOutcome.OK)
    return CheckReplay(
        check=check,
        evaluations=len(found),
        warnings=tuple(name for name, outcome in worst if outcome is CheckOutcome.WARNING),
        errors=tuple(name for name, outcome in worst if outcome is CheckOutcome.ERROR),
        last=next((name for name, outcome in reversed(worst) if outcome is not CheckOutcome.OK), None),
        unmeasured=sum(
            not results or any(one.outcome is CheckOutcome.EMPTY for one in results) for _, results in judged
        ),
        metrics=tuple(alarms.most_common()),
    )
