"""A project whose state has its rows on a server: the same answers as with a file, from one folder at a time."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.databases.postgres_server import PASSWORD, Database

from ..command_line import call_engine
from ..waiting import wait_for

pytestmark = pytest.mark.slow
SPEC = """
version: 1
project: shop
secrets: {results: {env: RESULTS}}
connections: {results: {kind: postgresql, url: "${secret.results}"}}
STATE
datasets:
  orders: {kind: file, path: orders.csv, checks: {"few rows": {metric: row_count, min: 2}}}
  before: {kind: file, path: before.csv}
evaluation_stores:
  mes: {dataset: orders, reference: {kind: dataset, dataset: before}, checks: {"drift": {metric: data_drift, max: 0.9}}}
scenarios:
  nightly:
    steps:
      - {name: build, kind: build, target: mes}
      - {name: checks, kind: run_checks, target: mes}
  long:
    steps:
      - {name: wait, kind: python, function: "mine:wait"}
"""
ON_SERVER = "state: {connection: results}"


def write_project(folder: Path, state: str) -> Path:
    folder.mkdir()
    (folder / "spec.yaml").write_text(SPEC.replace("STATE", state))
    for name, step in (("orders", 3), ("before", 7)):
        rows = "".join(f"{number % step},{number % 5}\n" for number in range(300))
        (folder / f"{name}.csv").write_text(f"a,b\n{rows}")
    (folder / "mine.py").write_text("import time\n\ndef wait(**_):\n    time.sleep(60)\n")
    return folder


def run_engine(folder: Path, *arguments: str, database: Database, code: int = 0) -> str:
    done = call_engine(folder, *arguments, RESULTS=database.url())
    said = done.stdout + done.stderr
    assert done.returncode == code, said
    assert PASSWORD not in said
    return said


def without_moments(text: str) -> Any:
    """Return a text without times, ids and durations, which differ from run to run."""
    moment, id_ = r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d(:\d\d)?(\.\d+)?(\+00:00|Z)?", r"\d{8}-\d{6}-\d{6}-|[0-9a-f]{8}\b"
    text = re.sub(f"{moment}|{id_}", "_", text)
    return re.sub(r"\d+(\.\d+)? s|0\.0\d+|\s+|-+", " ", text)


def test_the_answers_are_those_of_a_file(database: Database, tmp_path: Path) -> None:
    said = []
    for name, state in (("file", ""), ("server", ON_SERVER)):
        folder = write_project(tmp_path / name, state)
        commands = (
            ("plan", "spec.yaml", "nightly"),
            ("run", "spec.yaml", "nightly"),
            ("run", "spec.yaml", "nightly"),
            ("plan", "spec.yaml", "nightly"),
            ("check", "spec.yaml", "mes"),
            ("show", "spec.yaml", "mes", "--format", "csv"),
            ("run", "spec.yaml", "nightly", "--dry-run"),
        )
        answers = [run_engine(folder, *one, database=database) for one in commands]
        said.append([without_moments(one).replace("compiling numerical code", "") for one in answers[2:]])
        full = json.loads(run_engine(folder, "show", "spec.yaml", "--format", "json", database=database))
        assert full
    assert said[0] == said[1]
    assert not list((tmp_path / "server").glob("**/state.db"))


def test_a_killed_run_is_reported_by_the_next_and_another_folder_is_refused(database: Database, tmp_path: Path) -> None:
    folder = write_project(tmp_path / "one", ON_SERVER)
    environ = {**os.environ, "RESULTS": database.url()}
    command = [sys.executable, "-m", "engine", "run", "spec.yaml", "long"]
    running = subprocess.Popen(command, cwd=folder, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    other = write_project(tmp_path / "other", ON_SERVER)
    wait_for(lambda: list(folder.glob(".engine/shop/runs/*")), "the run")
    time.sleep(0.5)
    assert "RUNNING" in run_engine(other, "show", "spec.yaml", "--runs", database=database)
    running.send_signal(signal.SIGKILL)
    running.communicate()
    assert "belong to the folder" in run_engine(other, "run", "spec.yaml", "nightly", database=database, code=3)
    assert "ABORTED" in run_engine(folder, "show", "spec.yaml", "--runs", database=database)
    assert f"before, from {folder.resolve()}" in run_engine(other, "state", "adopt", "spec.yaml", database=database)
    run_engine(other, "run", "spec.yaml", "nightly", database=database)
    assert "engine state adopt" in run_engine(folder, "run", "spec.yaml", "nightly", database=database, code=3)
