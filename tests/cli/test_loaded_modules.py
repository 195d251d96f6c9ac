"""What short commands must not import: each of these packages takes longer than all that the command does."""

import os
import subprocess
import sys
from collections.abc import Sequence
from email import message_from_bytes
from importlib.util import find_spec
from pathlib import Path

import pytest

PROGRAM = """
import os, sys
from engine.cli.main import main
try:
    main()
finally:
    with open("loaded", "w") as file:
        print(*sys.modules, file=file)
"""
SPEC = """\
version: 1
project: short
datasets:
  orders: {kind: file, path: orders.csv}
  big: {kind: query, sql: "SELECT a FROM orders WHERE a > 1"}
scenarios:
  daily: {steps: [{name: make, kind: build, target: big}]}
run: [daily]
"""
MAILING = f"""\
{SPEC.replace("steps:", "reporters: [{name: told, channel: mails, to: [ada@example.com]}], steps:")}
channels: {{mails: {{kind: file, path: outbox}}}}
"""
STORES = """\
version: 1
project: stores
datasets:
  rows: {kind: file, path: rows.csv}
evaluation_stores:
  watched: {dataset: rows, reference: {kind: rolling, last: 3}, checks: {few drift: {metric: data_drift, max: 1}}}
"""
KEPT = """\
version: 1
project: kept
connections: {here: {kind: file, root: .}}
datasets:
  rows: {kind: python, function: "made:rows", materialize: {connection: here, path: rows.parquet}}
scenarios:
  daily: {steps: [{name: make, kind: build, target: rows}]}
run: [daily]
"""
ANALYSIS = {"numba", "sklearn", "scipy", "skops"}
DATA = {"polars", "numpy", "sqlalchemy", "alembic", *ANALYSIS}
OTHERS = {
    "sqlglot",
    "apprise",
    "vl_convert",
    "starlette",
    "uvicorn",
    "httpx2",
    "cryptography",
    "prometheus_client",
    "moto",
}
LANGUAGE = {"pydantic", "yaml", "typer", "rich", "jinja2"}


