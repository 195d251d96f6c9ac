"""The plan of a run: every action with its reason, found by walking through the scenarios and doing nothing.

The steps are the run's own; only what they decide is not done but pretended, in a copy of the state. So the second of
two steps that build the same finds it built, and a plan never tells another story than the run. What a condition will
say is not known before; its step is planned as if it ran, and says what it depends on.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from engine.errors import Diagnostic, EngineError, Severity
from engine.evaluation.record import Evaluation
from engine.outcome import ExitCode, Outcome
from engine.scenarios import doubts
from engine.scenarios.actions import Action
from engine.scenarios.context import Context
from engine.scenarios.result import StepResult
from engine.scenarios.steps import KINDS
from engine.spec.conditions import Facts, Undecided, decide
from engine.spec.diagnostics import Findings
from engine.spec.resources.models import TrainModel
from engine.spec.resources.scenarios import AnyStep, Reporter, RunScenarioStep


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StepPlan(_Frozen):
    """What a step will do."""

    name: str = Field(description="The step's name.")
    kind: str = Field(description="Its kind.")
    runs: Literal["yes", "no", "depends"] = Field(description="Whether it runs; depends: on what steps before it find.")
    reason: str = Field("", description="Why it does not run, or what that depends on.")
    turn: dict[str, Any] | None = Field(None, description="The values of this turn of for_each.")
    actions: list[Action] = Field([], description="What it does, in order.")
    problem: str = Field("", description="Why it will fail.")
    scenario: "ScenarioPlan | None" = Field(None, description="The plan of the scenario that it runs.")


class ScenarioPlan(_Frozen):
    """What a scenario will do."""

    scenario: str = Field(description="The scenario.")
    steps: list[StepPlan] = Field([], description="In order; one entry a turn where the scenario has for_each.")
    reporters: list[Action] = Field([], description="What its reporters may send.")

    def all_steps(self) -> Iterator[StepPlan]:
        """Every step, those of the scenarios that it runs included."""
        for step in self.steps:
            yield step
            if step.scenario is not None:
                yield from step.scenario.all_steps()


class Plan(_Frozen):
    """What a call of `engine run` will do."""

    schema_version: Literal[1] = Field(1, description="Version of this document.")
    project: str = Field(description="The project.")
    variables: dict[str, Any] = Field(description="The project's variables.")
    scenarios: list[ScenarioPlan] = Field(description="In order.")
    findings: list[Diagnostic] = Field(description="What is wrong with the spec, or doubtful, now that data are known.")

    def all_steps(self) -> Iterator[StepPlan]:
        """Every step, those of the scenarios that others run included."""
        for scenario in self.scenarios:
            yield from scenario.all_steps()

    def actions(self) -> list[Action]:
        """Every action of every step that runs, or may run."""
        return [action for step in self.all_steps() for action in step.actions]

    @property
    def exit_code(self) -> ExitCode:
        """The spec is wrong, something could not run, or all is well."""
        if any(finding.severity is Severity.ERROR for finding in self.findings):
            return ExitCode.USAGE
        return ExitCode.COULD_NOT_RUN if any(step.problem for step in self.all_steps()) else ExitCode.OK


class Planner:
    """Plans scenarios one after the other, each in the light of those before it."""

    def __init__(self) -> None:
        self.findings = Findings()
        self._depends: dict[tuple[str, str], str] = {}

    def scenario(self, name: str, context: Context) -> ScenarioPlan:
        """Plan a scenario; `context` is that of the scenario that runs it, if one does."""
        trigger = f"scenario {context.log.scenario}" if context.log.scenario else "manual"
        ready = replace(context, trigger=trigger, log=replace(context.log, scenario=name, step=""))
        ready = ready.with_defaults(ready.scenario(name).variables)
        declared = ready.scenario(name)
        steps: list[StepPlan] = []
        for turn in declared.for_each or [{}]:
            planned = [
                step.model_copy(update={"turn": turn or None}) for step in self._steps(name, ready.with_values(turn))
            ]
            steps += planned
            if declared.fail_fast and any(step.problem for step in planned):
                break
        reporters = [_reporter(reporter, ready) for reporter in declared.reporters]
        return ScenarioPlan(scenario=name, steps=steps, reporters=reporters)

    def _steps(self, name: str, context: Context) -> Iterator[StepPlan]:
        """Plan the steps of one turn, each under the values that those before it have set."""
        outcomes: dict[str, Outcome] = {}
        for index in range(len(context.scenario(name).steps)):
            step = context.scenario(name).steps[index]
            runs, reason = _wanted(step, outcomes, context)
            if runs == "no":
                outcomes[step.name] = Outcome.SKIPPED
                yield StepPlan(name=step.name, kind=step.kind, runs=runs, reason=reason)
                continue
            planned, context = self._step(step, context, depending=runs == "depends")
            if planned.problem and step.on_failure == "fail":
                outcomes[step.name] = Outcome.FAILED
            yield planned.model_copy(update={"runs": runs, "reason": reason})

    def _step(self, step: AnyStep, context: Context, *, depending: bool) -> tuple[StepPlan, Context]:
        """Plan one step; return the context of those after it too."""
        plan = StepPlan(name=step.name, kind=step.kind, runs="yes")
        if isinstance(step, RunScenarioStep):
            child = self.scenario(step.scenario, context.with_values(step.variables))
            failing = [one.name for one in child.all_steps() if one.problem]
            problem = f"step {failing[0]} of {step.scenario} will fail" if failing else ""
            return plan.model_copy(update={"scenario": child, "problem": problem}), context
        at_step = replace(context, actions=[], log=replace(context.log, step=step.name))
        problem, result = "", None
        try:
            result = KINDS[step.kind](step, at_step)
            self._doubt(step, result, at_step)
        except EngineError as error:
            problem = context.secrets.redact(str(error))
        actions = [self._in_doubt(action) for action in at_step.actions]
        if depending:
            self._depends |= {(action.kind, action.target): step.name for action in actions if not action.reused}
        if result is not None:
            built = {made.store: made.id for made in result.evaluations}
            context = replace(context.with_values(result.variables), built={**context.built, **built})
        return plan.model_copy(update={"actions": actions, "problem": problem}), context

    def _in_doubt(self, action: Action) -> Action:
        """Say of what is reused only if another step runs that it depends on that step."""
        step = self._depends.get((action.kind, action.target))
        if not action.reused or step is None:
            return action
        return action.model_copy(update={"because": "depends", "reason": f"nothing to do if {step} has run"})

    def _doubt(self, step: AnyStep, result: StepResult, context: Context) -> None:
        """Hold what the spec says of columns against the data that the step reads."""
        project = context.project
        target = getattr(step, "target", "")
        datasets, models = {target} & project.datasets.keys(), {target} & project.models.keys()
        if target in project.evaluation_stores:
            store = project.evaluation_stores[target]
            datasets |= {store.dataset}
            models |= {store.model} if store.model else set()
            doubts.of_store(target, _measured(target, result, context), context, self.findings)
        for model in sorted(models):
            doubts.of_model(model, context, self.findings)
            spec = project.models[model]
            datasets |= {spec.dataset} if isinstance(spec, TrainModel) else set()
        for dataset in sorted(datasets):
            doubts.of_dataset(dataset, context, self.findings)


def _measured(store: str, result: StepResult, context: Context) -> Evaluation | None:
    """Return the evaluation that a step reuses, unless it is one that this plan has only pretended."""
    made = {made.store: made.id for made in result.evaluations} | dict(context.built)
    evaluation = context.store.evaluation(made[store]) if store in made else context.store.newest(store)
    return evaluation if evaluation is not None and evaluation.metrics else None


def _wanted(
    step: AnyStep, outcomes: dict[str, Outcome], context: Context
) -> tuple[Literal["yes", "no", "depends"], str]:
    """Tell whether a step runs, as far as that is known before anything has run."""
    if step.run_condition is None:
        return ("no", "an earlier step will fail") if Outcome.FAILED in outcomes.values() else ("yes", "")
    return _decided(step.run_condition, outcomes, context)


def _decided(
    condition: str, outcomes: dict[str, Outcome], context: Context
) -> tuple[Literal["yes", "no", "depends"], str]:
    known = Facts(
        outcome=Outcome.FAILED if Outcome.FAILED in outcomes.values() else None,
        steps=outcomes,
        trigger=context.trigger,
        variables=context.project.variables,
    )
    try:
        return ("yes", "") if decide(condition, known) else ("no", f"its run_condition does not hold: {condition}")
    except Undecided:
        return "depends", condition


def _reporter(reporter: Reporter, context: Context) -> Action:
    """Tell whether a reporter will send."""
    target = f"{reporter.name} to {reporter.channel}"
    if not reporter.active:
        return Action(kind="send", target=target, because="never", reason="it is not active")
    when = f"at the {reporter.at} of the run"
    if reporter.run_condition is None:
        return Action(kind="send", target=target, because="always", reason=when)
    runs, reason = _decided(reporter.run_condition, {}, context)
    because: dict[str, Literal["always", "never", "depends"]] = {"yes": "always", "no": "never", "depends": "depends"}
    return Action(kind="send", target=target, because=because[runs], reason=reason or when)
