"""The project of the README with its tables in Parquet files, in PostgreSQL and in DuckDB: the numbers are the same."""

import json
import shutil
from pathlib import Path

import duckdb
import polars as pl
import pytest

import engine
from engine.outcome import Outcome

from ..command_line import call_engine
from .card_fraud_tables import TYPES, load_tables, make_tables, write_project_text
from .postgres_server import Database

CONNECTIONS = {
    "files": "{kind: file, root: data}",
    "postgresql": '{kind: postgresql, url: "${secret.warehouse}"}',
    "duckdb": "{kind: duckdb, path: data.duckdb}",
}


@pytest.fixture(scope="module")
def tables() -> dict[str, pl.DataFrame]:
    return make_tables()


def write_spec(folder: Path, place: str) -> Path:
    """Write the spec with its tables in another place, which is all that differs."""
    text = write_project_text()
    text = text.partition("\nbundles:")[0]
    text = text.replace("local: {kind: file, root: data}", f"local: {CONNECTIONS[place]}")
    if place == "postgresql":
        text = text.replace("secrets:\n", "secrets:\n  warehouse: {env: CARD_FRAUD_WAREHOUSE}\n")
    folder.mkdir()
    (folder / "spec.yaml").write_text(text)
    return folder / "spec.yaml"


def run(spec: Path) -> pl.DataFrame:
    """Run the project; return every metric of every evaluation."""
    project = engine.load(spec)
    outcomes = {one.scenario: one.outcome for one in project.run_all()}
    assert outcomes == {"Build_Project_MES": Outcome.SUCCESS, "Data drift monitor": Outcome.WARNING}
    store = project.store("the_MES")
    names = store.evaluations()["name"].to_list()
    return pl.concat(store.metrics(name).insert_column(0, pl.lit(name).alias("evaluation")) for name in names)


