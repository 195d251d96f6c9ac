"""Predicts the steps of a run: every action with its reason, without executing anything.

A plan calls the same step functions as a run, but their actions are only simulated: their results are kept in memory,
so that the second of two steps that build the same model finds it built. If the result of a condition is not known
before the run, its step is planned as if it ran, and marked `depends`.
"""

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

from engine.errors import EngineError
from engine.evaluation.record import Evaluation
from engine.notifications import describe_state, has_state
from engine.outcome import Outcome, worst_outcome
from engine.pipeline import data_validation
from engine.pipeline.actions import Action
from engine.pipeline.journal import Journal
from engine.pipeline.log import log_warnings
from engine.scenarios.context import RunContext
from engine.scenarios.interpreter import explain_skip, walk_scenario
from engine.scenarios.plan import ScenarioPlan, StepPlan
from engine.scenarios.result import EvaluationMade, StepResult
from engine.scenarios.steps import run_step_kind
from engine.spec.conditions import ConditionFacts, UndecidedCondition, evaluate_condition
from engine.spec.diagnostics import Findings
from engine.spec.resources.scenarios import AnyStep, Reporter, RunScenarioStep, SetVariablesStep


class Planner:
    """Plans scenarios one after the other, each with the simulated results of those before it.

    Attributes
    ----------
    findings
        Diagnostics of the spec that need the data, such as a missing column.
    conditional_steps
        For each action (kind, target) of a step whose condition is undecided, the name of the step.
    """

    def __init__(self) -> None:
        self.findings = Findings()
        self.conditional_steps: dict[tuple[str, str], str] = {}

    def plan_scenario(self, name: str, context: RunContext) -> ScenarioPlan:
        """Return the plan of a scenario that `engine run` starts."""
        return self.predict_scenario(name, context, frozenset())[0]

    def predict_scenario(
        self, name: str, context: RunContext, uncertain: frozenset[str]
    ) -> "tuple[ScenarioPlan, list[_Prediction]]":
        """Return the plan of a scenario, and the predicted ends of its steps.

        Parameters
        ----------
        context
            The context of the scenario that runs this one, else of the call.
        uncertain
            Variables whose values are not certain before the run.
        """
        trigger = f"scenario {context.log.scenario}" if context.log.scenario else context.trigger
        started = replace(context, trigger=trigger, log=replace(context.log, scenario=name, step=""))
        started = started.with_defaults(started.get_scenario(name).variables)
        ends = list(walk_scenario(name, started, lambda: PlanExecutor(self, uncertain)))
        at_start = replace(_collect_predicted_facts([], started, uncertain), outcome=None)
        at_end = _collect_facts_at_end(ends, started, uncertain)
        reporters = [
            _plan_reporter(name, reporter, at_start if reporter.at == "start" else at_end, started)
            for reporter in started.get_scenario(name).reporters
        ]
        return ScenarioPlan(scenario=name, steps=[end.plan for end in ends], reporters=reporters), ends


@dataclass(frozen=True, slots=True)
class _Prediction:
    """The predicted end of a step: its plan, and the variables and evaluations that later steps will find.

    `doubtful` says why the step may be FAILED if its outcome is not known.
    """

    name: str
    plan: StepPlan
    outcome: Outcome | None = None
    cause: str | None = None
    tries: int = 1
    variables: Mapping[str, Any] = field(default_factory=dict)
    evaluations: Sequence[EvaluationMade] = ()
    doubtful: str = ""

    def model_copy(self, *, update: Mapping[str, Any] | None = None) -> "_Prediction":
        """Return a copy with other values of these fields, as pydantic models do."""
        return replace(self, **(update or {}))


