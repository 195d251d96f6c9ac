"""What a run says to those who must act: which dataset, which column, what to do."""

from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from engine.outcome import Outcome
from engine.scenarios.session import Finished

Spec = Callable[[str], Path]
Run = Callable[..., Finished]
Rows = Callable[..., Path]

WITHOUT_MODEL = """
    datasets:
      last_year: {path: last_year.parquet}
      this_week: {path: this_week.parquet}
    evaluation_stores:
      drift: {dataset: this_week, reference: {kind: dataset, dataset: last_year}}
"""
WITH_MODEL = """
    datasets:
      last_year: {path: last_year.parquet}
      this_week: {path: this_week.parquet}
    models:
      m: {task: binary_classification, dataset: last_year, target: label, algorithm: decision_tree}
    evaluation_stores:
      drift: {dataset: this_week, model: m}
"""


def reason(finished: Finished) -> str:
    (result,) = finished.runs
    assert result.steps[0].outcome is Outcome.FAILED
    return result.steps[0].reason


@pytest.mark.parametrize(("project", "who"), [(WITHOUT_MODEL, "the reference has"), (WITH_MODEL, "the model needs")])
def test_a_batch_that_lacks_a_column_is_named(
    project: str, who: str, spec: Spec, run: Run, rows: Rows, tmp_path: Path
) -> None:
    spec(project)
    rows("last_year.parquet")
    pl.read_parquet(rows("this_week.parquet")).rename({"score": "Score"}).write_parquet(tmp_path / "this_week.parquet")
    assert reason(run()) == f"dataset 'this_week' has no column 'score', which {who}; did you mean 'Score'?"


def test_a_column_whose_type_has_changed_is_told_in_peoples_words(
    spec: Spec, run: Run, rows: Rows, tmp_path: Path
) -> None:
    spec(WITHOUT_MODEL)
    rows("last_year.parquet")
    batch = pl.read_parquet(rows("this_week.parquet")).with_columns(score=pl.lit("high"))
    batch.write_parquet(tmp_path / "this_week.parquet")
    assert reason(run()) == "dataset 'this_week': column 'score' is compared as numerical, but holds text: 'high'"