@pytest.mark.slow
def test_the_numbers_are_the_same_from_files_and_from_databases(
    tables: dict[str, pl.DataFrame], database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CARD_FRAUD_WAREHOUSE", database.url())
    specs = {place: write_spec(tmp_path / place, place) for place in CONNECTIONS}
    (tmp_path / "files" / "data").mkdir()
    lake = duckdb.connect(str(tmp_path / "duckdb" / "data.duckdb"))
    for name, frame in tables.items():
        frame.write_parquet(tmp_path / "files" / "data" / f"{name}.parquet")
        shuffled = frame.sample(fraction=1, shuffle=True, seed=7)
        columns = ", ".join(f"{column} {TYPES[type(dtype)]}" for column, dtype in frame.schema.items())
        database.load(name, columns, shuffled.write_csv())
        lake.execute(f"CREATE TABLE {name} AS SELECT * FROM shuffled")
    lake.close()
    found = {place: run(spec) for place, spec in specs.items()}
    keys = [column for column in found["files"].columns if not found["files"][column].dtype.is_float()]
    assert found["files"].height > 100
    for place in ("postgresql", "duckdb"):
        assert found[place].select(keys).equals(found["files"].select(keys)), place
        both = found["files"].join(found[place], on=["evaluation", "metric"], suffix="_there", nulls_equal=True)
        assert both.height == found["files"].height
        value, there = both["value"], both["value_there"]
        counts = both["metric"].str.contains("rows|count|positives|negatives")
        assert counts.sum() >= 3
        assert value.filter(counts).equals(there.filter(counts)), place
        off = ((value - there).abs() / value.abs().clip(lower_bound=1)).max()
        assert off is not None
        assert off <= 1e-12, place


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_deployment_reads_its_tables_from_a_database_and_keeps_what_runs_when_a_bundle_is_refused(
    tables: dict[str, pl.DataFrame], database: Database, tmp_path: Path
) -> None:
    load_tables(tables, database)
    environment: dict[str, str] = {}

    def command(*arguments: str, code: int = 0) -> str:
        done = call_engine(tmp_path, *arguments, timeout=300, **environment)
        assert done.returncode == code, f"{arguments}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    text = write_project_text()
    text = text.replace("    bundle: v3\n    scenarios", "    connections: {local: warehouse}\n    scenarios")
    assert "connections: {local: warehouse}" in text
    spec = tmp_path / "spec.yaml"
    spec.write_text(text)
    (tmp_path / "data").mkdir()
    for name, frame in tables.items():
        frame.write_parquet(tmp_path / "data" / f"{name}.parquet")

    def read_metrics(*where: str) -> dict[str, float | None]:
        shown = json.loads(command("show", "spec.yaml", "the_MES", "Q4 2017", "--format", "json", *where))
        return {name: metric["value"] for name, metric in shown["metrics"].items()}

    command("run", "spec.yaml", "Data drift monitor")
    command("bundle", "create", "spec.yaml", "v3")
    refused = command("deploy", "spec.yaml", "production", "--bundle", "v3", code=3)
    assert "warehouse_url" in refused  # nobody has said where the database is
    environment["CARD_FRAUD_WAREHOUSE_URL"] = database.url()
    command("deploy", "spec.yaml", "production", "--bundle", "v3")
    command("run", "spec.yaml", "Data drift monitor", "--on", "production")
    here, there = read_metrics(), read_metrics("--on", "production")
    assert len(here) > 50
    assert set(there) == set(here)
    for name, value in here.items():  # estimates solve equations, whose last digits depend on the order of the rows
        tolerance = 1e-9 if name.startswith("estimate") else 1e-12
        expected = value if value is None else pytest.approx(value, rel=tolerance, abs=tolerance)
        assert there[name] == expected, name

    database.execute("ALTER TABLE cardholders RENAME COLUMN fico_score TO score")
    spec.write_text(text.replace("release_notes: adds", "release_notes: again, adds"))
    command("bundle", "create", "spec.yaml", "v3", code=3)  # the name is taken
    spec.write_text(spec.read_text().replace("  v3:\n", "  v4:\n"))
    command("bundle", "create", "spec.yaml", "v4")
    refused = command("deploy", "spec.yaml", "production", "--bundle", "v4", code=3)
    assert "fico_score" in refused
    (shown,) = json.loads(command("deployments", "spec.yaml", "--format", "json"))
    assert (shown["bundle_name"], shown["state"]) == ("v3", "HEALTHY")
    assert read_metrics("--on", "production") == there
    written = [path for path in (tmp_path / "automation").rglob("*") if path.is_file()]
    password = database.url().split(":")[2].split("@")[0]
    assert not [path for path in written if password.encode() in path.read_bytes()]


@pytest.mark.slow
def test_a_password_is_in_nothing_that_is_kept_or_said(
    tables: dict[str, pl.DataFrame], database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that fails on the way leaves its state, its log and its messages; none has any spelling of the password."""
    password = "Xy/9 Qq:77z"
    database.execute(f"CREATE ROLE analyst LOGIN PASSWORD '{password}'; GRANT pg_read_all_data TO analyst")
    monkeypatch.setenv("CARD_FRAUD_WAREHOUSE", database.url("analyst", password))
    spec = write_spec(tmp_path / "postgresql", "postgresql")
    for name in ("merchants", "cardholders"):
        frame = tables[name]
        columns = ", ".join(f"{column} {TYPES[type(dtype)]}" for column, dtype in frame.schema.items())
        database.load(name, columns, frame.write_csv())
    runs = engine.load(spec).run_all()
    assert {one.outcome for one in runs} == {Outcome.FAILED}
    shutil.rmtree(spec.parent / "__pycache__", ignore_errors=True)
    written = [path for path in spec.parent.rglob("*") if path.is_file()]
    assert len(written) > 3
    for secret in (password, "Xy%2F9%20Qq%3A77z", "9 Qq"):
        for path in written:
            assert secret.encode() not in path.read_bytes(), path
        assert secret not in repr(runs)