class PlanExecutor:
    """Predicts the steps of one iteration. `uncertain` are the variables whose values are not certain."""

    def __init__(self, planner: Planner, uncertain: frozenset[str]) -> None:
        self._planner = planner
        self._uncertain = uncertain

    def collect_facts(self, finished: Sequence[_Prediction], context: RunContext) -> ConditionFacts:
        """Return the facts that are known before the run."""
        return _collect_predicted_facts(finished, context, self._uncertain)

    def has_failed(self, finished: Sequence[_Prediction]) -> bool:
        """Return whether one of these steps will fail; without a known reason, a step is assumed not to fail."""
        if any(end.outcome is Outcome.FAILED for end in finished):
            return True
        if doubtful := [end.doubtful for end in finished if end.doubtful]:
            raise UndecidedCondition(doubtful[0])
        return False

    def answer_undecided(self, step: AnyStep, reason: str, context: RunContext) -> None:
        """Go on as if the step runs."""

    def skip(self, step: AnyStep, context: RunContext, reason: str = "") -> _Prediction:
        """Return the plan of a step that will not run."""
        reason = reason or explain_skip(step, "an earlier step will fail")
        plan = StepPlan(name=step.name, kind=step.kind, runs="no", reason=reason)
        return _Prediction(name=step.name, plan=plan, outcome=Outcome.SKIPPED)

    def execute(self, index: int, step: AnyStep, attempt: int, context: RunContext) -> _Prediction:
        """Simulate the step. The outcome is FAILED if there is a known problem, else mostly not known (None)."""
        if isinstance(step, RunScenarioStep):
            return self._predict_run(step, context)
        at_step = replace(context, journal=Journal())
        problem, result = "", None

        def simulate(attempt: RunContext) -> StepResult:
            found = run_step_kind(step, attempt)
            for target in step.targets:
                evaluation = _find_reused_evaluation(target, found, attempt)
                with suppress(EngineError):  # the step itself reports data that it cannot open
                    data_validation.validate_target(target, evaluation, attempt, self._planner.findings)
            return found

        try:
            with log_warnings(at_step.log):
                result = at_step.read_unchanged(simulate)
        except EngineError as error:
            problem = context.secrets.redact(str(error))
        actions = [self._mark_dependent(action) for action in at_step.journal.actions]
        outcome = Outcome.FAILED if problem else Outcome.SUCCESS if isinstance(step, SetVariablesStep) else None
        return _Prediction(
            name=step.name,
            plan=StepPlan(name=step.name, kind=step.kind, runs="yes", actions=actions, problem=problem),
            outcome=outcome,
            variables=result.variables if result else {},
            evaluations=result.evaluations if result else [],
        )

    def _predict_run(self, step: RunScenarioStep, context: RunContext) -> _Prediction:
        """Plan the scenario that the step runs. The step will fail if a step of that scenario will fail."""
        uncertain = self._uncertain - step.variables.keys()
        child, ends = self._planner.predict_scenario(step.scenario, context.with_values(step.variables), uncertain)
        failing = [planned for planned in child.steps if planned.counts_as_failure]
        certain = any(planned.outcome is Outcome.FAILED for planned in failing)
        problem = f"step {failing[0].name!r} of scenario {step.scenario!r} will fail" if failing else ""
        return _Prediction(
            name=step.name,
            plan=StepPlan(name=step.name, kind=step.kind, runs="yes", problem=problem, scenario=child),
            outcome=Outcome.FAILED if certain else None,
            evaluations=[made for end in ends for made in end.evaluations],
            doubtful=problem if failing and not certain and step.on_failure == "fail" else "",
        )

    def _mark_dependent(self, action: Action) -> Action:
        """Return the action, with `because` "depends" if its result is reused only if an earlier step runs."""
        step = self._planner.conditional_steps.get((action.kind, action.target))
        if not action.reused or step is None:
            return action
        return action.model_copy(update={"because": "depends", "reason": f"reused if step {step!r} has run"})

    def prepare_retry(self, step: AnyStep, attempt: int, context: RunContext) -> bool:
        """Return False: a second prediction would be the same."""
        return False

    def complete(
        self,
        step: AnyStep,
        end: _Prediction,
        started: datetime,
        undecided: str,
        iteration: Mapping[str, Any],
        context: RunContext,
    ) -> _Prediction:
        """Add the iteration and the outcome to the plan; if the condition is undecided, mark the step `depends`."""
        plan = end.plan.model_copy(
            update={
                "turn": context.secrets.redact_values(iteration) or None,
                "outcome": end.outcome,
                "on_failure": step.on_failure,
            }
        )
        if not undecided:
            self._uncertain -= end.variables.keys()
            return end.model_copy(update={"plan": plan})
        self._uncertain |= end.variables.keys()
        new = [action for action in plan.actions if not action.reused]
        self._planner.conditional_steps |= {(action.kind, action.target): end.name for action in new}
        may_fail = end.outcome is Outcome.FAILED or end.doubtful
        doubtful = f"step {end.name!r}, which will fail if it runs" if may_fail else ""
        plan = plan.model_copy(update={"runs": "depends", "reason": undecided, "outcome": None})
        return end.model_copy(update={"plan": plan, "outcome": None, "doubtful": doubtful})


