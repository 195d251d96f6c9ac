"""A project with a model that is not trained here, and the scores that the model gives."""

import textwrap
from pathlib import Path

import polars as pl

from engine import spec
from engine.data import Table
from engine.models import load_model, score_frame

FRAME = pl.DataFrame(
    {
        "amount": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0] * 20,
        "shop": ["a", "a", "b", "b", "c", "c"] * 20,
        "fraud": [0, 0, 0, 1, 1, 1] * 20,
        "p": [0.1, 0.4, 0.2, 0.6, 0.9, 0.8] * 20,
    }
)


def project(folder: Path, model: str) -> spec.ProjectSpec:
    text = f"""
version: 1
project: kinds
connections:
  store: {{path_}}
datasets:
  batch: {{path: batch.parquet}}
models:
  m:
{textwrap.indent(textwrap.dedent(model).strip(), "    ")}
"""
    text = text.replace("{path_}", "{kind: file, root: files}")
    path = folder / "spec.yaml"
    path.write_text(text)
    return spec.load(path)


def scored(folder: Path, model: str, frame: pl.DataFrame = FRAME, keep: tuple[str, ...] = ("fraud",)) -> pl.DataFrame:
    return score_frame(
        load_model(project(folder, model), "m", Table("batch", frame.lazy(), "0" * 32)), frame.lazy(), keep
    )


PYTHON = """
    kind: python
    task: {task}
    target: fraud
    function: "scoring:score"
    features: {{include: [amount]}}
"""


def python(folder: Path, body: str, task: str = "binary_classification", more: str = "") -> pl.DataFrame:
    (folder / "scoring.py").write_text("import numpy as np\nimport polars as pl\n\n\n" + textwrap.dedent(body))
    return scored(folder, PYTHON.format(task=task) + more)
