"""Step `run_checks`: applies the checks of an evaluation store or of a dataset."""

from engine.errors import DataError
from engine.evaluation.checks import Subject, judge
from engine.evaluation.record import CheckResult, Evaluation
from engine.outcome import CheckOutcome, Outcome
from engine.scenarios.actions import Action
from engine.scenarios.builders.datasets import ChecksFailed, inspect
from engine.scenarios.builders.decision import Decision
from engine.scenarios.context import Context
from engine.scenarios.log import Level
from engine.scenarios.result import StepResult
from engine.spec.catalogue import canonical
from engine.spec.resources.checks import RangeCheck
from engine.spec.resources.scenarios import RunChecksStep


def run(step: RunChecksStep, context: Context) -> StepResult:
    """Apply the checks. If any is ERROR the step is FAILED, else if any is WARNING it is WARNING."""
    found: list[CheckResult] = []
    metrics: dict[str, float | None] = {}
    if step.target in context.project.datasets:
        try:
            inspected = inspect(step.target, context, found)
        except ChecksFailed:
            context.log.error(f"dataset {step.target!r}: a check ended as ERROR")
        else:
            metrics = {metric: known.value for metric, known in inspected.metrics.items()}
    else:
        evaluation = evaluation_at_hand(step.target, context)
        found = decide(evaluation, context).act(context)
        metrics = {metric: known.value for metric, known in evaluation.metrics.items()}
    context.store.add_check_results(context.run, found)
    for check in found:
        if check.counts_as is not CheckOutcome.OK:
            level: Level = "error" if check.counts_as is CheckOutcome.ERROR else "warning"
            context.log.write(level, f"{check.outcome} {check.told}")
    worst = {check.counts_as for check in found}
    if CheckOutcome.ERROR in worst:
        outcome = Outcome.FAILED
    else:
        outcome = Outcome.WARNING if CheckOutcome.WARNING in worst else Outcome.SUCCESS
    cause = "check" if outcome is Outcome.FAILED else None
    return StepResult(name=step.name, kind=step.kind, outcome=outcome, cause=cause, checks=found, metrics=metrics)


def decide(evaluation: Evaluation, context: Context) -> Decision[list[CheckResult]]:
    """Plan the checks of an evaluation, which are applied every time."""
    checks = ", ".join(context.project.evaluation_stores[evaluation.store].checks) or "there are none"
    action = Action(
        kind="check",
        target=evaluation.store,
        result=evaluation.name if evaluation.store not in context.built else "",
        because="always",
        reason=checks,
    )
    return Decision(action, lambda: judge_evaluation(evaluation, context), list)


def judge_evaluation(evaluation: Evaluation, context: Context) -> list[CheckResult]:
    """Apply the checks of an evaluation store to one of its evaluations."""
    name, position = evaluation.store, context.project.position
    checks = context.project.evaluation_stores[name].checks
    # Only checks with `compare:` need the metrics of earlier evaluations.
    compared = [canonical(check.metric) for check in checks.values() if isinstance(check, RangeCheck) and check.compare]
    past = context.store.evaluations(name, metrics=compared) if compared else []
    subject = Subject(
        target=name,
        metrics=evaluation.metrics,
        past=[earlier.metrics for earlier in past if earlier.created < evaluation.created],
        folder=context.project.folder_of("evaluation_stores", name),
        redact=context.secrets.redact,
        evaluation=evaluation.id,
    )
    return [
        result
        for check, declared in checks.items()
        for result in judge(check, declared, subject, position("evaluation_stores", name, "checks", check))
    ]


def evaluation_at_hand(name: str, context: Context) -> Evaluation:
    """Return the evaluation that this run has built or reused, else the newest."""
    if name in context.built:
        return context.store.evaluation(context.built[name])
    newest = context.store.newest(name)
    if newest is None:
        raise DataError(f"evaluation store {name!r} has no evaluation yet: build it first")
    return newest
