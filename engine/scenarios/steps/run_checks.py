"""Step `run_checks`: applies the checks of an evaluation store or of a dataset."""

from engine.errors import DataError
from engine.evaluation.check_counts import PassedChecks
from engine.evaluation.checks import CheckTarget, apply_check, count_past
from engine.evaluation.detectable import HARDLY_FAILED, summarize_weak_checks
from engine.evaluation.false_alarms import describe_false_alarms
from engine.evaluation.record import CheckResult, Evaluation
from engine.outcome import CheckOutcome, Outcome
from engine.pipeline.actions import Action
from engine.pipeline.datasets import ChecksFailed, inspect_dataset
from engine.pipeline.decision import Decision
from engine.pipeline.log import Level
from engine.scenarios.context import RunContext
from engine.scenarios.result import StepResult
from engine.spec.metric_names import MetricName, normalize_metric_name
from engine.spec.resources.checks import RangeCheck
from engine.spec.resources.scenarios import RunChecksStep
from engine.store import EvaluationFilter

RECENT_EVALUATIONS = 100
"""Evaluations of which a plan learns how often they are made."""


def run(step: RunChecksStep, context: RunContext) -> StepResult:
    """Apply the checks. If any is ERROR the step is FAILED, else if any is WARNING it is WARNING."""
    found: list[CheckResult] = []
    metrics: dict[str, float | None] = {}
    if step.target in context.project.datasets:
        try:
            inspected = inspect_dataset(step.target, context, found)
        except ChecksFailed:
            context.log.error(f"dataset {step.target!r}: a check ended as ERROR")
        else:
            metrics = {metric: measured.value for metric, measured in inspected.metrics.items()}
    else:
        evaluation = find_current_evaluation(step.target, context)
        found = plan_evaluation_checks(evaluation, context).apply(context)
        metrics = {metric: measured.value for metric, measured in evaluation.metrics.items()}
    context.store.checks.add(context.run, found)
    for check in found:
        if check.counts_as is not CheckOutcome.OK:
            level: Level = "error" if check.counts_as is CheckOutcome.ERROR else "warning"
            context.log.write(level, f"{check.outcome} {check.summary}")
        elif check.outcome is CheckOutcome.OK and check.reason and not check.reason.startswith(HARDLY_FAILED):
            context.log.info(f"{check.outcome} {check.summary}")
    passed = PassedChecks.select(found)
    if passed.unmeasured:
        context.log.info(f"OK: {passed.count()}")
    for line in summarize_weak_checks(found):
        context.log.info(line)
    worst = {check.counts_as for check in found}
    if CheckOutcome.ERROR in worst:
        outcome = Outcome.FAILED
    else:
        outcome = Outcome.WARNING if CheckOutcome.WARNING in worst else Outcome.SUCCESS
    cause = "check" if outcome is Outcome.FAILED else None
    return StepResult(name=step.name, kind=step.kind, outcome=outcome, cause=cause, checks=found, metrics=metrics)


def plan_evaluation_checks(evaluation: Evaluation, context: RunContext) -> Decision[list[CheckResult]]:
    """Plan the checks of an evaluation, which are applied every time."""
    checks = ", ".join(context.project.evaluation_stores[evaluation.store].checks) or "there are none"
    action = Action(
        kind="check",
        target=evaluation.store,
        result=evaluation.name if evaluation.store not in context.built else "",
        because="always",
        reason=checks,
        notes=_expect_false_alarms(evaluation.store, context),
    )
    return Decision(action, lambda: check_evaluation(evaluation, context), list)


def _expect_false_alarms(name: str, context: RunContext) -> list[str]:
    """Return the false alarms to expect of the checks of a store as a note, once in a call."""
    declared = context.project.evaluation_stores[name]
    # an evaluation that a plan has simulated has no metrics
    stored = [
        one
        for one in context.store.evaluations.history(name, RECENT_EVALUATIONS, metrics=["data_drift"])
        if one.rows_read
    ]
    newest = stored[-1].metrics.get("data_drift") if stored else None
    created = [one.created for one in stored]
    text = describe_false_alarms(declared.checks, declared.drift.confidence, newest, created)
    told = f"{name}: {text}"
    if not text or told in context.told:
        return []
    context.told.add(told)
    return [text]


def check_evaluation(evaluation: Evaluation, context: RunContext) -> list[CheckResult]:
    """Apply the checks of an evaluation store to one of its evaluations."""
    name, position = evaluation.store, context.project.position
    checks = context.project.evaluation_stores[name].checks
    # Only checks with `compare:` need the metrics of earlier evaluations.
    compared = [
        normalize_metric_name(check.metric)
        for check in checks.values()
        if isinstance(check, RangeCheck) and check.compare
    ]
    before = EvaluationFilter(created_before=evaluation.created)
    looked_at = count_past(checks.values())
    past = context.store.evaluations.history(name, looked_at, metrics=compared, where=before) if looked_at else []
    subject = CheckTarget(
        name=name,
        metrics=evaluation.metrics,
        past=[earlier.metrics for earlier in past],
        folder=context.project.folder_of("evaluation_stores", name),
        redact=context.secrets.redact,
        evaluation=evaluation.id,
        rows=(evaluation.rows_used, evaluation.reference_rows),
        confidence=context.project.evaluation_stores[name].drift.confidence,
        detectable_drifts=_collect_detectable_drifts(evaluation),
    )
    return [
        result
        for check, declared in checks.items()
        for result in apply_check(check, declared, subject, position("evaluation_stores", name, "checks", check))
    ]


def _collect_detectable_drifts(evaluation: Evaluation) -> dict[str, float | None]:
    """Return the smallest detectable drift by metric; evaluations of earlier versions have none."""
    found = {
        str(MetricName("drift", name)): column["detectable"]
        for name, column in evaluation.columns.items()
        if "detectable" in column and column["drift"] is not None
    }
    predicted = evaluation.prediction.get("probability") or evaluation.prediction.get("prediction") or {}
    if "detectable" in predicted and predicted["drift"] is not None:
        found[str(MetricName("prediction_drift", "drift"))] = predicted["detectable"]
    return found


def find_current_evaluation(name: str, context: RunContext) -> Evaluation:
    """Return the evaluation that this run has built or reused, else the newest."""
    if name in context.built:
        return context.store.evaluations.get(context.built[name])
    newest = context.store.evaluations.find_newest(name)
    if newest is None:
        raise DataError(f"evaluation store {name!r} has no evaluation yet: put a step of kind build before this step")
    return newest
