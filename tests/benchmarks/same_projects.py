"""Ten small projects that between them use every kind of dataset, model and reference, and what changes in each.

Every one of them warns, fails a hard check, has a check without a value, a step that fails, a reporter and a report.
The data are the same whenever they are made: all is drawn from one seed. Of the query that joins no means are taken as
a dataset: polars leaves the order of its rows open, and sums differ in their last digits between two runs of one build.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

ROWS = 800
MANY = 1_200_000
LONG_AGO = 1_577_836_800
"""A file of this very moment would be hashed again: 2020-01-01."""

Rows = Callable[[int, float], pl.DataFrame]

SPEC = """version: 1
project: {name}
variables: {{name: first, oldest: 60, region: north}}
datasets:
  past: {{path: past.parquet{entity}}}
  {batch}
  broken: {{path: batch.parquet, columns: {{{column}: {{min: 1000000, required: true}}}}}}
{model}
evaluation_stores:
  watched:
    dataset: batch
    evaluation: {{name: "${{name}}", labels: {{region: "${{region}}"}}}}
    {store}
    checks:
      rows: {{metric: row_count, soft_max: 1}}
      fewer rows: {{metric: row_count, max: 2}}
      as before: {{metric: row_count, compare: previous, soft_min: -5}}
      every column: {{metric: drift.*, soft_max: 0.02, max: 0.2}}
      never: {{metric: data_drift, soft_max: 0.45}}
channels: {{box: {{kind: file, path: outbox}}}}
scenarios:
  watch:
    steps:
      - {{name: build, kind: build, target: watched}}
      - {{name: check, kind: run_checks, target: watched, on_failure: warn}}
      - {{name: count, kind: compute_metrics, target: {counted}}}
      - {{name: page, kind: report, target: watched, path: page.html, run_condition: "stepOutcome_check == 'WARNING'"}}
      - {{name: chart, kind: report, target: watched, path: chart.png}}
      - {{name: fails, kind: python, function: "mine:fails", on_failure: warn}}
    reporters:
      - {{name: tell, channel: box, attach: [scenario_log, report{attach}]}}
      - {{name: quiet, channel: box, run_condition: "outcome == 'SUCCESS'"}}
  turns: {{{turns}steps: [{{name: again, kind: run_scenario, scenario: watch}}]}}
  unreadable: {{steps: [{{name: build, kind: build, target: broken}}, {{name: after, kind: build, target: watched}}]}}
run: [turns, unreadable]
"""
MINE = """
import polars as pl

def fails():
    raise ValueError("it fails as it should")

def batch(least):
    people = pl.read_parquet(__file__.replace("mine.py", "batch.parquet"))
    return people.filter(pl.col("age") > least)

def richest(frame, times):
    return frame.select(pl.col("income").max()).collect().item() * times

def judge(metrics, limit):
    return ("WARNING" if metrics["row_count"] > limit else "OK"), f"{metrics['row_count']:.0f} rows"
