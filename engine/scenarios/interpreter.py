"""The semantics of a scenario: which steps run, in which order, and which are skipped, tried again or only warn.

A run and a plan both use this module with different executors: a run executes each step, and a plan predicts its
outcome as far as it is known. So the two cannot disagree about iterations, conditions, retries, `on_failure` and
`fail_fast`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Protocol, Self, TypeVar

from engine.outcome import Outcome
from engine.scenarios.context import RunContext
from engine.scenarios.result import EvaluationMade
from engine.scenarios.scenario_selection import list_preconditions
from engine.spec.conditions import ConditionFacts, UndecidedCondition, evaluate_condition
from engine.spec.resources.scenarios import AnyStep


class StepEnd(Protocol):
    """The end of a step: the result of one that was executed, or a prediction."""

    @property
    def name(self) -> str: ...
    @property
    def outcome(self) -> Outcome | None:
        """The outcome; None if it is not known before the run."""

    @property
    def variables(self) -> Mapping[str, Any]:
        """Variables that the step has set for the rest of the iteration."""

    @property
    def evaluations(self) -> Sequence[EvaluationMade]: ...
    def model_copy(self, *, update: Mapping[str, Any] | None = None) -> Self: ...


End = TypeVar("End", bound=StepEnd)


class Executor(Protocol[End]):
    """Executes or predicts the steps of one iteration. The context of every call is that of the step."""

    def collect_facts(self, finished: Sequence[End], context: RunContext) -> ConditionFacts:
        """Return the facts for the condition of the next step, from the ends of those before it."""

    def has_failed(self, finished: Sequence[End]) -> bool:
        """Return whether one of these steps is FAILED; raise UndecidedCondition if that is not known."""

    def answer_undecided(self, step: AnyStep, reason: str, context: RunContext) -> End | None:
        """Return the end of a step whose condition cannot be decided; None to go on as if the step runs."""

    def skip(self, step: AnyStep, context: RunContext, reason: str = "") -> End:
        """Return the end of a step that does not run; an empty `reason` means that `explain_skip` gives it."""

    def execute(self, index: int, step: AnyStep, attempt: int, context: RunContext) -> End:
        """Execute step number `index` of the scenario, as attempt number 1, 2, …, and return its end."""

    def prepare_retry(self, step: AnyStep, attempt: int, context: RunContext) -> bool:
        """Wait for the pause after a FAILED attempt, and return whether the step is tried again."""

    def complete(
        self,
        step: AnyStep,
        end: End,
        started: datetime,
        undecided: str,
        iteration: Mapping[str, Any],
        context: RunContext,
    ) -> End:
        """Return the end of a step with its times and its iteration.

        Parameters
        ----------
        undecided
            The condition that decides whether the step runs, if its result is not known; else empty.
        iteration
            The variables of the iteration of `for_each`; empty without any.
        """


def explain_skip(step: AnyStep, failed: str) -> str:
    """Return why a step does not run: it is not active, its condition does not hold, or else the text `failed`."""
    if not step.active:
        return "switched off"
    return f"its run_condition is false: {step.run_condition}" if step.run_condition else failed


def walk_scenario(name: str, context: RunContext, make_executor: Callable[[], Executor[End]]) -> Iterator[End]:
    """Yield the end of each step, for each iteration of `for_each` or once without it; each has a new executor."""
    scenario = context.get_scenario(name)
    ends: list[End] = []
    for turn, iteration in enumerate(scenario.for_each or [{}]):
        executor = make_executor()
        context = replace(context, turn=turn)
        in_iteration = context.with_values(iteration)
        undecided = ""
        try:
            stopped = scenario.fail_fast and executor.has_failed(ends)
        except UndecidedCondition as problem:
            stopped, undecided = False, f"fail_fast: {problem}"
        if stopped:
            walk = _skip_iteration(name, iteration, in_iteration, executor)
        else:
            if iteration:
                context.log.info("for_each: " + ", ".join(f"{name} = {value}" for name, value in iteration.items()))
            walk = _walk_iteration(name, iteration, undecided, in_iteration, executor)
        for end in walk:
            ends.append(end)
            yield end


def _skip_iteration(
    name: str, iteration: Mapping[str, Any], context: RunContext, executor: Executor[End]
) -> Iterator[End]:
    for step in context.get_scenario(name).steps:
        at_step = replace(context, log=replace(context.log, step=step.name))
        end = executor.skip(step, at_step, "fail_fast: an earlier iteration FAILED")
        yield executor.complete(step, end, context.clock(), "", iteration, at_step)


def _walk_iteration(
    name: str, iteration: Mapping[str, Any], undecided: str, context: RunContext, executor: Executor[End]
) -> Iterator[End]:
    """Yield the ends of the steps of an iteration.

    `undecided` is the reason why it is not known whether the iteration takes place; empty if it does.
    """
    finished: list[End] = []
    for index in range(len(context.get_scenario(name).steps)):
        # Read anew each time: an earlier step may have set variables that this step's settings contain.
        step = context.get_scenario(name).steps[index]
        at_step = replace(context, log=replace(context.log, step=step.name))
        started = context.clock()
        needed = list_preconditions(context.project, name, step)
        before = [one for one in finished if needed is None or one.name in needed]
        end, condition = _answer_next_step(index, step, finished, before, at_step, executor)
        doubt = condition or (undecided if end.outcome is not Outcome.SKIPPED else "")
        finished.append(executor.complete(step, end, started, doubt, iteration, at_step))
        yield finished[-1]
        built = {made.store: made.id for made in end.evaluations}
        context = replace(context.with_values(end.variables), built={**context.built, **built})


def _answer_next_step(
    index: int,
    step: AnyStep,
    finished: Sequence[End],
    needed: Sequence[End],
    context: RunContext,
    executor: Executor[End],
) -> tuple[End, str]:
    """Return the end of a step, and the condition that decides whether it runs if its result is not known, else "".

    `needed` are the ends of the steps that must not have FAILED if the step has no condition.
    """
    if not step.active:
        return executor.skip(step, context), ""
    undecided = ""
    try:
        if step.run_condition is None and executor.has_failed(needed):
            return executor.skip(step, context), ""
        if step.run_condition is not None:
            facts = executor.collect_facts(finished, context)
            if not evaluate_condition(step.run_condition, facts):
                return executor.skip(step, context), ""
    except UndecidedCondition as problem:
        undecided = step.run_condition or str(problem)
        if (end := executor.answer_undecided(step, str(problem), context)) is not None:
            return end, undecided
    return _try_step(index, step, context, executor), undecided


def _try_step(index: int, step: AnyStep, context: RunContext, executor: Executor[End]) -> End:
    """Execute a step, again if it fails and has retries; apply `on_failure`."""
    tries = 1 + (step.retries.count if step.retries else 0)
    attempt = 1
    end = executor.execute(index, step, attempt, context)
    while end.outcome is Outcome.FAILED and attempt < tries and executor.prepare_retry(step, attempt, context):
        attempt += 1
        end = executor.execute(index, step, attempt, context)
    changes: dict[str, Any] = {"tries": attempt}
    # The exit code depends on the causes of steps and on the outcomes of checks. Without its cause, the failure does
    # not affect it; a check that is ERROR still does.
    if end.outcome is Outcome.FAILED and step.on_failure == "warn":
        changes |= {"outcome": Outcome.WARNING, "cause": None}
    return end.model_copy(update=changes)
