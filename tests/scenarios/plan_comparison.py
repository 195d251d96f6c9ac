"""What a plan claims of its run, and the comparison of both.

What the plan claims
--------------------
A plan goes through the same scenarios as the run, in the same order, and answers for each step:

1. **Steps.** The scenarios of the call, and in each the same steps in the same order with the same values of
   `for_each`, as many iterations as the run has.
2. **Whether a step runs.** `yes`: the run starts it; `no`: the run skips it; `depends`: no claim. A `yes` without a
   `run_condition` means: unless an earlier step of the iteration fails in a way that no plan can know.
3. **What a step does.** Every action, in order, with its cause (new, changed, forced, reused, always), its reason, the
   changes and the notes: all of `Action` but `reads`, of which a run knows more. A step that fails in a way that no
   plan can know has done the first of these actions. An action with `because: depends` claims only its place.
4. **Whether a step fails.** `problem`: the step fails if it runs, for this reason; it ends as WARNING if it has
   `on_failure: warn`. The plan of a step that starts another scenario has a problem if and only if that scenario ends
   as FAILED. No `problem`: nothing that a plan can know stops the step. A plan cannot know what a `python` step does,
   and what only the content of the data decides: contracts and checks. All else it knows: files that are not there,
   evaluations that do not exist yet.
5. **The exit code.** COULD_NOT_RUN if and only if the run returns it; USAGE (an error that only the data show) is no
   claim about the run.
6. **Messages.** A reporter with `always` sends and one with `never` does not; `depends` is not a claim.
7. **Afterwards.** If nothing has changed since a run and no step has `mode: force`, every step that has succeeded
   reads, trains, profiles and evaluates nothing: the plan says `reused` (or `depends`), and the run does that.

A step that `depends` is planned as if it ran. So what follows from it is claimed provided that it does run. In general,
when the run takes a turn that the plan could not know (a step that `depends` is skipped, a `python` step or a check
fails), this ends the claims that follow from it, and only these:

- a step without a condition: whether it runs, if the plan was wrong about an earlier failure of the iteration;
- a step with a condition: whether it runs, if it reads outcomes and one that the plan claimed was not so, or variables
  and a step that sets some took another course;
- actions and problems of steps whose dataset, model or store, or something that it is made from, was to be built by a
  step that took another course;
- the number of iterations with `fail_fast`, the failure of the step that started the scenario, and the exit code.
"""

import re
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from hypothesis import reject

import engine
from engine.errors import SpecError
from engine.outcome import ExitCode, Outcome
from engine.scenarios import scenario_selection, session
from engine.scenarios.plan import Plan, ScenarioPlan, StepPlan
from engine.scenarios.result import RunResult, StepResult, exit_code

from .drawn_scenarios import (
    CHANGES,
    COMPUTING,
    ENVIRON,
    FAILURES_OF_CONTENT,
    FILES,
    INPUTS,
    STORES,
    TIMED,
    VARIABLES,
    Case,
)


def list_origins(target: str) -> set[str]:
    """Return a resource with everything that it is made from."""
    return {target}.union(*(list_origins(source) for source in INPUTS[target]))


