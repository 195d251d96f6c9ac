"""Step `build`: builds datasets, models or evaluation stores, with everything that they depend on."""

from engine.outcome import Outcome
from engine.pipeline.datasets import inspect_dataset
from engine.pipeline.evaluations.stores import build_evaluation_store
from engine.pipeline.models import build_model
from engine.scenarios.context import RunContext
from engine.scenarios.result import EvaluationMade, StepResult
from engine.scenarios.steps.targets import do_targets, judge_datasets
from engine.spec.resources.scenarios import BuildStep


def run(step: BuildStep, context: RunContext) -> StepResult:
    """Build each target. A check of a dataset that is WARNING makes the step WARNING; one that is ERROR stops it."""
    return judge_datasets(
        step, context, lambda: do_targets(step, context, lambda target: _build_target(target, step, context))
    )


def _build_target(target: str, step: BuildStep, context: RunContext) -> StepResult:
    force = step.mode == "force"
    if target in context.project.datasets:
        inspected = inspect_dataset(target, context, force=force)
        values = {metric: measured.value for metric, measured in inspected.metrics.items()}
        return _make_result(step, reused=inspected.reused, metrics=values)
    if target in context.project.models:
        model_handle = build_model(target, context, force=force)
        trained = f"version {model_handle.trained.version}" if model_handle.trained else ""
        return _make_result(step, reused=model_handle.reused, reason=trained)
    evaluated = build_evaluation_store(target, context, force=force)
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


def _make_result(step: BuildStep, **found: object) -> StepResult:
    return StepResult.model_validate({"name": step.name, "kind": step.kind, "outcome": Outcome.SUCCESS, **found})
