"""The seed's project in the files of DSS, imported with its data and run, finds and tells what card_fraud.yaml does."""

import gzip
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from email import message_from_bytes, policy
from pathlib import Path
from subprocess import CompletedProcess

import polars as pl
import pytest

from engine.evaluation.record import Evaluation
from engine.outcome import Outcome
from engine.spec import load
from engine.store import Store

SPECS = Path(__file__).parents[2] / "specs"
PROJECT = SPECS / "dataiku_project" / "project_config"
PREDICTIONS = ("proba_0", "proba_1", "prediction")
VERSION = "other-files/saved_models/Auth0r1z/versions/1500000000000/split"


def as_managed_file(rows: pl.DataFrame) -> bytes:
    """Return rows as DSS keeps them: tabs, no header, compressed."""
    return gzip.compress(rows.write_csv(separator="\t", include_header=False).encode())


@pytest.fixture(scope="module")
def batch(card_fraud: Path) -> Evaluation:
    with Store.open(card_fraud / ".engine" / "card_fraud") as state:
        newest = state.evaluations.find_newest("the_MES")
    assert newest is not None
    return newest


@pytest.fixture(scope="module")
def export(card_fraud: Path, batch: Evaluation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export of the project with the scored rows of the fourth quarter and the test rows of the model."""
    state = card_fraud / ".engine" / "card_fraud"
    scored = json.loads((PROJECT / "datasets" / "transactions_scored.json").read_text(encoding="utf-8"))
    columns = [one["name"] for one in scored["schema"]["columns"]]
    own = {"__truth": "authorized_flag", "__score_0": "proba_0", "__score_1": "proba_1", "__predicted": "prediction"}
    rows = pl.read_parquet(state / "evaluations" / batch.id / "scored.parquet").rename(own).select(columns)
    (tested,) = state.glob("models/authorization/*/test.parquet")
    test = pl.read_parquet(tested)
    types = {one["name"]: one["type"] for one in scored["schema"]["columns"]}
    split = {"format": "csv1", "schema": {"columns": [{"name": name, "type": types[name]} for name in test.columns]}}
    path = tmp_path_factory.mktemp("export") / "DKU_TUT_MLOPS.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(PROJECT.rglob("*")):
            if file.is_file():
                archive.write(file, f"project_config/{file.relative_to(PROJECT).as_posix()}")
        archive.writestr("export-manifest.json", json.dumps({"originalProjectKey": "DKU_TUT_MLOPS"}))
        for name, kept in {"transactions_scored": rows, "transactions_eval": rows.drop(PREDICTIONS)}.items():
            archive.writestr(f"other-files/fs_datasets_data/{name}/out-s0.csv.gz", as_managed_file(kept))
        archive.writestr(f"{VERSION}/test.csv.gz", as_managed_file(test))
        archive.writestr(f"{VERSION}/split.json", json.dumps(split))
    return path


def test_the_rows_of_the_export_are_those_that_the_script_writes(specs: Path) -> None:
    written = sorted((specs / "dataiku_project" / "other-files").rglob("*.*"))
    before = {path: path.read_bytes() for path in written if path.is_file()}
    for path in before:
        path.write_bytes(b"")
    subprocess.run([sys.executable, "dataiku_project_data.py"], cwd=specs, check=True)
    for path, content in before.items():
        if path.suffix == ".gz":
            assert gzip.decompress(path.read_bytes()) == gzip.decompress(content), path
        else:
            assert path.read_bytes() == content


def test_the_imported_seed_finds_and_tells_what_card_fraud_does(
    export: Path, batch: Evaluation, engine: Callable[..., CompletedProcess[str]], tmp_path: Path
) -> None:
    imported = engine(tmp_path, "import", "dss", str(export), "-o", "cards", "--with-data")
    assert imported.returncode == 0, imported.stderr
    assert "Mistakes found in the project:" in imported.stdout
    spec = tmp_path / "cards" / "spec.yaml"
    assert engine(tmp_path, "validate", str(spec)).returncode == 0
    done = engine(tmp_path, "run", str(spec), "Data drift monitor")
    assert done.returncode == 0, done.stderr
    (database,) = tmp_path.glob("cards/.engine/*/state.db")
    with Store.open(database.parent) as state:
        (run,) = state.runs.history("Data drift monitor")
        found = state.evaluations.find_newest("the_MES")
    assert run.outcome is Outcome.WARNING
    assert found is not None
    same = {name for name in batch.metrics if name.startswith(("psi.", "js.", "ks.", "wasserstein.", "row_count"))}
    same |= {"roc_auc", "accuracy", "f1", "log_loss"}
    assert len(same) > 20
    for name in same:
        assert found.metrics[name].value == pytest.approx(batch.metrics[name].value, rel=1e-9), name
    # card_fraud.yaml declares that rows of one card belong together, which DSS cannot say: another held-out part
    assert found.metrics["data_drift"].value == pytest.approx(batch.metrics["data_drift"].value, abs=0.03)
    (sent,) = tmp_path.glob("cards/outbox/*.eml")
    mail = message_from_bytes(sent.read_bytes(), policy=policy.default)
    assert mail["Subject"] == 'DSS scenario "Data drift monitor" issued a warning'
    plain = mail.get_body(("plain",))
    assert plain is not None
    assert "data drift < 0.45" in plain.get_content()


def test_the_imported_seed_declares_what_card_fraud_does(
    specs: Path, engine: Callable[..., CompletedProcess[str]]
) -> None:
    assert engine(specs, "import", "dss", "dataiku_project", "-o", "cards").returncode == 0
    spec = specs / "cards" / "spec.yaml"
    # the folder of a connection is in no file of a project
    assert "[placeholder]" in engine(specs, "validate", str(spec)).stdout
    spec.write_text(spec.read_text(encoding="utf-8").replace("root: TODO", "root: data"), encoding="utf-8")
    ours, theirs = (load(path, environ={}).resources for path in (specs / "card_fraud.yaml", spec))
    name = "Data drift monitor"
    assert theirs.scenarios[name].steps == ours.scenarios[name].steps
    differs = {"run_condition"}  # card_fraud.yaml also tells of a run that failed
    (written,) = ours.scenarios[name].reporters
    (read,) = theirs.scenarios[name].reporters
    assert read.model_dump(exclude=differs) == written.model_dump(exclude=differs)
    assert read.run_condition == "stepOutcome_MES_Warn == 'WARNING'"
    check = "data drift < 0.45"
    assert theirs.evaluation_stores["the_MES"].checks[check] == ours.evaluation_stores["the_MES"].checks[check]
    assert theirs.channels["ops_mail"].from_ == ours.channels["ops_mail"].from_
    assert theirs.bundles["first"].include.datasets == ours.bundles["v3"].include.datasets
    assert theirs.models["authorization"].target == ours.models["authorization"].target