def _find_reused_evaluation(store: str, result: StepResult, context: RunContext) -> Evaluation | None:
    """Return the evaluation that a step reuses; None if this plan only simulated it, because it then has no metrics."""
    if store not in context.project.evaluation_stores:
        return None
    made = {made.store: made.id for made in result.evaluations} | dict(context.built)
    evaluation = (
        context.store.evaluations.get(made[store]) if store in made else context.store.evaluations.find_newest(store)
    )
    return evaluation if evaluation is not None and evaluation.metrics else None


def _collect_predicted_facts(
    ends: Sequence[_Prediction], context: RunContext, uncertain: Collection[str]
) -> ConditionFacts:
    """Return the facts that are known before the run; a step with several iterations has its worst outcome."""
    outcomes: dict[str, list[Outcome | None]] = {}
    for end in ends:
        outcomes.setdefault(end.name, []).append(end.outcome)
    known = {
        name: worst_outcome(filter(None, found)) if len(found) > 1 else found[0]
        for name, found in outcomes.items()
        if None not in found
    }
    failed = any(end.outcome is Outcome.FAILED for end in ends)
    whole = worst_outcome(filter(None, known.values())) if len(known) == len(outcomes) else None
    return ConditionFacts(
        outcome=Outcome.FAILED if failed else whole,
        steps={name: outcome for name, outcome in known.items() if outcome is not None},
        trigger=context.trigger,
        variables={name: value for name, value in context.project.names.items() if name not in uncertain},
    )


def _collect_facts_at_end(
    ends: Sequence[_Prediction], context: RunContext, uncertain: frozenset[str]
) -> ConditionFacts:
    """Return the facts that are known about the end of a run, with the variables that its steps have set.

    Variables that are set in an iteration of `for_each` are valid only in that iteration.
    """
    for end in ends:
        if end.plan.turn is None:
            context = context.with_values(end.variables)
            depends = end.plan.runs == "depends"
            uncertain = uncertain | end.variables.keys() if depends else uncertain - end.variables.keys()
    return _collect_predicted_facts(ends, context, uncertain)


def _plan_reporter(scenario: str, reporter: Reporter, facts: ConditionFacts, context: RunContext) -> Action:
    """Return the action of a reporter: whether it will send, and when, as far as the known facts decide."""
    target = f"{reporter.name} to {reporter.channel}"
    if not reporter.active:
        return Action(kind="send", target=target, because="never", reason="it is not active")
    if has_state(reporter):
        reason = describe_state(reporter, context.store.reporter_states.find(scenario, reporter.name))
        return Action(kind="send", target=target, because="depends", reason=reason)
    when = f"at the {reporter.at} of the run"
    if reporter.run_condition is None:
        return Action(kind="send", target=target, because="always", reason=when)
    because: Literal["always", "never", "depends"] = "always"
    reason = when
    try:
        if not evaluate_condition(reporter.run_condition, facts):
            because, reason = "never", f"its run_condition is false: {reporter.run_condition}"
    except UndecidedCondition:
        because, reason = "depends", reporter.run_condition
    return Action(kind="send", target=target, because=because, reason=reason)
