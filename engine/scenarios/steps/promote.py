"""Step `promote`: makes the trained candidate the model in use."""

from engine.outcome import Outcome
from engine.pipeline.promotions import plan_promotion
from engine.scenarios.context import RunContext
from engine.scenarios.result import StepResult
from engine.spec.resources.scenarios import PromoteStep


def run(step: PromoteStep, context: RunContext) -> StepResult:
    """Promote the version that this run has evaluated, unless it is in use already.

    Raises
    ------
    ModelError
        See `plan_promotion`.
    """
    with context.lock(f"model {step.model}"):
        decision = plan_promotion(step.model, step.candidate, context)
        decision.apply(context)
    action = decision.action
    return StepResult(
        name=step.name,
        kind=step.kind,
        outcome=Outcome.SUCCESS,
        reason=f"{action.target} {action.result}: {action.reason}",
        reused=action.reused,
    )
