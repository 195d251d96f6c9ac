"""Step `compute_metrics`: computes and stores every metric of a dataset."""

from engine.outcome import Outcome
from engine.pipeline.datasets import plan_dataset_read
from engine.scenarios.context import RunContext
from engine.scenarios.result import StepResult
from engine.spec.resources.scenarios import ComputeMetricsStep


def run(step: ComputeMetricsStep, context: RunContext) -> StepResult:
    """Compute the metrics, unless nothing has changed."""
    decision = plan_dataset_read(context.datasets.open(step.target), context, every=True)
    metrics = decision.apply(context)
    return StepResult(
        name=step.name,
        kind=step.kind,
        outcome=Outcome.SUCCESS,
        reused=decision.action.reused,
        metrics={metric: measured.value for metric, measured in metrics.items()},
    )
