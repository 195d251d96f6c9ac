"""A project that evaluates a model on the days of a folder, here and where it is deployed, for tests of pulling."""

import random
import sqlite3
from collections.abc import Collection
from contextlib import closing
from pathlib import Path
from typing import Any

SPEC = """
version: 1
project: watched
variables: {day: 2026-03-01}
secrets: {factory_token: {env: FACTORY_TOKEN, optional: true}}
connections: {local: {root: here}}
datasets:
  before: {connection: local, path: before.csv}
  now: {connection: local, path: "${day}.csv"}
models:
  payer:
    {algorithm: logistic_regression, task: binary_classification, dataset: before, target: paid, positive: 1}
evaluation_stores:
  drift:
    dataset: now
    reference: {kind: dataset, dataset: before}
    evaluation: {name: "day ${day}", labels: {day: "${day}"}, time: "${day}"}
    segments: [{name: small, where: "amount < 1"}]
    find_segments: true
    checks:
      inputs: {metric: data_drift, soft_max: 0.6}
      columns: {metric: drift.*, soft_max: 0.1}
  sizes: {dataset: now, reference: {kind: rolling, last: 2}, evaluation: {name: "day ${day}", time: "${day}"}}
  scores:
    dataset: now
    model: payer
    evaluation: {name: "day ${day}", time: "${day}"}
    checks: {auc: {metric: roc_auc, soft_min: 0.9}}
scenarios:
  score: {steps: [{name: build, kind: build, target: scores}, {name: check, kind: run_checks, target: scores}]}
  monitor:
    steps:
      - {name: build, kind: build, target: drift}
      - {name: check, kind: run_checks, target: drift}
  count:
    steps: [{name: build, kind: build, target: sizes}]
bundles:
  v3: {include: {}}
infrastructures:
  automation: {path: automation}
  factory: {kind: node, url: "URL", token: "${secret.factory_token}"}
deployments:
  production: {infrastructure: automation, bundle: v3, connections: {local: {kind: file, root: there}}}
  distant: {infrastructure: factory, bundle: v3}
"""


def write_days(folder: Path, *days: int, shift: float = 0.0) -> None:
    """Write the rows of some days of March, whose values are moved by `shift`."""
    folder.mkdir(exist_ok=True)
    for day in days:
        chance = random.Random(day)
        amounts = [chance.gauss(shift * day, 1) for _ in range(300)]
        lines = [f"{one:.6f},{chance.choice('abc')},{int(one + chance.gauss(0, 1) > 0)}" for one in amounts]
        (folder / f"2026-03-{day:02}.csv").write_text("\n".join(["amount,kind,paid", *lines]) + "\n")


def write_project(folder: Path, url: str = "http://127.0.0.1:1") -> Path:
    """Write the spec with its data, and return its path."""
    for place in ("here", "there"):
        write_days(folder / place, 1, 2, 3, shift=0.0 if place == "here" else 0.3)
        (folder / place / "before.csv").write_text((folder / place / "2026-03-01.csv").read_text())
    path = folder / "spec.yaml"
    path.write_text(SPEC.replace("URL", url))
    return path


ROWS_OF_EVALUATIONS = {
    "evaluations": "SELECT o.id AS of_id, o.* FROM evaluations o ORDER BY o.id",
    "evaluation_details": "SELECT o.id AS of_id, t.* FROM evaluation_details t JOIN evaluations o "
    "ON o.number = t.evaluation ORDER BY o.id",
    "evaluation_metrics": "SELECT o.id AS of_id, t.* FROM evaluation_metrics t JOIN evaluations o "
    "ON o.number = t.evaluation ORDER BY o.id, t.place",
    "check_results": "SELECT t.evaluation AS of_id, t.* FROM check_results t ORDER BY t.evaluation, t.number",
}


def list_rows(state: Path, ids: Collection[str]) -> dict[str, list[dict[str, Any]]]:
    """Return, by table, the rows of a state that belong to evaluations, without their numbers and their origin."""
    own = {"number", "evaluation", "origin", "infrastructure"}
    with closing(sqlite3.connect(f"file:{state / 'state.db'}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        rows = {table: list(map(dict, connection.execute(query))) for table, query in ROWS_OF_EVALUATIONS.items()}
    return {
        table: [{name: one[name] for name in one if name not in own} for one in found if one["of_id"] in ids]
        for table, found in rows.items()
    }


def read_files(state: Path) -> dict[str, bytes]:
    """Return the files of the evaluations of a state, by their paths."""
    folder = state / "evaluations"
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def dump(state: Path) -> tuple[list[str], dict[str, bytes], list[str]]:
    """Return all that a state holds: its rows, the files of evaluations, and what is left half done."""
    with closing(sqlite3.connect(f"file:{state / 'state.db'}?mode=ro", uri=True)) as connection:
        rows = list(connection.iterdump())
    return rows, read_files(state), [str(path) for path in (state / "staging").iterdir()]
