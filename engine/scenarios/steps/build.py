"""Step `build`: builds a dataset, a model or an evaluation store, with everything that it depends on."""

from engine.outcome import CheckOutcome, Outcome
from engine.pipeline import evaluation_stores, models
from engine.pipeline.datasets import ChecksFailed, inspect_dataset
from engine.scenarios.context import RunContext
from engine.scenarios.result import EvaluationMade, StepResult
from engine.spec.resources.scenarios import BuildStep


def run(step: BuildStep, context: RunContext) -> StepResult:
    """Build the target. A dataset's check that is WARNING makes the step WARNING; one that is ERROR stops it."""
    try:
        result = _build_target(step, context)
    except ChecksFailed as failed:
        result = _make_result(step, outcome=Outcome.FAILED, cause="check", reason=str(failed))
    found = list(context.journal.checks)
    context.store.checks.add(context.run, found)
    warned = any(check.counts_as is CheckOutcome.WARNING for check in found)
    outcome = Outcome.WARNING if warned and result.outcome is Outcome.SUCCESS else result.outcome
    return result.model_copy(update={"checks": found, "outcome": outcome})


def _build_target(step: BuildStep, context: RunContext) -> StepResult:
    force = step.mode == "force"
    if step.target in context.project.datasets:
        inspected = inspect_dataset(step.target, context, force=force)
        values = {metric: measured.value for metric, measured in inspected.metrics.items()}
        return _make_result(step, reused=inspected.reused, metrics=values)
    if step.target in context.project.models:
        model_handle = models.build_model(step.target, context, force=force)
        trained = f"version {model_handle.trained.version}" if model_handle.trained else ""
        return _make_result(step, reused=model_handle.reused, reason=trained)
    evaluated = evaluation_stores.build_evaluation_store(step.target, context, force=force)
    evaluation = evaluated.evaluation
    made = EvaluationMade.describe(
        evaluation, reused=evaluated.reused, newest=evaluated.newest, supersedes=evaluated.supersedes
    )
    return _make_result(
        step,
        reused=evaluated.reused,
        reason=f"evaluation {evaluation.name}{' reused' if evaluated.reused else ''}"
        f"{': ' + evaluated.remark if evaluated.remark else ''}",
        evaluations=[made],
        metrics={metric: measured.value for metric, measured in evaluation.metrics.items()},
    )


def _make_result(step: BuildStep, *, outcome: Outcome = Outcome.SUCCESS, **found: object) -> StepResult:
    return StepResult.model_validate({"name": step.name, "kind": step.kind, "outcome": outcome, **found})
