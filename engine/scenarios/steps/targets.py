"""Doing a step for each of its targets, in order: the results become one, and what was made before a failure stays."""

from collections.abc import Callable

from engine.errors import EngineError
from engine.outcome import CheckOutcome, Outcome, worst_outcome
from engine.pipeline.datasets import ChecksFailed
from engine.scenarios.context import RunContext
from engine.scenarios.result import StepResult
from engine.spec.resources.scenarios import AnyStep


def do_targets(step: AnyStep, context: RunContext, do: Callable[[str], StepResult]) -> StepResult:
    """Return the result of a step that does something with each of its targets.

    A target that cannot be done ends the step, and the reason names those that were left.

    Raises
    ------
    ChecksFailed
        A check of a dataset of the only target is ERROR.
    EngineError
        The only target cannot be done, or in a plan any of them; or a file has changed while it was read.
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
            # Only whoever asks again can tell a file that has changed from a wrong one: see `read_unchanged`.
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
    """Return the result of `do` with the checks of the datasets that it has read, and the outcome that they lead to."""
    try:
        result = do()
    except ChecksFailed as failed:
        result = StepResult(name=step.name, kind=step.kind, outcome=Outcome.FAILED, cause="check", reason=str(failed))
    # Two targets may read the same dataset, whose checks are then applied twice.
    found = list({(check.target, check.check, check.metric): check for check in context.journal.checks}.values())
    context.store.checks.add(context.run, found)
    warned = any(check.counts_as is CheckOutcome.WARNING for check in found)
    outcome = Outcome.WARNING if warned and result.outcome is Outcome.SUCCESS else result.outcome
    return result.model_copy(update={"checks": found, "outcome": outcome})


def _join_results(results: dict[str, StepResult]) -> StepResult:
    """Return the results of several targets as one; of a metric that several have, the value of the last."""
    each = list(results.values())
    causes = {one.cause for one in each}
    told = [
        f"{target}: {one.reason or ('reused' if one.reused else 'done')}"
        for target, one in results.items()
        if one.reason or one.kind != "run_checks"  # its check results tell what it has done
    ]
    return each[0].model_copy(
        update={
            "outcome": worst_outcome(one.outcome for one in each),
            "cause": next((cause for cause in ("failure", "check") if cause in causes), None),
            "reason": "; ".join(told),
            "reused": all(one.reused for one in each),
            "evaluations": [made for one in each for made in one.evaluations],
            "checks": [check for one in each for check in one.checks],
            "metrics": {metric: value for one in each for metric, value in one.metrics.items()},
        }
    )
