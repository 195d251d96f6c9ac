"""The plan of a run: every action with its reason, found by going through the scenarios without executing anything.

A plan executes the same step functions as a run, but the actions are only simulated, in a copy of the state. So of two
steps that build the same model the second finds it built, and a plan and its run cannot disagree. A condition whose
result is not known before the run does not stop the planner: its step is planned as if it ran, and marked `depends`.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Literal

from pydantic import Field

from engine.errors import Diagnostic, EngineError, Severity
from engine.evaluation.record import Evaluation
from engine.outcome import ExitCode, Outcome
from engine.pipeline import data_validation
from engine.pipeline.actions import Action, FrozenModel
from engine.pipeline.log import log_warnings
from engine.scenarios.context import RunContext
from engine.scenarios.result import StepResult
from engine.scenarios.steps import STEP_KINDS
from engine.spec.conditions import ConditionFacts, UndecidedCondition, evaluate_condition
from engine.spec.diagnostics import Findings
from engine.spec.resources.scenarios import AnyStep, Reporter, RunScenarioStep


class StepPlan(FrozenModel):
    """The plan of a step."""

    name: str = Field(description="The step's name.")
    kind: str = Field(description="The step's kind.")
    runs: Literal["yes", "no", "depends"] = Field(
        description="Whether the step runs; depends: earlier steps decide that during the run."
    )
    reason: str = Field("", description="Why the step does not run, or the condition that it depends on.")
    turn: dict[str, Any] | None = Field(None, description="The values of this iteration of for_each.")
    actions: list[Action] = Field([], description="The actions of the step, in order.")
    problem: str = Field("", description="Why the step will fail; empty if no reason is known.")
    scenario: "ScenarioPlan | None" = Field(None, description="The plan of the scenario that the step runs.")


class ScenarioPlan(FrozenModel):
    """The plan of a scenario."""

    scenario: str = Field(description="The scenario's name.")
    steps: list[StepPlan] = Field([], description="The steps in order, repeated for each iteration of for_each.")
    reporters: list[Action] = Field([], description="The messages that its reporters may send.")

    def all_steps(self) -> Iterator[StepPlan]:
        """Yield every step, including the steps of the scenarios that it runs."""
        for step in self.steps:
            yield step
            if step.scenario is not None:
                yield from step.scenario.all_steps()


class Plan(FrozenModel):
    """The plan of one call of `engine run`."""

    schema_version: Literal[1] = Field(1, description="The version of this format.")
    project: str = Field(description="The project's name.")
    variables: dict[str, Any] = Field(description="The project's variables.")
    scenarios: list[ScenarioPlan] = Field(description="The scenarios, in order.")
    findings: list[Diagnostic] = Field(
        description="Errors and warnings about the spec, including those that only the data show."
    )

    def all_steps(self) -> Iterator[StepPlan]:
        """Yield every step, including the steps of the scenarios that others run."""
        for scenario in self.scenarios:
            yield from scenario.all_steps()

    def all_actions(self) -> list[Action]:
        """Return every action of every step that runs or may run."""
        return [action for step in self.all_steps() for action in step.actions]

    @property
    def exit_code(self) -> ExitCode:
        """USAGE if a finding is an error, COULD_NOT_RUN if a step will fail, else OK."""
        if any(finding.severity is Severity.ERROR for finding in self.findings):
            return ExitCode.USAGE
        return ExitCode.COULD_NOT_RUN if any(step.problem for step in self.all_steps()) else ExitCode.OK


class Planner:
    """Plans scenarios one after the other; each sees the simulated results of those before it."""

    def __init__(self) -> None:
        self.findings = Findings()
        self._conditional_steps: dict[tuple[str, str], str] = {}

    def plan_scenario(self, name: str, context: RunContext) -> ScenarioPlan:
        """Plan a scenario; if another scenario runs it, `context` belongs to that one."""
        trigger = f"scenario {context.log.scenario}" if context.log.scenario else "manual"
        started = replace(context, trigger=trigger, log=replace(context.log, scenario=name, step=""))
        started = started.with_defaults(started.get_scenario(name).variables)
        declared = started.get_scenario(name)
        steps: list[StepPlan] = []
        for iteration in declared.for_each or [{}]:
            planned = [
                step.model_copy(update={"turn": iteration or None})
                for step in self._plan_iteration(name, started.with_values(iteration))
            ]
            steps += planned
            if declared.fail_fast and any(step.problem for step in planned):
                break
        reporters = [_plan_reporter(reporter, started) for reporter in declared.reporters]
        return ScenarioPlan(scenario=name, steps=steps, reporters=reporters)

    def _plan_iteration(self, name: str, context: RunContext) -> Iterator[StepPlan]:
        """Plan the steps of one iteration; each has the values that earlier steps have set."""
        outcomes: dict[str, Outcome] = {}
        for index in range(len(context.get_scenario(name).steps)):
            # Read anew each time: an earlier step may have set variables that this step's settings contain.
            step = context.get_scenario(name).steps[index]
            runs, reason = _predict_step(step, outcomes, context)
            if runs == "no":
                outcomes[step.name] = Outcome.SKIPPED
                yield StepPlan(name=step.name, kind=step.kind, runs=runs, reason=reason)
                continue
            planned, context = self._plan_step(step, context, depending=runs == "depends")
            # If a step will run, the plan can only predict that it fails; every other outcome stays undecided for later
            # conditions.
            if planned.problem and step.on_failure == "fail":
                outcomes[step.name] = Outcome.FAILED
            yield planned.model_copy(update={"runs": runs, "reason": reason})

    def _plan_step(self, step: AnyStep, context: RunContext, *, depending: bool) -> tuple[StepPlan, RunContext]:
        """Plan one step; return its plan and the context of the steps after it."""
        plan = StepPlan(name=step.name, kind=step.kind, runs="yes")
        if isinstance(step, RunScenarioStep):
            child = self.plan_scenario(step.scenario, context.with_values(step.variables))
            failing = [planned.name for planned in child.all_steps() if planned.problem]
            problem = f"step {failing[0]!r} of scenario {step.scenario!r} will fail" if failing else ""
            return plan.model_copy(update={"scenario": child, "problem": problem}), context
        at_step = replace(context, actions=[], log=replace(context.log, step=step.name))
        problem, result = "", None

        def simulate(attempt: RunContext) -> StepResult:
            found = STEP_KINDS[step.kind](step, attempt)
            evaluation = _find_reused_evaluation(getattr(step, "target", ""), found, attempt)
            data_validation.validate_step(step, evaluation, attempt, self.findings)
            return found

        try:
            with log_warnings(at_step.log):
                result = at_step.read_unchanged(simulate)
        except EngineError as error:
            problem = context.secrets.redact(str(error))
        actions = [self._mark_dependent(action) for action in at_step.actions]
        if depending:
            self._conditional_steps |= {
                (action.kind, action.target): step.name for action in actions if not action.reused
            }
        if result is not None:
            built = {made.store: made.id for made in result.evaluations}
            context = replace(context.with_values(result.variables), built={**context.built, **built})
        return plan.model_copy(update={"actions": actions, "problem": problem}), context

    def _mark_dependent(self, action: Action) -> Action:
        """Return the action with `because` "depends" if it is reused only provided that an earlier step runs."""
        step = self._conditional_steps.get((action.kind, action.target))
        if not action.reused or step is None:
            return action
        return action.model_copy(update={"because": "depends", "reason": f"reused if step {step!r} has run"})


def _find_reused_evaluation(store: str, result: StepResult, context: RunContext) -> Evaluation | None:
    """Return the evaluation that a step reuses; None if this plan has only simulated it, so that it has no metrics."""
    if store not in context.project.evaluation_stores:
        return None
    made = {made.store: made.id for made in result.evaluations} | dict(context.built)
    evaluation = (
        context.store.evaluations.get(made[store]) if store in made else context.store.evaluations.find_newest(store)
    )
    return evaluation if evaluation is not None and evaluation.metrics else None


def _predict_step(
    step: AnyStep, outcomes: dict[str, Outcome], context: RunContext
) -> tuple[Literal["yes", "no", "depends"], str]:
    """Return whether a step runs, as far as that is known before the run, and the reason."""
    if step.run_condition is None:
        return ("no", "an earlier step will fail") if Outcome.FAILED in outcomes.values() else ("yes", "")
    return _predict_condition(step.run_condition, outcomes, context)


def _predict_condition(
    condition: str, outcomes: dict[str, Outcome], context: RunContext
) -> tuple[Literal["yes", "no", "depends"], str]:
    """Evaluate a run condition with the facts that are known before the run; `depends` if they do not decide it."""
    condition_facts = ConditionFacts(
        # The run's outcome is the worst of its steps', and nothing in a plan is worse than FAILED.
        outcome=Outcome.FAILED if Outcome.FAILED in outcomes.values() else None,
        steps=outcomes,
        trigger=context.trigger,
        variables=context.project.variables,
    )
    try:
        return (
            ("yes", "")
            if evaluate_condition(condition, condition_facts)
            else ("no", f"its run_condition does not hold: {condition}")
        )
    except UndecidedCondition:
        return "depends", condition


def _plan_reporter(reporter: Reporter, context: RunContext) -> Action:
    """Return the action of a reporter: whether it will send, and when."""
    target = f"{reporter.name} to {reporter.channel}"
    if not reporter.active:
        return Action(kind="send", target=target, because="never", reason="it is not active")
    when = f"at the {reporter.at} of the run"
    if reporter.run_condition is None:
        return Action(kind="send", target=target, because="always", reason=when)
    runs, reason = _predict_condition(reporter.run_condition, {}, context)
    because: dict[str, Literal["always", "never", "depends"]] = {"yes": "always", "no": "never", "depends": "depends"}
    return Action(kind="send", target=target, because=because[runs], reason=reason or when)
