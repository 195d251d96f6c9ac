"""Projects and scenarios that are drawn at random, and the changes between their runs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, get_args

import yaml
from hypothesis import strategies as st

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
