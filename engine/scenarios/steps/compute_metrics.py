"""Step `compute_metrics`: computes and stores every metric of datasets."""

from engine.outcome import Outcome
from engine.pipeline.datasets import plan_dataset_read
from engine.scenarios.context import RunContext
from engine.scenarios.result import StepResult
from engine.scenarios.steps.targets import do_targets
from engine.spec.resources.scenarios import ComputeMetricsStep


def run(step: ComputeMetricsStep, context: RunContext) -> StepResult:
    """Compute the metrics of each target, unless nothing has changed."""
    return do_targets(step, context, lambda target: _compute_metrics(target, step, context))


def _compute_metrics(target: str, step: ComputeMetricsStep, context: RunContext) -> StepResult:
    decision = plan_dataset_read(context.datasets.open(target), context, every=True)
    metrics = decision.apply(context)
    return StepResult(
        name=step.name,
        kind=step.kind,
        outcome=Outcome.SUCCESS,
        reused=decision.action.reused,
        metrics={metric: measured.value for metric, measured in metrics.items()},
    )
