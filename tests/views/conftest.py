"""A project whose names are hostile, which has run once."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from engine.outcome import Outcome
from engine.scenarios import session
from engine.spec import load

from .reported_project import COLUMN, NAME, PLANTED

SPEC = """
version: 1
project: shown
server: {url: "http://127.0.0.1:7310"}
secrets: {token: {env: TOKEN, optional: true}}
variables: {batch: first.parquet, name: Q1, who: somebody}
datasets:
  old: {path: old.parquet}
  new: {path: "${batch}"}
models:
  two model: {algorithm: logistic_regression, task: binary_classification, dataset: old, target: label,
        features: {exclude: [amount, kind]}}
  number model: {algorithm: ridge, task: regression, dataset: old, target: amount, features: {exclude: [label, kind]}}
  three model: {algorithm: decision_tree, task: multiclass_classification, dataset: old, target: kind,
          features: {exclude: [label, amount]}}
evaluation_stores:
  two:
    model: two model
    dataset: new
    evaluation: {name: "${name}", labels: {who: "${who}"}}
    display: {metrics: [data_drift, roc_auc]}
    checks:
      nothing moved: {metric: drift.*, soft_max: 0.05, max: 0.9}
      auc holds: {metric: roc_auc, soft_min: 0.6}
      one of these: {kind: values, metric: data_drift_significant, allowed: [0, 1]}
      not worse: {metric: roc_auc, compare: previous, soft_min: -0.9}
  number: {model: number model, dataset: new, evaluation: {name: "${name}"}}
  three: {model: three model, dataset: new, evaluation: {name: "${name}"}}
channels: {box: {kind: file, path: outbox}}
scenarios:
  Watch:
    for_each: [{batch: first.parquet}, {batch: second.parquet, name: NAME}]
    steps:
      - {name: a, kind: build, target: two}
      - {name: b, kind: build, target: number}
      - {name: c, kind: build, target: three}
      - {name: check, kind: run_checks, target: two}
      - {name: write, kind: report, target: two, path: "pages/deep/${batch}.html"}
      - {name: draw, kind: report, target: two, path: "pages/two.png"}
    reporters:
      - {name: tell, channel: box, attach: [report, chart], message: "${outcome}"}
  Nothing:
    steps: [{name: look, kind: compute_metrics, target: old}]
    reporters:
      - {name: tell, channel: box, attach: [report, chart], message: "${outcome}"}
  Nowhere:
    steps:
      - {name: write, kind: report, target: two, path: old.parquet/page.html}
""".replace("NAME", json.dumps(NAME))


def write(path: Path, shift: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    age, score = random.normal(40 + shift, 10, 600), random.normal(600, 50, 600)
    group = random.choice(["a", "b<i>c"], 600)
    label = (age / 10 + score / 50 + random.normal(0, 1, 600) > 16).astype(int)
    kind = np.where(age < 35, "low", np.where(score > 620, "high", "mid"))
    amount = age * 2 + random.normal(0, 3, 600)
    columns = {"age": age, "score": score, COLUMN: group, "label": label, "kind": kind, "amount": amount}
    pl.DataFrame(columns).with_columns(
        pl.when(pl.int_range(600) % 7 == 0).then(None).otherwise(pl.col("score")).alias("score")
    ).write_parquet(path)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of three tasks whose second batch has moved, run once."""
    folder = tmp_path_factory.mktemp("shown")
    (folder / "shown.yaml").write_text(SPEC)
    write(folder / "old.parquet", 0, 1)
    write(folder / "first.parquet", 0, 2)
    write(folder / "second.parquet", 12, 3)
    finished = session.run_scenarios(
        load(folder / "shown.yaml", {"who": PLANTED}, {}), ["Watch"], environ={"TOKEN": PLANTED}
    )
    assert [run.outcome for run in finished.runs] == [Outcome.WARNING]
    return folder / "shown.yaml"