def list_loaded(folder: Path, arguments: Sequence[str]) -> set[str]:
    """Run a command to its end and return the modules that it has loaded."""
    done = subprocess.run(
        [sys.executable, "-P", "-c", PROGRAM, *arguments],
        cwd=folder,
        env=os.environ | {"XDG_CACHE_HOME": str(folder / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set((folder / "loaded").read_text().split())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "spec.yaml").write_text(SPEC)
    (tmp_path / "orders.csv").write_text("a,b\n1,2\n3,4\n")
    return tmp_path


def test_help_loads_no_language_and_no_data_library(folder: Path) -> None:
    assert list_loaded(folder, ["--help"]) & {*DATA, *OTHERS, "pydantic", "yaml", "rich", "jinja2"} == set()


def test_a_verb_does_not_load_the_other_verbs(folder: Path) -> None:
    loaded = list_loaded(folder, ["validate", "--help"])
    assert {
        one for one in ("plan", "run", "serve", "show", "deploy", "drill") if f"engine.cli.verbs.{one}" in loaded
    } == set()
    assert loaded & {*DATA, *OTHERS, "yaml"} == set()


def test_validate_loads_the_language_alone_and_asked_again_not_even_that(folder: Path) -> None:
    list_loaded(folder, ["validate", "spec.yaml"])  # which parses the query once
    first = list_loaded(folder, ["validate", "./spec.yaml", "--as-of", "2026-01-02"])
    assert first & {*DATA, *OTHERS, "typer", "rich", "jinja2", "importlib.metadata"} == set()
    assert first & {"difflib", "html", "logging", "socket", "tempfile", "zipfile"} == set()
    assert "pydantic" in first
    assert list_loaded(folder, ["validate", "spec.yaml", "--format", "json"]) & {*DATA, *OTHERS, *LANGUAGE} == set()


def test_an_import_loads_no_data_library(folder: Path) -> None:
    source = Path(__file__).parents[1] / "dss" / "projects" / "cards"
    loaded = list_loaded(folder, ["import", "dss", str(source), "--output", "imported"])
    assert loaded & {*DATA, "jinja2", "httpx2", "starlette", "cryptography"} == set()


def test_an_unchanged_run_loads_what_reads_data_and_states_and_nothing_that_computes(folder: Path) -> None:
    list_loaded(folder, ["run", "spec.yaml"])
    again = list_loaded(folder, ["run", "spec.yaml"])
    assert again & {"numpy", *ANALYSIS, *OTHERS, "alembic", "typer", "jinja2", "rich", "http.client"} == set()
    unused = (
        "engine.bundles",
        "engine.cli.verdicts",
        "engine.connections.duckdb",
        "engine.connections.object_store",
        "engine.connections.postgresql",
        "engine.connections.spark_settings",
        "engine.data.databases.reading",
        "engine.data.metrics",
        "engine.data.segments",
        "engine.data.spark.reading",
        "engine.drift.reading.alignment",
        "engine.evaluation.custom_metrics",
        "engine.evaluation.evaluation_identity",
        "engine.notifications.mail",
        "engine.notifications.message_document",
        "engine.pipeline.evaluations.batch_measurement",
        "engine.pipeline.references.profiles",
        "engine.pipeline.reports",
        "engine.scenarios.plan",
        "engine.scenarios.process",
        "engine.scenarios.update_process",
        "engine.spec.opened_connections",
        "engine.spec.opened_paths",
        "engine.spec.revisions.confinement",
        "engine.spec.sql.statements",
        "engine.spec.urls.smtp_url",
        "engine.spec.yaml.yaml_errors",
        "engine.store.databases.postgresql",
        "engine.store.fires",
        "engine.store.records.triggers",
        "engine.store.state.suppositions",
        "engine.store.state.temporary_copy",
        "engine.views.charts",
        "engine.views.report",
    )
    assert [one for one in unused if one in again or find_spec(one) is None] == []


def test_an_unchanged_run_on_kept_rows_loads_nothing_that_reads_texts_or_guesses_types(folder: Path) -> None:
    (folder / "spec.yaml").write_text(KEPT)
    (folder / "made.py").write_text(
        "import polars\n\ndef rows():\n    return polars.DataFrame({'day': ['2026-01-02']})\n"
    )
    reading = {f"engine.data.files.{name}" for name in ("csv_faults", "file_datasets", "read_faults", "text_columns")}
    reading |= {f"engine.drift.reading.{name}" for name in ("csv_files", "sources", "text_readings")}
    assert list_loaded(folder, ["run", "spec.yaml"]) >= {
        "engine.data.files.text_columns",
        "engine.drift.reading.csv_files",
    }
    assert list_loaded(folder, ["run", "spec.yaml"]) & reading == set()


def test_an_unchanged_run_that_sends_a_mail_loads_no_templates(folder: Path) -> None:
    (folder / "spec.yaml").write_text(MAILING)
    list_loaded(folder, ["run", "spec.yaml"])
    assert (
        list_loaded(folder, ["run", "spec.yaml"]) & {"jinja2", "engine.views.evaluation_view", "engine.views.facts"}
        == set()
    )
    mails = [message_from_bytes(one.read_bytes()) for one in (folder / "outbox").iterdir()]
    assert ["text/html" in [part.get_content_type() for part in mail.walk()] for mail in mails] == [True, True]


def test_an_unchanged_evaluation_loads_nothing_that_measures_or_trains(folder: Path) -> None:
    (folder / "stores.yaml").write_text(STORES)
    (folder / "rows.csv").write_text("a,b\n" + "".join(f"{i},{i % 7}\n" for i in range(100)))
    first = list_loaded(folder, ["run", "stores.yaml"])
    measuring = {"numpy", "engine.evaluation.observation", "engine.evaluation.batch_evaluation"}
    assert first >= measuring
    assert list_loaded(folder, ["run", "stores.yaml"]) & {*measuring, *ANALYSIS} == set()


def test_what_looks_at_the_state_alone_loads_no_data_library(folder: Path) -> None:
    list_loaded(folder, ["run", "spec.yaml"])
    for verb in (
        ["status", "spec.yaml"],
        ["prune", "spec.yaml"],
        ["pause", "spec.yaml", "daily"],
        ["resume", "spec.yaml", "daily"],
        ["outbox", "drop", "spec.yaml"],
        ["show", "spec.yaml"],
        ["show", "spec.yaml", "--runs"],
        ["mute", "spec.yaml", "--list"],
    ):
        assert list_loaded(folder, verb) & {"polars", "numpy", "alembic", "jinja2", *ANALYSIS, *OTHERS} == set(), verb
