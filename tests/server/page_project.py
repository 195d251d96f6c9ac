"""A project whose names, categories and messages try to be HTML, formulas or something else than text, run twice."""

from pathlib import Path

import numpy as np
import polars as pl

import engine

HOSTILE = "<img src=x onerror=alert(1)>"
"""A name that would be an element; names may have neither quotes nor slashes."""

CATEGORY = "=1+2</td><script>alert('x')</script>"
"""A category of the data, which may be anything."""

SECRET = "correct horse battery"
PROJECT = f"shop {HOSTILE}"
STORE = f"store {HOSTILE}"
SCENARIO = f"watch {HOSTILE}"
MODEL = "judge"

SPEC = f"""\
version: 1
project: "{PROJECT}"
description: "<script>alert(2)</script> shows what it sells"
variables: {{batch: now, note: "<b>none</b>", word: {SECRET}}}
secrets: {{key: {{env: PAGE_SECRET}}}}
datasets:
  before: {{path: before.csv}}
  batch: {{path: "${{batch}}.csv"}}
models:
  {MODEL}: {{kind: scored, task: binary_classification, target: label, positive: 1, probability: score}}
evaluation_stores:
  "{STORE}":
    description: "<i>sales</i>"
    model: {MODEL}
    dataset: batch
    reference: {{kind: dataset, dataset: before}}
    evaluation: {{name: "${{batch}} {HOSTILE}", labels: {{kind: "<u>daily</u>"}}}}
    display: {{metrics: [data_drift, roc_auc], checks: ["auc {HOSTILE}"]}}
    checks:
      "auc {HOSTILE}": {{metric: roc_auc, soft_min: 0.99}}
      drift holds: {{metric: drift.*, max: 0.9}}
channels:
  box: {{kind: file, path: outbox}}
scenarios:
  "{SCENARIO}":
    description: "<script>alert(3)</script>"
    triggers: [{{name: "often {HOSTILE}", kind: interval, every: 1h}}]
    steps:
      - {{name: "build {HOSTILE}", kind: build, target: "{STORE}"}}
      - {{name: check, kind: run_checks, target: "{STORE}"}}
    reporters:
      - {{name: tell, channel: box, subject: "${{note}} <script>alert(4)</script>", message: "=2+3 ${{note}}"}}
"""


def write_page_project(folder: Path) -> Path:
    """Write the project, run it on two batches, and return the path of its spec."""
    path = folder / "spec.yaml"
    path.write_text(SPEC, encoding="utf-8")
    for seed, (name, shift) in enumerate([("before", 0.0), ("then", 0.0), ("now", 0.8)]):
        _write_batch(folder / f"{name}.csv", shift, seed)
    for batch in ("then", "now"):
        engine.load(path, {"batch": batch}).run(SCENARIO)
    return path


def _write_batch(path: Path, shift: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    rows = 400
    score = random.uniform(0, 1, rows)
    pl.DataFrame(
        {
            f"age {HOSTILE}": random.normal(40 + 10 * shift, 8, rows),
            "group": random.choice(["a", CATEGORY], rows),
            "score": score,
            "label": (random.uniform(0, 1, rows) < score).astype(int),
        }
    ).write_csv(path)
