"""A plan is held against its run, over scenarios that are drawn at random.

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

import json
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from hypothesis import Phase, given, reject, settings
from hypothesis import strategies as st

import engine
from engine.errors import SpecError
from engine.outcome import ExitCode, Outcome
from engine.scenarios import scenario_selection, session
from engine.scenarios.plan import Plan, ScenarioPlan, StepPlan
from engine.scenarios.result import RunResult, StepResult, exit_code
from engine.spec.resources.scenarios import Step

ENVIRON = {"PATH": "/usr/bin:/bin"}

COMPUTING = ("read", "train", "profile", "evaluate")

FUNCTIONS = '''
from pathlib import Path

import polars as pl

def succeed():
    return "SUCCESS"

def warn():
    return "WARNING", "mind the gap"

def refuse():
    return "FAILED", "not today"

def crash():
    raise ValueError("no luck")

def alternate(name):
    """Fail at every other call."""
    calls = Path(__file__).with_name(f"calls of {name}")
    count = len(calls.read_text()) if calls.exists() else 0
    calls.write_text("x" * (count + 1))
    return "FAILED" if count % 2 == 0 else "SUCCESS"

def make():
    return pl.DataFrame({"a": [1, 2, 3, 4], "b": ["x", "y", "x", "z"]})

def break_off():
    raise ValueError("no data today")
'''

INPUTS = {
    "past": (),
    "batch": (),
    "few": ("batch",),
    "broken": (),
    "from_broken": ("broken",),
    "soft": (),
    "hard": (),
    "missing": (),
    "made": (),
    "unmade": (),
    "guess": ("past",),
    "watched": ("guess", "batch"),
    "plain": ("few", "past"),
    "spoiled": ("hard", "past"),
    "hopeless": ("missing", "past"),
    "rolled": ("batch",),
    "named": ("batch",),
    "timed": ("batch", "past"),
    "timed_rolled": ("batch",),
    "same_day": ("batch",),
}
"""What each resource of the project is made from."""

DATASETS = (
    "past",
    "batch",
    "few",
    "soft",
    "made",
    "past",
    "batch",
    "broken",
    "from_broken",
    "hard",
    "missing",
    "unmade",
)
TIMED = ("timed", "timed_rolled", "same_day")
STORES = ("watched", "plain", "watched", "plain", "rolled", "named", *TIMED, "spoiled", "hopeless")
"""What succeeds is listed twice, because more can follow from it."""

FAILURES_OF_CONTENT = ("broken", "hard", "from_broken")
"""Datasets whose content is not what the spec demands: no plan can know that."""

KINDS = ("python", "run_checks", "report", "set_variables", "compute_metrics")
TARGETED = ("build", "run_checks", "report", "compute_metrics")

VARIABLES = {"amount": 5, "word": "one", "batch": "small.csv", "flag": True, "day": date(2026, 3, 2)}
VALUES: dict[str, list[Any]] = {
    "amount": [0, 5, 50],
    "word": ["one", "two"],
    "batch": ["small.csv", "other.csv", "small.csv", "other.csv", "missing.csv"],
    "flag": [True, False],
    "day": [date(2026, 3, number) for number in (1, 2, 3, 9)],
}


def make_resources() -> dict[str, Any]:
    """Return the sections of the project that are always the same."""
    past_reference = {"kind": "dataset", "dataset": "past"}
    named = {"name": "e"}
    return {
        "version": 1,
        "project": "test",
        "variables": dict(VARIABLES),
        "datasets": {
            "past": {"path": "past.csv"},
            "batch": {"path": "${batch}"},
            "few": {"kind": "query", "sql": "SELECT * FROM batch WHERE a < ${amount}"},
            "broken": {"path": "past.csv", "columns": {"a": {"max": 3}}},
            "from_broken": {"kind": "query", "sql": "SELECT * FROM broken"},
            "soft": {"path": "past.csv", "checks": {"few_rows": {"metric": "row_count", "soft_max": 5}}},
            "hard": {"path": "past.csv", "checks": {"no_rows": {"metric": "row_count", "max": 5}}},
            "missing": {"path": "missing.csv"},
            "made": {"kind": "python", "function": "mine:make"},
            "unmade": {"kind": "python", "function": "mine:break_off"},
        },
        "models": {
            "guess": {
                "algorithm": "logistic_regression",
                "task": "binary_classification",
                "dataset": "past",
                "target": "label",
            }
        },
        "evaluation_stores": {
            "watched": {
                "model": "guess",
                "dataset": "batch",
                "evaluation": named,
                "checks": {"loose": {"metric": "row_count", "min": 1}},
            },
            "plain": {
                "dataset": "few",
                "reference": past_reference,
                "evaluation": named,
                "checks": {"tight": {"metric": "row_count", "soft_max": 5, "max": 8}},
            },
            "spoiled": {"dataset": "hard", "reference": past_reference, "evaluation": named},
            "hopeless": {"dataset": "missing", "reference": past_reference, "evaluation": named},
            "rolled": {"dataset": "batch", "reference": {"kind": "rolling", "last": 2}, "evaluation": named},
            "named": {
                "dataset": "batch",
                "reference": {"kind": "evaluation", "name": "one"},
                "evaluation": {"name": "${word}"},
            },
            "timed": {"dataset": "batch", "reference": past_reference, "evaluation": {"time": "${day}"}},
            "timed_rolled": {
                "dataset": "batch",
                "reference": {"kind": "rolling", "last": 2},
                "evaluation": {"time": {"start": "${day}", "end": "${day + 1d}"}},
            },
            "same_day": {
                "dataset": "batch",
                "reference": {"kind": "same_period", "every": "7d", "last": 2},
                "evaluation": {"name": "${word}", "time": "${day}"},
            },
        },
        "channels": {"box": {"kind": "file", "path": "box"}},
    }


def make_table(rows: int, offset: int = 0) -> str:
    """Return a CSV file."""
    lines = [f"{(i * 7) % 11 + offset},{'xyz'[i % 3]},{int((i * 7) % 11 > 5)}" for i in range(rows)]
    return "\n".join(["a,b,label", *lines]) + "\n"


FILES = {
    "past.csv": make_table(20),
    "small.csv": make_table(8),
    "other.csv": make_table(12, 1),
    "mine.py": FUNCTIONS,
}


# ---------------------------------------------------------------------------------------------------------------------
# What is drawn
# ---------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """A project, and what happens before each of its runs."""

    spec: dict[str, Any]
    rounds: list[tuple[str, dict[str, Any]]]
    """Before each run, the name of the change (see CHANGES), and the variables of the command line."""

    def __repr__(self) -> str:
        return f"{show_spec(self.spec)}\nrounds: {self.rounds}"


def show_spec(spec: Mapping[str, Any]) -> str:
    """Return the part of the spec that is drawn, as YAML."""
    drawn = {key: spec[key] for key in ("run", "scenarios") if key in spec}
    return "# the other sections: make_resources()\n" + str(yaml.safe_dump(drawn, sort_keys=False, width=110))


def add_row(name: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / name
        if path.exists():
            with path.open("a") as file:
                file.write("4,x,0\n")

    return change


def write_missing(folder: Path) -> None:
    (folder / "missing.csv").write_text(make_table(9))


def replace_in_spec(*keys: str, value: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "project.yaml"
        spec = yaml.safe_load(path.read_text())
        place = spec
        for key in keys[:-1]:
            place = place[key]
        place[keys[-1]] = value
        path.write_text(yaml.safe_dump(spec, sort_keys=False))

    return change


CHANGES: dict[str, Callable[[Path], None]] = {
    "nothing": lambda folder: None,
    "a row more in past.csv": add_row("past.csv"),
    "a row more in small.csv": add_row("small.csv"),
    "other.csv is gone": lambda folder: (folder / "other.csv").unlink(missing_ok=True),
    "missing.csv is there": write_missing,
    "another seed of the model": replace_in_spec("models", "guess", "test", value={"seed": 1}),
    "another seed of a frozen model": replace_in_spec(
        "models", "guess", value=make_resources()["models"]["guess"] | {"frozen": True, "test": {"seed": 2}}
    ),
    "another threshold": replace_in_spec("models", "guess", "threshold", value=0.4),
    "another confidence": replace_in_spec("evaluation_stores", "plain", "drift", value={"confidence": 0.9}),
    "another default of amount": replace_in_spec("variables", "amount", value=7),
    "another check": replace_in_spec("datasets", "past", "checks", value={"a": {"metric": "mean.a", "min": 0}}),
}

NAMES = r"\b(main|child|leaf)\d*\b"
"""The names of scenarios, and of their steps: `main`, `main0`."""

OUTCOMES = ("SUCCESS", "WARNING", "FAILED", "SKIPPED")


def conditions(earlier: Sequence[str], targets: Sequence[str]) -> st.SearchStrategy[str]:
    """Return run conditions; `targets` are the datasets and stores of the scenario."""
    simple = [
        st.sampled_from(OUTCOMES[:3]).map(lambda outcome: f"outcome == '{outcome}'"),
        st.just("outcome in ['SUCCESS', 'WARNING']"),
        st.sampled_from(["amount > 2", "amount == 50", "word == 'one'", "flag", "!flag", "batch != 'other.csv'"]),
        st.sampled_from(["trigger == 'manual'", "trigger != 'manual'"]),
    ]
    if earlier:
        of_step = st.tuples(st.sampled_from(earlier), st.sampled_from(["==", "!="]), st.sampled_from(OUTCOMES))
        simple.append(of_step.map(lambda drawn: f"steps['{drawn[0]}'].outcome {drawn[1]} '{drawn[2]}'"))
        simple.append(of_step.map(lambda drawn: f"stepOutcome_{drawn[0]} {drawn[1]} '{drawn[2]}'"))
    if targets:
        simple.append(st.sampled_from(["metrics['row_count'] > 6", "metrics['row_count'] > 1000"]))
    checks = [name for target, name in {"soft": "few_rows", "watched": "loose", "plain": "tight"}.items()
              if target in targets]  # fmt: skip
    if checks:
        simple.append(st.sampled_from(checks).map(lambda check: f"checks['{check}'].outcome == 'WARNING'"))
    single = st.one_of(simple)
    both = st.tuples(single, st.sampled_from(["&&", "||"]), single).filter(lambda drawn: drawn[0] != drawn[2])
    return st.one_of(single, single, both.map(lambda drawn: f"({drawn[0]}) {drawn[1]} ({drawn[2]})"))


def assignments() -> st.SearchStrategy[dict[str, Any]]:
    """Return values of one or two variables."""
    return st.fixed_dictionaries({}, optional={name: st.sampled_from(of) for name, of in VALUES.items()}).filter(
        lambda drawn: 0 < len(drawn) < 3
    )


@dataclass(frozen=True)
class Palette:
    """What the steps of a case are drawn from: few kinds and few resources, so that they have to do with each other.

    The numbers say how many of four steps, on average, have a condition and an `on_failure` of their own.
    """

    kinds: list[str]
    targets: list[str]
    conditions: int
    failures: int
    timeouts: bool

    def select_targets(self, kind: str) -> list[str]:
        """Return the resources that a step of this kind may have."""
        suited = {"compute_metrics": DATASETS, "run_checks": (*DATASETS, *STORES), "report": STORES}
        return [target for target in self.targets if target in suited.get(kind, INPUTS)]


@st.composite
def palettes(draw: st.DrawFn, *, timeouts: bool) -> Palette:
    some_kinds = st.lists(st.sampled_from(KINDS), min_size=2, max_size=5, unique=True)
    targets = [draw(st.sampled_from(STORES)), *draw(st.lists(st.sampled_from([*DATASETS, "guess"]), max_size=2))]
    return Palette(draw(some_kinds), targets, draw(st.integers(0, 2)), draw(st.integers(0, 2)), timeouts=timeouts)


@st.composite
def steps(
    draw: st.DrawFn, name: str, earlier: Sequence[Mapping[str, Any]], children: Sequence[str], palette: Palette
) -> dict[str, Any]:
    """Draw a step of a scenario that may run the scenarios `children`."""
    kinds = [kind for kind in palette.kinds if kind not in TARGETED or palette.select_targets(kind)]
    kind = draw(st.sampled_from(["build", *kinds, "build", *["run_scenario"] * (2 + len(kinds) // 2) * bool(children)]))
    step: dict[str, Any] = {"name": name, "kind": kind}
    if kind in TARGETED:
        step["target"] = draw(st.sampled_from(palette.select_targets(kind)))
    match kind:
        case "build":
            if draw(st.integers(0, 3)) == 3:
                step["mode"] = "force"
        case "set_variables":
            step["variables"] = draw(assignments())
        case "python":
            function = draw(st.sampled_from(["succeed", "succeed", "warn", "warn", "alternate", "refuse", "crash"]))
            step["function"] = f"mine:{function}"
            if function == "alternate":
                step["arguments"] = {"name": name}
        case "report":
            step["path"] = f"{name}.html"
        case "run_scenario":
            step["scenario"] = draw(st.sampled_from(children))
            if draw(st.booleans()):
                step["variables"] = draw(assignments())
    if draw(st.integers(0, 3)) < palette.conditions:
        targets = [one["target"] for one in [*earlier, step] if "target" in one and one["target"] != "guess"]
        step["run_condition"] = draw(conditions([one["name"] for one in earlier], targets))
    if draw(st.integers(0, 3)) < palette.failures:
        step["on_failure"] = draw(st.sampled_from(get_args(Step.model_fields["on_failure"].annotation)))
    if draw(st.integers(0, 5)) == 5:
        step["retries"] = {"count": 1}
    if palette.timeouts and draw(st.integers(0, 15)) == 15:
        step["timeout"] = "90s"  # it is not exceeded: that no plan can know, but the step has a process of its own
    return step


@st.composite
def scenarios(draw: st.DrawFn, name: str, children: Sequence[str], palette: Palette) -> dict[str, Any]:
    """Draw a scenario that may run the scenarios `children`."""
    found: list[dict[str, Any]] = []
    for index in range(draw(st.sampled_from([3, 1, 2, 4, 5] if children else [1, 2, 3, 4]))):
        found.append(draw(steps(f"{name}{index}", found, children, palette)))
    scenario: dict[str, Any] = {"steps": found}
    if draw(st.integers(0, 2)) == 2:
        names = draw(st.sampled_from([["amount"], ["word", "batch"], ["batch"], ["flag", "amount"]]))
        turn = st.fixed_dictionaries({variable: st.sampled_from(VALUES[variable]) for variable in names})
        scenario["for_each"] = draw(st.lists(turn, min_size=1, max_size=3))
        scenario["fail_fast"] = draw(st.booleans())
    if draw(st.integers(0, 3)) == 3:
        scenario["variables"] = draw(assignments())
    if draw(st.integers(0, 5)) == 5:
        scenario["on_busy"] = draw(st.sampled_from(["wait", "refuse"]))
    if draw(st.integers(0, 2)) == 2:
        reporter = {"name": "tell", "channel": "box", "at": draw(st.sampled_from(["end", "start"]))}
        if draw(st.integers(0, 2)):
            known = ["flag", "amount > 2", "word == 'two'", "trigger == 'manual'", "outcome == 'FAILED' || flag"]
            reporter["run_condition"] = draw(st.sampled_from(known))
        scenario["reporters"] = [reporter]
    return scenario


@st.composite
def cases(draw: st.DrawFn, *, timeouts: bool = False) -> Case:
    """Draw a project and its runs; scenarios start only those that stand after them, so there is no cycle."""
    names = ["main", "child", "leaf"][: draw(st.sampled_from([2, 1, 3]))]
    palette = draw(palettes(timeouts=timeouts))
    drawn = {name: draw(scenarios(name, names[index + 1 :], palette)) for index, name in enumerate(names)}
    spec = make_resources() | {"scenarios": drawn, "run": draw(st.sampled_from([["main"], ["main"], names[::-1]]))}
    overrides = st.one_of(st.just({}), st.just({}), assignments())
    rounds = [("nothing", draw(overrides))]
    for _ in range(draw(st.sampled_from(range(3)))):
        change = draw(st.sampled_from(["nothing", *CHANGES]))
        rounds.append((change, draw(st.one_of(st.just(rounds[-1][1]), overrides))))
    return Case(spec, rounds)


# ---------------------------------------------------------------------------------------------------------------------
# What is compared
# ---------------------------------------------------------------------------------------------------------------------


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


# ---------------------------------------------------------------------------------------------------------------------
# What is done
# ---------------------------------------------------------------------------------------------------------------------


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


# An example takes seconds: making one smaller would outlast the time of the test, so the one that was found is shown.
FEW = settings(max_examples=30, print_blob=False, phases=(Phase.explicit, Phase.reuse, Phase.generate))


@pytest.mark.slow
@FEW
@given(cases(timeouts=True))  # tests/campaigns/plan_against_run.py makes thousands
def test_a_run_does_what_its_plan_has_claimed(case: Case) -> None:
    check_case(case)


@st.composite
def timed_cases(draw: st.DrawFn) -> Case:
    """Draw days in any order, of one or another batch, that stores whose evaluations have a time evaluate twice."""
    turn = st.fixed_dictionaries({"day": st.sampled_from(VALUES["day"]), "batch": st.sampled_from(VALUES["batch"][:2])})
    steps_ = [
        {"name": store, "kind": "build", "target": store, **({"mode": "force"} if draw(st.integers(0, 9)) == 9 else {})}
        for store in draw(st.lists(st.sampled_from(TIMED), min_size=1, max_size=3, unique=True))
    ]
    scenario = {"for_each": draw(st.lists(turn, min_size=1, max_size=4)), "steps": steps_}
    changes = st.sampled_from(["nothing", "a row more in small.csv", "a row more in past.csv"])
    rounds: list[tuple[str, dict[str, Any]]] = [("nothing", {}), (draw(changes), {})]
    return Case(make_resources() | {"scenarios": {"main": scenario}}, rounds)


@pytest.mark.slow
@settings(FEW, max_examples=8)
@given(timed_cases())
def test_a_run_of_days_in_any_order_does_what_its_plan_has_claimed(case: Case) -> None:
    check_case(case)


# ---------------------------------------------------------------------------------------------------------------------
# Single claims
# ---------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def call(tmp_path: Path) -> Callable[[str], tuple[Plan, ExitCode, list[RunResult], ExitCode]]:
    """Plan and run the scenarios of a text; return the plan, its exit code, the runs and theirs."""

    def call(text: str) -> tuple[Plan, ExitCode, list[RunResult], ExitCode]:
        write_project(tmp_path, make_resources() | yaml.safe_load(text))
        plan = plan_call(tmp_path, {})
        return plan, plan.exit_code, *run_call(tmp_path, {})

    return call


Call = Callable[[str], tuple[Plan, ExitCode, list[RunResult], ExitCode]]


def test_a_failure_that_counts_as_a_warning_has_the_exit_code_of_the_run(call: Call) -> None:
    _, planned, _, found = call("""
        scenarios: {main: {steps: [{name: a, kind: build, target: missing, on_failure: warn}]}}
    """)
    assert planned == found == ExitCode.OK


def test_a_scenario_does_not_fail_by_a_failure_that_counts_as_a_warning(call: Call) -> None:
    plan, _, runs, _ = call("""
        run: main
        scenarios:
          main: {steps: [{name: a, kind: run_scenario, scenario: child}, {name: b, kind: build, target: past}]}
          child: {steps: [{name: c, kind: build, target: missing, on_failure: warn}]}
    """)
    a, b = plan.scenarios[0].steps
    assert [str(step.outcome) for step in runs[0].steps] == ["WARNING", "SUCCESS"]
    assert (a.problem, b.runs) == ("", "yes")


def test_fail_fast_goes_on_after_a_failure_that_counts_as_a_warning(call: Call) -> None:
    plan, _, runs, _ = call("""
        scenarios:
          main:
            for_each: [{amount: 1}, {amount: 2}]
            fail_fast: true
            steps: [{name: a, kind: build, target: missing, on_failure: warn}]
    """)
    assert [step.turn for step in runs[0].steps] == [{"amount": 1}, {"amount": 2}]
    assert [step.turn for step in plan.scenarios[0].steps] == [{"amount": 1}, {"amount": 2}]


@pytest.mark.parametrize(
    ("condition", "planned"), [("outcome == 'SUCCESS'", "depends"), ("amount > 9", "yes"), ("amount < 9", "no")]
)
def test_fail_fast_after_a_step_that_fails_if_it_runs_leaves_it_open_whether_others_run(
    call: Call, condition: str, planned: str
) -> None:
    plan, planned_code, _, code = call(f"""
        scenarios:
          main:
            for_each: [{{amount: 1}}, {{amount: 2}}]
            fail_fast: true
            steps:
              - {{name: a, kind: build, target: past}}
              - {{name: b, kind: build, target: missing, run_condition: "{condition}"}}
    """)
    first = plan.scenarios[0].steps[2]
    assert (first.runs, "fail_fast" in first.reason) == (planned, planned != "yes")
    assert planned_code == code


def test_a_report_is_of_the_evaluation_that_a_child_scenario_has_reused(call: Call) -> None:
    plan, _, runs, _ = call("""
        run: main
        scenarios:
          main:
            steps:
              - {name: a, kind: run_scenario, scenario: child}
              - {name: b, kind: run_scenario, scenario: child, variables: {word: two, batch: other.csv}}
              - {name: c, kind: run_scenario, scenario: child}
              - {name: d, kind: report, target: named, path: d.html}
          child: {steps: [{name: e, kind: build, target: named}]}
    """)
    planned, found = plan.scenarios[0].steps[-1].actions, runs[0].steps[-1].actions
    assert [action.reason for action in found] == ["evaluation one of named"]
    assert [action.reason for action in planned] == ["evaluation one of named"]


def test_a_message_depends_on_the_variables_that_the_steps_have_set(call: Call) -> None:
    plan, _, runs, _ = call("""
        scenarios:
          main:
            steps: [{name: a, kind: set_variables, variables: {word: two}}]
            reporters: [{name: tell, channel: box, run_condition: "word == 'two'"}]
    """)
    assert [delivery.state for delivery in runs[0].deliveries] == ["SENT"]
    assert [action.because for action in plan.scenarios[0].reporters] == ["always"]


def test_a_stored_evaluation_is_checked_without_the_file_of_its_batch(call: Call) -> None:
    plan, planned, runs, found = call("""
        scenarios:
          main:
            steps:
              - {name: a, kind: build, target: rolled}
              - {name: b, kind: set_variables, variables: {batch: missing.csv}}
              - {name: c, kind: run_checks, target: rolled}
    """)
    assert (str(runs[0].steps[-1].outcome), found) == ("SUCCESS", ExitCode.OK)
    assert (plan.scenarios[0].steps[-1].problem, planned) == ("", ExitCode.OK)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("steps_", "code"),
    [
        ("{name: a, kind: build, target: plain}, {name: b, kind: run_scenario, scenario: child}", 0),
        ("{name: a, kind: build, target: missing}, {name: b, kind: run_scenario, scenario: child}", 3),
        ("{name: a, kind: run_scenario, scenario: child}, {name: b, kind: report, target: hopeless, path: b.html}", 3),
    ],
)
def test_the_command_line_plans_and_runs_the_same(tmp_path: Path, steps_: str, code: int) -> None:
    text = f"""
        run: main
        scenarios:
          main: {{steps: [{steps_}]}}
          child: {{for_each: [{{amount: 5}}, {{amount: 50}}], steps: [{{name: c, kind: build, target: few}}]}}
    """
    spec = make_resources() | yaml.safe_load(text)
    write_project(tmp_path, spec)
    plan_code, planned = call_engine(tmp_path, "plan")
    run_code, ran = call_engine(tmp_path, "run")
    plan = Plan.model_validate(planned)
    runs = [RunResult.model_validate(run) for run in ran["runs"]]
    comparison = Comparison(spec)
    comparison.compare_calls(plan, runs, ExitCode(run_code))
    assert comparison.differences == []
    assert plan_code == run_code == code
    assert comparison.claims["runs: yes"] + comparison.claims["runs: no"] >= 2


def call_engine(folder: Path, verb: str) -> tuple[int, dict[str, Any]]:
    """Return the exit code of the command and its answer in JSON."""
    command = [sys.executable, "-m", "engine", verb, "project.yaml", "--format", "json"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode, json.loads(done.stdout)
