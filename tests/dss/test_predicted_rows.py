"""The predictions of a model on its test rows, joined where both files prove that their rows belong together."""

import gzip
import io
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from engine.dss.predicted_rows import PredictedRows, join_predictions
from engine.dss.source import ProjectFiles
from engine.store import Store

PROJECT = Path(__file__).parents[2] / "specs" / "dataiku_project"
TEST = '1\tnorth\t0.5\n2\t"two\nlines"\t1.0\n3\tsouth\t\n'
COLUMNS = ["id", "region", "amount"]


def as_files(**texts: str) -> ProjectFiles:
    stored = {"test.gz": gzip.compress(texts["test"].encode()), "predicted.csv": texts["predicted"].encode()}
    sizes = {name: len(content) for name, content in stored.items()}
    return ProjectFiles(sizes, "", {}, lambda name: io.BytesIO(stored[name]), "project")


def test_rows_and_predictions_become_one_file(tmp_path: Path) -> None:
    predicted = "amount\tproba_a\tprediction\n0.50\t0.1\tb\n1\t0.9\ta\n\t0.4\tb\n"
    files = as_files(test=TEST, predicted=predicted)
    found = join_predictions(files, "test.gz", "predicted.csv", COLUMNS)
    assert isinstance(found, PredictedRows)
    found.write(files, tmp_path / "new" / "rows.csv.gz")
    joined = pl.read_csv(tmp_path / "new" / "rows.csv.gz", separator="\t", has_header=False)
    assert joined.rows() == [
        (1, "north", 0.5, 0.1, "b"),
        (2, "two\nlines", 1.0, 0.9, "a"),
        (3, "south", None, 0.4, "b"),
    ]
    with pytest.raises(FileExistsError):
        found.write(files, tmp_path / "new" / "rows.csv.gz")


@pytest.mark.parametrize(
    ("predicted", "why"),
    [
        ("id\tprediction\n2\ta\n1\ta\n3\ta\n", "its rows are others, or in another order"),
        ("id\tprediction\n1\ta\n2\ta\n", "it has another number of rows"),
        ("id\tprediction\n1\ta\n2\ta\n3\ta\n4\ta\n", "it has another number of rows"),
        ("proba_a\tprediction\n1\ta\n0\ta\n1\ta\n", "no column that both have tells the order of its rows"),
        ("id\tproba_a\n1\t1\n2\t1\n3\t1\n", "it has no column prediction, or a column twice"),
        ("id\tprediction\tid\n1\ta\t1\n", "it has no column prediction, or a column twice"),
        ("id\tprediction\n1\ta\n2\n3\ta\n", "has another number of columns"),
        ("id\tprediction\n1\t\ufffe\0\n", ""),
        ("", "it has no column prediction"),
    ],
)
def test_predictions_that_may_be_of_other_rows_are_not_joined(predicted: str, why: str) -> None:
    found = join_predictions(as_files(test=TEST, predicted=predicted), "test.gz", "predicted.csv", COLUMNS)
    assert isinstance(found, str)
    assert why in found


def test_the_reference_of_an_imported_store_has_the_predictions_of_the_export(tmp_path: Path) -> None:
    engine = Path(sys.executable).with_name("engine")
    for arguments in (
        ("import", "dss", str(PROJECT), "-o", "cards", "--with-data"),
        ("run", "cards/spec.yaml", "Data drift monitor"),
    ):
        done = subprocess.run([engine, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    (database,) = tmp_path.glob("cards/.engine/*/state.db")
    with Store.open(database.parent) as state:
        found = state.evaluations.find_newest("the_MES")
    assert found is not None
    assert found.metrics["prediction_drift.psi"].value is not None
