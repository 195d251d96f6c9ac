"""Applies the checks of an evaluation store to one of its evaluations, or those of a dataset to its metrics."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import isfinite
from typing import NamedTuple

from engine.errors import DataError
from engine.evaluation.checks.application import apply_check
from engine.evaluation.checks.counts import PassedChecks
from engine.evaluation.checks.detectable import HARDLY_FAILED, summarize_weak_checks
from engine.evaluation.checks.false_alarms import describe_false_alarms
from engine.evaluation.checks.target import CheckTarget, PastMetrics
from engine.evaluation.record import CheckResult, Evaluation
from engine.outcome import CheckOutcome
from engine.pipeline.actions import Action
from engine.pipeline.context import BuildContext
from engine.pipeline.datasets import ChecksFailed, inspect_dataset
from engine.pipeline.decision import Decision
from engine.pipeline.evaluation_times import count_same_data_once, is_of_other_batch, select_earlier
from engine.pipeline.log import Level
from engine.pipeline.mutes import mark_muted_results
from engine.spec.metrics.names import MetricName, normalize_metric_name
from engine.spec.resources.checks import (
    PastWindow,
    RangeCheck,
    TypicalCheck,
    describe_inactive_checks,
    find_past_window,
    select_active_checks,
)
from engine.store import EvaluationFilter

RECENT_EVALUATIONS = 100
"""Most recent evaluations from which a plan estimates their frequency."""


class AppliedChecks(NamedTuple):
    """The results of checks, and the metrics that they used; none if a dataset failed its checks."""

    results: Sequence[CheckResult]
    metrics: Mapping[str, float | None]


def apply_checks(target: str, context: BuildContext) -> AppliedChecks:
    """Apply the declared checks of an evaluation store or of a dataset; record and log the results.

    The evaluation is the one that this run built or reused, otherwise the newest.

    Raises
    ------
    DataError
        The store has no evaluation yet; or the dataset cannot be read, or violates its contract.
    """
    metrics: dict[str, float | None] = {}
    before = len(context.journal.checks)
    if target in context.project.datasets:
        try:
            inspected = inspect_dataset(target, context)
        except ChecksFailed:
            context.log.error(f"dataset {target!r}: a check ended as ERROR")
        else:
            metrics = {metric: measured.value for metric, measured in inspected.metrics.items()}
    else:
        evaluation = find_current_evaluation(target, context)
        context.journal.checks += plan_evaluation_checks(evaluation, context).apply(context)
        metrics = {metric: measured.value for metric, measured in evaluation.metrics.items()}
    results = tuple(context.journal.checks[before:])
    context.store.checks.add(context.run, results)
    _log_checks(results, context)
    if target in context.project.evaluation_stores:
        inactive = describe_inactive_checks(context.project.evaluation_stores[target].checks)
        if inactive:
            context.log.info(f"{target}: {inactive}")
    return AppliedChecks(results, metrics)


def _log_checks(results: Sequence[CheckResult], context: BuildContext) -> None:
    """Log results that are not OK or measured nothing, and checks that could hardly have failed."""
    for check in results:
        if check.muted or (check.mute and check.counts_as is CheckOutcome.OK):
            context.log.info(f"{check.outcome} {check.summary}")
        elif check.counts_as is not CheckOutcome.OK:
            level: Level = "error" if check.counts_as is CheckOutcome.ERROR else "warning"
            context.log.write(level, f"{check.outcome} {check.summary}")
        elif check.outcome is CheckOutcome.OK and check.reason and not check.reason.startswith(HARDLY_FAILED):
            context.log.info(f"{check.outcome} {check.summary}")
    passed = PassedChecks.select(results)
    if passed.unmeasured:
        context.log.info(f"OK: {passed.count()}")
    for line in summarize_weak_checks(results):
        context.log.info(line)


def plan_evaluation_checks(evaluation: Evaluation, context: BuildContext) -> Decision[list[CheckResult]]:
    """Plan the checks of an evaluation, which are always applied."""
    declared = context.project.evaluation_stores[evaluation.store].checks
    active, inactive = ", ".join(select_active_checks(declared)), describe_inactive_checks(declared)
    action = Action(
        kind="check",
        target=evaluation.store,
        result=evaluation.name if evaluation.store not in context.built else "",
        because="always",
        reason="; ".join(filter(None, [active, inactive])) or "there are none",
        notes=_expect_false_alarms(evaluation.store, context),
    )
    return Decision(action, lambda: check_evaluation(evaluation, context), list)


def _expect_false_alarms(name: str, context: BuildContext) -> list[str]:
    """Return a note on the expected false alarms of a store's checks, once per call of the engine."""
    declared = context.project.evaluation_stores[name]
    # a simulated evaluation of a plan has no metrics
    stored = [
        one
        for one in context.store.evaluations.history(name, RECENT_EVALUATIONS, metrics=["data_drift"])
        if one.rows_read
    ]
    newest = stored[-1].metrics.get("data_drift") if stored else None
    moments = [one.moment for one in stored]
    text = describe_false_alarms(select_active_checks(declared.checks), declared.drift.confidence, newest, moments)
    return [text] if text and context.logged.add(f"{name}: {text}") else []


