"""Executes a step for each of its targets in order, and joins the results; a failure keeps the results before it."""

from collections.abc import Callable

from engine.errors import EngineError
from engine.outcome import CheckOutcome, Outcome, worst_cause, worst_outcome
from engine.pipeline.datasets import ChecksFailed
from engine.scenarios.context import RunContext
from engine.scenarios.result import StepResult
from engine.spec.resources.scenarios import AnyStep


def do_targets(step: AnyStep, context: RunContext, do: Callable[[str], StepResult]) -> StepResult:
    """Call `do` for each target of a step, and return the joined result.

    A target that fails ends the step, and the reason names the targets after it, which were not done.

    Raises
    ------
    ChecksFailed
        The step has one target, and a check of one of its datasets is ERROR.
    EngineError
        The step has one target, which fails; in a plan, any target fails; or a file has changed while it was read.
    """
    done: dict[str, StepResult] = {}
    several = len(step.targets) > 1
    for target in step.targets:
        if several:
            context.log.info(f"target {target}")
        try:
            done[target] = do(target)
            continue
        except (ChecksFailed, EngineError) as error:
            # If a file has changed, `read_unchanged` must see the error to try again.
            failed = isinstance(error, ChecksFailed)
            if not several or not (failed or (context.mode != "plan" and context.datasets.files.find_change() is None)):
                raise
            problem, cause = str(error), "check" if failed else "failure"
        left = step.targets[step.targets.index(target) + 1 :]
        reason = f"{problem}; not done because of this: {', '.join(left)}" if left else problem
        done[target] = StepResult.model_validate(
            {"name": step.name, "kind": step.kind, "outcome": Outcome.FAILED, "cause": cause, "reason": reason}
        )
        break
    return _join_results(done) if several else next(iter(done.values()))


def judge_datasets(step: AnyStep, context: RunContext, do: Callable[[], StepResult]) -> StepResult:
    """Return the result of `do`, with the checks of the datasets that it has read and the outcome that they imply."""
    try:
        result = do()
    except ChecksFailed as failed:
        result = StepResult(name=step.name, kind=step.kind, outcome=Outcome.FAILED, cause="check", reason=str(failed))
    # If two targets read the same dataset, its checks are applied twice.
    found = list({(check.target, check.check, check.metric): check for check in context.journal.checks}.values())
    context.store.checks.add(context.run, found)
    warned = any(check.counts_as is CheckOutcome.WARNING for check in found)
    outcome = Outcome.WARNING if warned and result.outcome is Outcome.SUCCESS else result.outcome
    return result.model_copy(update={"checks": found, "outcome": outcome})


def _join_results(results: dict[str, StepResult]) -> StepResult:
    """Return the results of several targets as one; a metric that several have gets the value of the last."""
    each = list(results.values())
    reasons = [
        f"{target}: {one.reason or ('reused' if one.reused else 'done')}"
        for target, one in results.items()
        if one.reason or one.kind != "run_checks"  # this kind lists its check results instead
    ]
    return each[0].model_copy(
        update={
            "outcome": worst_outcome(one.outcome for one in each),
            "cause": worst_cause(one.cause for one in each),
            "reason": "; ".join(reasons),
            "reused": all(one.reused for one in each),
            "evaluations": [made for one in each for made in one.evaluations],
            "checks": [check for one in each for check in one.checks],
            "metrics": {metric: value for one in each for metric, value in one.metrics.items()},
        }
    )
