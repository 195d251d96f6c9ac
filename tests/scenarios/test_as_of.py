"""One spec for every night: `--as-of`, the dates of the moment in SQL, names, paths and messages, runs of runs."""

import email
import email.policy
import json
import shutil
import sqlite3
from datetime import date, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import engine

from ..command_line import call_engine

FIRST = date(2026, 11, 20)
SPEC = """
version: 1
project: nightly
timezone: Europe/Berlin
variables: {window: "${as_of - 1d}"}
datasets:
  orders: {path: orders.parquet}
  delivered: {path: "incoming/*.csv", pick: newest}
  day: {kind: query, sql: "SELECT amount FROM orders WHERE day = ${yesterday} AND day >= ${window}"}
  before: {kind: query, sql: "SELECT amount FROM orders WHERE day < ${yesterday}"}
evaluation_stores:
  watched:
    dataset: day
    reference: {kind: dataset, dataset: before}
    evaluation: {name: "${yesterday}"}
    checks: {rows: {metric: row_count, min: 1}}
  files:
    dataset: delivered
    reference: {kind: dataset, dataset: before}
    evaluation: {name: "files of ${as_of}"}
channels: {files: {kind: file, path: outbox}}
run: nightly
scenarios:
  nightly:
    steps:
      - {name: child, kind: run_scenario, scenario: build}
      - {name: late, kind: build, target: files, timeout: 60s, run_condition: "as_of > '2026-11-22'"}
    reporters:
      - {name: tell, channel: files, subject: "night of ${as_of}", message: "${as_of_time}, since ${week_start - 7d}"}
  build: {steps: [{name: build, kind: build, target: watched}]}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "s.yaml").write_text(SPEC, encoding="utf-8")
    (tmp_path / "incoming").mkdir()
    days = [FIRST + timedelta(days=i) for i in range(6)]
    parts = [
        pl.DataFrame({"amount": [float(10 * i + k % 37) for k in range(200)], "day": [day] * 200})
        for i, day in enumerate(days)
    ]
    for day, part in zip(days, parts, strict=True):
        part.select("amount").write_csv(tmp_path / "incoming" / f"{day}.csv")
    pl.concat(parts).write_parquet(tmp_path / "orders.parquet")
    return tmp_path


def call(folder: Path, *arguments: str, code: int = 0) -> str:
    done = call_engine(folder, *arguments)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout if code == 0 else done.stderr


def read_texts(folder: Path) -> list[str]:
    """Return subject and text of the messages in the outbox."""
    mails = [
        email.message_from_bytes(one.read_bytes(), policy=email.policy.default) for one in (folder / "outbox").iterdir()
    ]
    bodies = [mail.get_body(("plain",)) for mail in mails if isinstance(mail, EmailMessage)]
    return [f"{mail['Subject']}: {body.get_content()}" for mail, body in zip(mails, bodies, strict=True) if body]


def run_night(folder: Path, as_of: str) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(call(folder, "run", "s.yaml", "--as-of", as_of, "--format", "json"))
    return answer


def list_names(folder: Path, store: str) -> list[str]:
    return engine.load(folder / "s.yaml").store(store).evaluations()["name"].to_list()


@pytest.mark.slow
def test_a_spec_serves_every_night_and_a_repeated_night_adds_nothing(folder: Path) -> None:
    nights = [run_night(folder, f"2026-11-2{day}") for day in (2, 3, 4)]
    assert list_names(folder, "watched") == ["2026-11-21", "2026-11-22", "2026-11-23"]
    before = engine.load(folder / "s.yaml").store("watched").evaluations()
    again = run_night(folder, "2026-11-23")
    assert engine.load(folder / "s.yaml").store("watched").evaluations().equals(before)
    child = again["runs"][0]["steps"][0]["run"]
    assert child["steps"][0]["reused"]
    assert [one["runs"][0]["as_of"][:19] for one in nights] == [f"2026-11-2{day}T00:00:00" for day in (2, 3, 4)]


def test_child_runs_steps_in_a_process_and_messages_have_the_moment_of_their_run(folder: Path) -> None:
    night = run_night(folder, "2026-11-23T02:30")["runs"][0]
    assert night["steps"][0]["run"]["as_of"] == night["as_of"] == "2026-11-23T02:30:00+01:00"
    assert list_names(folder, "files") == ["files of 2026-11-23"]
    log = (folder / ".engine" / "nightly" / night["log"]).read_text("utf-8")
    assert "2026-11-23.csv: the newest of 6 files, by the dates in their names" in log
    assert "2 of them left out: later than 2026-11-23" in log
    assert [one.strip() for one in read_texts(folder)] == [
        "night of 2026-11-23: 2026-11-23T02:30:00, since 2026-11-16"  # a Monday
    ]


@pytest.mark.slow
def test_conditions_know_the_moment(folder: Path) -> None:
    assert run_night(folder, "2026-11-22")["runs"][0]["steps"][1]["outcome"] == "SKIPPED"
    assert run_night(folder, "2026-11-23")["runs"][0]["steps"][1]["outcome"] == "SUCCESS"


@pytest.mark.slow
def test_the_plan_is_that_of_the_same_moment(folder: Path) -> None:
    run_night(folder, "2026-11-23")
    assert "nothing to compute" in call(folder, "plan", "s.yaml", "--as-of", "2026-11-23")
    assert "evaluate watched 2026-11-23" in call(folder, "plan", "s.yaml", "--as-of", "2026-11-24")


@pytest.mark.slow
def test_a_run_that_died_tells_with_the_moment_that_it_stood_for(folder: Path) -> None:
    run_night(folder, "2026-11-22")
    database = sqlite3.connect(folder / ".engine" / "nightly" / "state.db")
    with database:  # as if its process had been killed before its end was recorded
        database.execute("UPDATE runs SET outcome = NULL, ended = NULL WHERE scenario = 'nightly'")
        database.execute("DELETE FROM run_ends WHERE scenario = 'nightly'")
        database.execute("DELETE FROM run_events")
        database.execute("DELETE FROM outbox")
    database.close()
    shutil.rmtree(folder / "outbox")
    run_night(folder, "2026-11-24")
    (told,) = [text for text in read_texts(folder) if "never ended" in text]
    assert told.startswith("night of 2026-11-22: ")


def test_a_text_that_is_not_a_moment_is_refused_before_anything_runs(folder: Path) -> None:
    said = call(folder, "run", "s.yaml", "--as-of", "last night", code=2)
    assert "--as-of: expected a date such as 2026-11-28 or a time such as 2026-11-28T02:30, found 'last night'" in said
    assert not (folder / ".engine").exists()