def check_evaluation(evaluation: Evaluation, context: BuildContext) -> list[CheckResult]:
    """Apply the checks of an evaluation store to one of its evaluations."""
    name, position = evaluation.store, context.project.position
    checks = select_active_checks(context.project.evaluation_stores[name].checks)
    # Only typical checks, and those with `compare:`, need the metrics of earlier evaluations.
    compared = [
        normalize_metric_name(check.metric) if check.segment is None else "segment.*"
        for check in checks.values()
        if isinstance(check, TypicalCheck) or (isinstance(check, RangeCheck) and check.compare)
    ]
    earlier = select_earlier(evaluation, context)
    past = _read_past(evaluation, find_past_window(checks.values()), compared, earlier, context)
    subject = CheckTarget(
        name=name,
        moment=evaluation.moment,
        metrics=evaluation.metrics,
        past=past,
        code=context.project.code_of("evaluation_stores", name),
        redact=context.secrets.redact,
        evaluation=evaluation.id,
        rows=(evaluation.rows_used, evaluation.reference_rows),
        confidence=context.project.evaluation_stores[name].drift.confidence,
        detectable_drifts=_collect_detectable_drifts(evaluation),
        of_model=bool(earlier.model),
    )
    results = [
        result
        for check, declared in checks.items()
        for result in apply_check(check, declared, subject, position("evaluation_stores", name, "checks", check))
    ]
    return mark_muted_results(name, results, context)


def _read_past(
    evaluation: Evaluation,
    window: PastWindow,
    metrics: Sequence[str],
    earlier: EvaluationFilter,
    context: BuildContext,
) -> list[PastMetrics]:
    """Return the metrics of the earlier evaluations that checks use, oldest first."""
    history, found = context.store.evaluations.history, list[Evaluation]()
    earlier = replace(earlier, other_dataset_than=None)  # changes of data are found in the whole history

    def select(read: list[Evaluation]) -> list[Evaluation]:
        return [one for one in count_same_data_once(read) if is_of_other_batch(one, evaluation)]

    if window.age:
        within = replace(earlier, moment_since=evaluation.moment - window.age)
        found = select(history(evaluation.store, metrics=metrics, where=within))
    most = window.count
    while len(found) < window.count:
        read = history(evaluation.store, most, metrics=metrics, where=earlier)
        found = select(read)
        if len(read) < most:
            break
        most *= 2
    return [PastMetrics(one.moment, one.metrics) for one in found]


def _collect_detectable_drifts(evaluation: Evaluation) -> dict[str, float | None]:
    """Return the smallest detectable drift by metric; evaluations of earlier versions have none."""
    found = {str(MetricName("drift", name)): column.detectable for name, column in evaluation.columns.items()}
    if evaluation.prediction is not None:
        found[str(MetricName("prediction_drift", "drift"))] = evaluation.prediction.main.detectable
    return {
        metric: drift if isfinite(drift) else None
        for metric, drift in found.items()
        if drift is not None and evaluation.find_value(metric) is not None
    }


def find_current_evaluation(name: str, context: BuildContext) -> Evaluation:
    """Return the evaluation that this run built or reused, otherwise the newest."""
    if name in context.built:
        return context.store.evaluations.get(context.built[name])
    newest = context.store.evaluations.find_newest(name)
    if newest is None:
        raise DataError(f"evaluation store {name!r} has no evaluation yet: put a step of kind build before this step")
    return newest
