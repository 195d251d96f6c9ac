"""Step `compute_metrics`: every metric of a dataset, remembered."""

from engine.outcome import Outcome
from engine.scenarios.builders.datasets import decide
from engine.scenarios.context import Context
from engine.scenarios.result import StepResult
from engine.spec.resources.scenarios import ComputeMetricsStep


def run(step: ComputeMetricsStep, context: Context) -> StepResult:
    """Compute them, unless nothing has changed."""
    decision = decide(context.datasets.open(step.target), context, every=True)
    metrics = decision.act(context)
    return StepResult(
        name=step.name,
        kind=step.kind,
        outcome=Outcome.SUCCESS,
        reused=decision.action.reused,
        metrics={metric: known.value for metric, known in metrics.items()},
    )