"""
AGAINST_PAST = "reference: {kind: dataset, dataset: past}"


def people(seed: int, moved: float) -> pl.DataFrame:
    """Return rows of every role, with missing values, labels of three tasks and predictions."""
    random = np.random.default_rng(seed)
    age = random.normal(40 + 5 * moved, 12, ROWS)
    income = random.lognormal(8, 0.8, ROWS).round(2)
    city = random.choice(
        ["Aix", "Bonn", "Cork", "Delft"], ROWS, p=np.array([4, 3, 2, 1 + 5 * moved]) / (10 + 5 * moved)
    )
    risk = 1 / (1 + np.exp(-(age - 40) / 8 - (city == "Bonn") + random.normal(0, 0.5, ROWS)))
    frame = pl.DataFrame(
        {
            "person": random.integers(0, ROWS // 3, ROWS),
            "age": age,
            "income": income,
            "visits": random.poisson(3 + moved, ROWS),
            "city": city,
            "member": random.random(ROWS) < 0.3,
            "note": [f"order {seed} of {i}" for i in range(ROWS)],
            "label": (random.random(ROWS) < risk).astype(int),
            "level": np.array(["low", "middle", "high"])[np.digitize(risk + random.normal(0, 0.1, ROWS), [0.4, 0.7])],
            "spent": 20 + 0.01 * income + 2 * age + random.normal(0, 10, ROWS),
            "score": risk,
        }
    )
    missing = random.random((2, ROWS)) < 0.05
    return frame.with_columns(
        income=pl.when(pl.Series(missing[0])).then(None).otherwise("income"),
        city=pl.when(pl.Series(missing[1])).then(None).otherwise("city"),
    )


def numbers(seed: int, moved: float) -> pl.DataFrame:
    """Return a column of more than a million different values."""
    return pl.DataFrame({"amount": np.random.default_rng(seed).normal(100 + moved, 15, MANY)})


@dataclass(frozen=True)
class Example:
    """What a project has of its own, and what of its spec and its Python file changes before the second run."""

    model: str = ""
    store: str = ""
    batch: str = "batch: {path: batch.parquet, checks: {many: {metric: row_count, soft_min: 10000000}}}"
    entity: str = ""
    turns: str = ""
    column: str = "age"
    counted: str = "batch"
    attach: str = ", dataset:batch"
    rows: Rows = people
    later: Mapping[str, str] = field(default_factory=dict)
    other_rows: bool = True

    def write(self, name: str, folder: Path) -> None:
        """Write the project into a new folder; what is in its folder `later` takes the place of it then."""
        spec = SPEC.format(name=name, **vars(self))
        (folder / "later").mkdir(parents=True)
        for place, edits in (("", {}), ("later", self.later | {"name: first": "name: second"})):
            texts = {"spec.yaml": spec, "mine.py": MINE}
            for old, new in edits.items():
                if not any(old in text for text in texts.values()):
                    raise ValueError(f"{name} has no {old!r} to be changed")
                texts = {file: text.replace(old, new) for file, text in texts.items()}
            for file, text in texts.items():
                (folder / place / file).write_text(text, encoding="utf-8")
        self.rows(0, 0.0).write_parquet(folder / "past.parquet")
        self.rows(1, 0.3).write_parquet(folder / "batch.parquet")
        if self.other_rows:
            self.rows(2, 0.6).write_parquet(folder / "later" / "batch.parquet")
        for at, path in enumerate(sorted(folder.rglob("*.*"))):
            os.utime(path, (LONG_AGO + at, LONG_AGO + at))


def trained(task: str, target: str, algorithm: str, *more: str) -> str:
    """Return the section of a model that is trained here."""
    said = [f"task: {task}", f"target: {target}", f"algorithm: {algorithm}", *more]
    labels = ", ".join(sorted({"label", "level", "spent", "score"} - {target}))
    return f"models:\n  it: {{dataset: past, features: {{exclude: [{labels}]}}, {', '.join(said)}}}"


EXAMPLES = {
    "binary": Example(
        trained("binary_classification", "label", "hist_gradient_boosting", "parameters: {max_iter: 30}"), "model: it"
    ),
    "multiclass": Example(
        trained("multiclass_classification", "level", "logistic_regression"),
        "model: it",
        later={"target: level,": "target: level, test: {share: 0.3},"},
        other_rows=False,
    ),
    "regression": Example(
        trained("regression", "spent", "ridge", "parameters: {alpha: 1.0}"),
        "model: it\n    metrics: {richest: {function: 'mine:richest', arguments: {times: 2}}}",
        later={"alpha: 1.0": "alpha: 2.0", "times: 2": "times: 3"},
    ),
    "scored": Example(
        "models:\n  it: {kind: scored, task: binary_classification, target: label, probability: score, "
        "features: {include: [age, income, city]}}",
        f"model: it\n    {AGAINST_PAST}",
        later={"target: label,": "target: label, threshold: 0.6, cost_matrix: {true_positive: 3},"},
    ),
    "no model": Example("", AGAINST_PAST, later={AGAINST_PAST: f"{AGAINST_PAST}\n    drift: {{confidence: 0.9}}"}),
    "entity": Example(
        trained("binary_classification", "label", "random_forest", "parameters: {n_estimators: 10}"),
        "model: it",
        batch="batch: {path: batch.parquet, entity: person, columns: {visits: {role: categorical, min: 0}}}",
        entity=", entity: person",
        later={"visits: {role: categorical,": "visits: {role: numerical,"},
    ),
    "rolling": Example(
        "",
        "reference: {kind: rolling, last: 2}",
        batch='batch: {kind: query, sql: "SELECT * FROM past WHERE age < ${oldest}"}',
        turns="for_each: [{oldest: 60, name: a}, {oldest: 55, name: b}, {oldest: 30, name: c}], ",
        later={"{oldest: 30, name: c}": "{oldest: 30, name: c}, {oldest: 25, name: d}"},
    ),
    "a million values": Example("", AGAINST_PAST, column="amount", attach="", rows=numbers),
    "python dataset": Example(
        "",
        f"{AGAINST_PAST}\n    metrics: {{richest: {{function: 'mine:richest', arguments: {{times: 2}}}}}}",
        batch="""batch:
    kind: python
    function: "mine:batch"
    arguments: {least: 30}
    metrics: {most: {function: "mine:richest", arguments: {times: 1}}}
    checks:
      most: {metric: most, soft_max: 1}
      mean age: {metric: mean.age, min: 0}
      mine: {kind: python, function: "mine:judge", arguments: {limit: 10}}""",
        later={"least: 30": "least: 35", "max()": "min()"},
        other_rows=False,
    ),
    "queries": Example(
        "",
        f"{AGAINST_PAST}\n    drift: {{columns: {{exclude: [note]}}, max_rows: 500}}",
        batch="""raw: {path: batch.parquet, columns: {age: {type: number}}}
  cities: {kind: query, sql: "SELECT city, COUNT(*) AS people FROM raw GROUP BY city"}
  batch:
    kind: query
    sql: |
      SELECT r.*, c.people FROM raw r JOIN cities c ON r.city = c.city WHERE r.age < ${oldest}
      ORDER BY r.age, r.person, r.note
    checks:
      rows: {metric: row_count, soft_max: 10}
      cities: {kind: values, metric: distinct_count.city, allowed: [4]}""",
        counted="raw",
        later={"oldest: 60": "oldest: 50"},
    ),
}