@dataclass
class Comparison:
    """The differences between a plan and its run, and what has ended claims of the plan."""

    spec: Mapping[str, Any]
    differences: list[str] = field(default_factory=list)
    doubted: set[str] = field(default_factory=set)
    """Resources of which the state is not what the plan supposed."""
    another_course: bool = False
    """Whether something went otherwise than planned in a way that no plan can know."""
    claims: Counter[str] = field(default_factory=Counter)
    """How many claims of each kind were held against the run."""

    def add(self, where: str, text: str) -> None:
        self.differences.append(f"{where}: {text}")

    def compare_calls(self, plan: Plan, runs: Sequence[RunResult], code: ExitCode) -> None:
        """Compare a plan with the runs of its call."""
        planned = [one.scenario for one in plan.scenarios]
        ran = [one.scenario for one in runs]
        if planned != ran:
            self.add("call", f"the plan has the scenarios {planned}, the run {ran}")
            return
        for one, run in zip(plan.scenarios, runs, strict=True):
            self.compare_scenarios(one, run, one.scenario, variables_known=True)
        if not self.another_course and plan.exit_code is not ExitCode.USAGE:
            self.claims[f"exit code {int(plan.exit_code)}"] += 1
        could_not = [found is ExitCode.COULD_NOT_RUN for found in (plan.exit_code, code)]
        if not self.another_course and plan.exit_code is not ExitCode.USAGE and could_not[0] != could_not[1]:
            self.add("call", f"the plan's exit code is {int(plan.exit_code)}, the run's {int(code)}")

    def compare_scenarios(self, plan: ScenarioPlan, run: RunResult, where: str, *, variables_known: bool) -> bool:
        """Compare the plan of a scenario with its run; return whether it took the course of the plan."""
        before, self.another_course = self.another_course, False
        declared = self.spec["scenarios"][plan.scenario]
        length = len(declared["steps"])
        turns = range(max(len(plan.steps), len(run.steps)) // length)
        reporter_variables_known = variables_known
        for turn in turns:
            of_turn = slice(turn * length, (turn + 1) * length)
            planned, ran = plan.steps[of_turn], run.steps[of_turn]
            self.claims["iteration"] += 1
            if not planned or not ran:
                self.add(
                    where, f"the plan has {len(plan.steps) // length} iterations, the run {len(run.steps) // length}"
                )
                return False
            if declared.get("fail_fast") and not self.compare_stops(plan, run, turn * length, f"{where}[{turn}]"):
                for step in declared["steps"]:
                    self.doubt(step)
                self.another_course = True
                continue
            at = f"{where}[{turn}]" if "for_each" in declared else where
            known = self.compare_iterations(declared["steps"], planned, ran, at, variables_known=variables_known)
            reporter_variables_known &= known or "for_each" in declared
        self.compare_messages(plan, run, where, variables_known=reporter_variables_known)
        followed = not self.another_course
        self.another_course |= before
        return followed

    def compare_stops(self, plan: ScenarioPlan, run: RunResult, begin: int, where: str) -> bool:
        """Return whether an iteration with `fail_fast` takes place or not as planned, as far as the plan can know."""
        declared = {step["name"]: step for step in self.spec["scenarios"][plan.scenario]["steps"]}
        failures = [step.outcome is Outcome.FAILED for step in plan.steps[:begin]]
        doubts = [
            step.runs == "depends" and step.problem and declared[step.name].get("on_failure", "fail") == "fail"
            for step in plan.steps[:begin]
        ]
        planned = {step.runs for step in plan.steps[begin : begin + len(declared)]}
        self.claims["stop"] += 1
        if (any(failures) or any(doubts)) and "yes" in planned:
            self.add(where, f"an earlier iteration may have failed, says the plan, and steps are planned as {planned}")
        return any(failures) == any(step.outcome is Outcome.FAILED for step in run.steps[:begin])

    def compare_messages(self, plan: ScenarioPlan, run: RunResult, where: str, *, variables_known: bool) -> None:
        """Compare what the reporters were to send with what they have sent."""
        sent = {delivery.reporter for delivery in run.deliveries if delivery.state == "SENT"}
        for action in plan.reporters:
            reporter = action.target.partition(" to ")[0]
            self.claims[f"message {action.because}"] += variables_known
            if variables_known and action.because != "depends" and (action.because == "always") != (reporter in sent):
                done = "has sent" if reporter in sent else "has not sent"
                self.add(where, f"reporter {reporter} was planned as {action.because}, and {done}")

    def compare_iterations(
        self,
        declared: Sequence[Mapping[str, Any]],
        plans: Sequence[StepPlan],
        results: Sequence[StepResult],
        where: str,
        *,
        variables_known: bool,
    ) -> bool:
        """Compare the steps of one iteration; return whether the variables at its end are those of the plan."""
        names = [[(step.name, step.kind, step.turn) for step in steps] for steps in (plans, results)]
        if names[0] != names[1] or [name for name, *_ in names[0]] != [step["name"] for step in declared]:
            self.add(where, f"the plan has the steps {names[0]}, the run {names[1]}")
            self.another_course = True
            return False
        failure_planned = failure_found = False
        outcomes_known = True
        for step, plan, result in zip(declared, plans, results, strict=True):
            at = f"{where}.{step['name']}"
            ran = result.outcome is not Outcome.SKIPPED and not is_undecided(result)
            claimed = plan.runs != "depends"
            if "run_condition" not in step:
                claimed &= failure_planned == failure_found
            else:
                condition = step["run_condition"]
                claimed &= variables_known or not re.search("|".join(VARIABLES), condition)
                claimed &= outcomes_known or "utcome" not in condition
            self.claims[f"runs: {plan.runs}" if claimed else "runs: no claim"] += 1
            if claimed and (ran != (plan.runs == "yes") or is_undecided(result)):
                self.add(at, f"planned to run: {plan.runs} ({plan.reason}); in the run: {describe(result)}")
            planned_to_run = plan.runs != "no"
            followed = ran == planned_to_run
            if ran and planned_to_run:
                followed = self.compare_steps(step, plan, result, at, variables_known=variables_known)
            if not followed:
                self.another_course = True
                self.doubt(step)
                if step["kind"] == "set_variables":
                    variables_known = False
            elif not variables_known and ran:
                self.doubt(step)
            # what the plan claims of the outcome, for conditions of later steps
            if plan.runs != "depends":
                outcomes_known &= ran == planned_to_run
            if plan.problem:
                outcomes_known &= result.outcome in outcomes_of_problem(step)
            failure_planned |= bool(plan.problem) and step.get("on_failure", "fail") == "fail"
            failure_found |= result.outcome is Outcome.FAILED
        return variables_known

    def compare_steps(
        self, step: Mapping[str, Any], plan: StepPlan, result: StepResult, at: str, *, variables_known: bool
    ) -> bool:
        """Compare the plan of a step with its execution; return whether it took the course of the plan."""
        if step["kind"] == "run_scenario":
            return self.compare_children(step, plan, result, at, variables_known=variables_known)
        failed = has_failed(step, result)
        target = step.get("target")
        if variables_known and not (target and list_origins(target) & self.doubted):
            self.compare_actions(plan, result, at, failed=failed)
            self.claims["problem" if plan.problem else "no problem"] += 1
            if plan.problem and not failed:
                self.add(at, f"it will fail, says the plan ({plan.problem}); in the run: {describe(result)}")
            elif plan.problem.partition(";")[0] != result.reason.partition(";")[0] and plan.problem:  # then: what to do
                self.add(at, f"it fails because {plan.problem!r} in the plan, and because {result.reason!r} in the run")
            elif failed and not plan.problem and not may_fail(step):
                self.add(at, f"the plan knows of no problem; in the run: {describe(result)}")
        return failed == bool(plan.problem)

    def compare_children(
        self, step: Mapping[str, Any], plan: StepPlan, result: StepResult, at: str, *, variables_known: bool
    ) -> bool:
        """Compare the plan of a step that starts a scenario with its run."""
        if plan.scenario is None or result.run is None:
            self.add(at, f"the plan has {plan.scenario and 'a'} scenario; in the run: {describe(result)}")
            return False
        if result.tries > 1:  # the run of the last try is kept, which finds what the first has done
            self.doubt(step)
        inner = f"{at}/{plan.scenario.scenario}"
        followed = self.compare_scenarios(plan.scenario, result.run, inner, variables_known=variables_known)
        failed = result.run.outcome is Outcome.FAILED
        self.claims["problem of a child"] += followed and variables_known
        if followed and variables_known and failed != bool(plan.problem):
            self.add(at, f"its problem in the plan is {plan.problem!r}; in the run: {describe(result)}")
        return followed and failed == bool(plan.problem)

    def compare_actions(self, plan: StepPlan, result: StepResult, at: str, *, failed: bool) -> None:
        """Compare the actions of a step; one that fails in a way that the plan does not know has done the first."""
        if result.tries > 1:  # the actions are those of the last try, which finds what the first has done
            return
        planned, done = list(plan.actions), list(result.actions)
        if failed and not plan.problem:
            planned = planned[: len(done)]
        shown = [f"{action.kind} {action.target}" for action in planned]
        if shown != (found := [f"{action.kind} {action.target}" for action in done]):
            self.add(at, f"the plan's actions are {shown}, the run's {found}")
            return
        for one, other in zip(planned, done, strict=True):
            self.claims[f"action {one.because}"] += 1
            if one.because != "depends" and one.model_dump(exclude={"reads"}) != other.model_dump(exclude={"reads"}):
                self.add(at, f"planned: {one}{one.notes or ''}; done: {other}{other.notes or ''}")

    def doubt(self, step: Mapping[str, Any]) -> None:
        """Doubt everything that a step builds."""
        if step["kind"] == "run_scenario":
            for inner in self.spec["scenarios"][step["scenario"]]["steps"]:
                self.doubt(inner)
        elif "target" in step:
            self.doubted |= list_origins(step["target"])


def describe(result: StepResult) -> str:
    return f"{result.outcome}{f' ({result.reason})' if result.reason else ''}"


def is_undecided(result: StepResult) -> bool:
    """Return whether a step did not start because its condition could not be evaluated."""
    return result.started is not None and result.reason.startswith("its run_condition cannot be evaluated")


def has_failed(step: Mapping[str, Any], result: StepResult) -> bool:
    """Return whether the step has failed, whatever its failure counts as."""
    if result.outcome is Outcome.FAILED:
        return True
    # a WARNING of its own has checks that warn, or is what a function has returned
    warned = any(check.counts_as == "WARNING" for check in result.checks) or step.get("function") == "mine:warn"
    return step.get("on_failure") == "warn" and result.outcome is Outcome.WARNING and not warned


def may_fail(step: Mapping[str, Any]) -> bool:
    """Return whether a step may fail for a reason that no plan can know."""
    if step["kind"] == "python":
        return True
    origins = list_origins(step["target"]) if "target" in step else set()
    checked = step["kind"] == "run_checks" and step["target"] in ("plain", "hard", "spoiled")
    return checked or bool(origins & {*FAILURES_OF_CONTENT, "few"})


def outcomes_of_problem(step: Mapping[str, Any]) -> tuple[Outcome, ...]:
    return (Outcome.FAILED,) if step.get("on_failure", "fail") == "fail" else (Outcome.WARNING, Outcome.FAILED)


def plan_call(folder: Path, variables: Mapping[str, Any]) -> Plan:
    """Return what `engine plan` shows."""
    project = engine.load(folder / "project.yaml", variables, environ=ENVIRON)
    return session.plan_scenarios(project.spec, scenario_selection.select_scenarios(project.spec), environ=ENVIRON)


def run_call(folder: Path, variables: Mapping[str, Any]) -> tuple[list[RunResult], ExitCode]:
    """Return what `engine run` returns, and its exit code."""
    project = engine.load(folder / "project.yaml", variables, environ=ENVIRON)
    runs = project.run_all()
    return runs, exit_code(runs, undelivered=0, fail_on="error")


def write_project(folder: Path, spec: Mapping[str, Any]) -> None:
    for name, text in FILES.items():
        (folder / name).write_text(text)
    (folder / "project.yaml").write_text(yaml.safe_dump(dict(spec), sort_keys=False))


def compare_rounds(case: Case, folder: Path) -> Iterator[tuple[str, Plan, list[RunResult], Comparison]]:
    """Yield for each round of a case what has changed, the plan, the run and what was found."""
    write_project(folder, case.spec)
    before: tuple[dict[str, Any], list[RunResult]] | None = None
    for change, variables in case.rounds:
        CHANGES[change](folder)
        plan = plan_call(folder, variables)
        runs, code = run_call(folder, variables)
        comparison = Comparison(case.spec)
        comparison.compare_calls(plan, runs, code)
        if before is not None and change == "nothing" and variables == before[0]:
            comparison.differences += list_repeated_work(case.spec, before[1], plan)
        before = variables, runs
        yield change, plan, runs, comparison


def list_repeated_work(spec: Mapping[str, Any], runs: Sequence[RunResult], plan: Plan) -> Iterator[str]:
    """Yield what the plan computes again although the runs have done it and nothing has changed."""
    if any(step.get("mode") == "force" for one in spec["scenarios"].values() for step in one["steps"]):
        return
    declared = {step["name"]: step for one in spec["scenarios"].values() for step in one["steps"]}
    done = [step for run in runs for step in run.all_steps()]
    planned = list(plan.all_steps())
    if [step.name for step in done] != [step.name for step in planned]:
        return
    # Of several batches of one time, each supersedes the one before; a later time is the reference of none before it.
    evaluated = Counter(action.target for step in done for action in step.actions if action.kind == "evaluate")
    settled = [store for store in STORES if store not in TIMED or evaluated[store] == 1]
    for result, step in zip(done, planned, strict=True):
        succeeded = result.outcome in (Outcome.SUCCESS, Outcome.WARNING) and not has_failed(declared[step.name], result)
        for action in step.actions:
            changes = action.kind in ("profile", "evaluate") and not {*settled} & {declared[step.name].get("target")}
            if succeeded and not changes and action.kind in COMPUTING and action.because not in ("reused", "depends"):
                yield f"{step.name}: it was done by the run before, and nothing has changed; planned: {action}"


def show_steps(steps_: Sequence[StepPlan] | Sequence[StepResult], indent: str = "  ") -> Iterator[str]:
    """Yield a line for each step and each of its actions."""
    for step in steps_:
        inner: ScenarioPlan | RunResult | None
        if isinstance(step, StepPlan):
            yield f"{indent}{step.name} {step.kind}: {step.runs} {step.reason} {step.problem and f'! {step.problem}'}"
            inner = step.scenario
        else:
            yield f"{indent}{step.name} {step.kind}: {describe(step)}"
            inner = step.run
        yield from (f"{indent}    {action}" for action in step.actions)
        yield from show_steps(inner.steps if inner else [], indent + "    ")


def explain(case: Case, change: str, plan: Plan, runs: Sequence[RunResult], differences: Sequence[str]) -> str:
    """Return a report of a case in which a plan and its run differ."""
    return "\n".join(
        [
            f"before this run: {change}",
            *(f"- {difference}" for difference in differences),
            "",
            repr(case),
            f"plan, exit code {int(plan.exit_code)}:",
            *(line for one in plan.scenarios for line in [f" {one.scenario}", *show_steps(one.steps)]),
            f"run, exit code {int(exit_code(list(runs), undelivered=0, fail_on='error'))}:",
            *(line for one in runs for line in [f" {one.scenario}", *show_steps(one.steps)]),
        ]
    )


def check_case(case: Case) -> None:
    """Fail if a plan and its run differ."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            for change, plan, runs, found in compare_rounds(case, Path(folder)):
                assert not found.differences, explain(case, change, plan, runs, found.differences)
        except SpecError:  # a condition that is always false, which only the whole spec shows
            reject()
