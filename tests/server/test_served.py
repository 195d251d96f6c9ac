"""`engine serve` as a process, asked over HTTP: a run is asked for, made once, and told."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import httpx2
import pytest

from ..mailboxes import read_sent
from ..waiting import wait_for

T = TypeVar("T")

pytestmark = pytest.mark.slow

TOKEN = "a-token-that-nobody-guesses-0123456789"
SPEC = """\
version: 1
project: shop
variables:
  day: 2026-11-01
  place: {type: text, value: inbox}
datasets:
  sales: {kind: file, path: "data/${place}.csv"}
channels:
  box: {kind: file, path: told}
scenarios:
  nightly:
    triggers:
      - {name: at night, kind: cron, cron: "30 2 * * *"}
    steps:
      - {name: look, kind: python, function: "mine:look", arguments: {day: "${day}"}}
      - {name: copy, kind: export, dataset: sales, path: "out/${place}.csv"}
    reporters:
      - {name: end, channel: box, message: "${outcome} of ${day}"}
  slow:
    steps:
      - {name: sleep, kind: python, function: "mine:sleep"}
"""
MODULE = """\
import os, pathlib, time

def look(day):
    here = pathlib.Path(__file__).parent
    (here / "seen").write_text(f"{day} {sorted(name for name in os.environ if 'TOKEN' in name)}")

def sleep():
    time.sleep(60)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "spec.yaml").write_text(SPEC)
    (tmp_path / "mine.py").write_text(MODULE)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "inbox.csv").write_text("a\n1\n")
    return tmp_path


@pytest.fixture
def client(project: Path) -> Iterator[httpx2.Client]:
    """Start `engine serve`, and give a client that has the token."""
    command = [sys.executable, "-m", "engine", "serve", "spec.yaml", "--listen", "127.0.0.1:0"]
    environ = {**os.environ, "ENGINE_SERVE_TOKEN": TOKEN}
    said = project / "said"
    with said.open("wb") as output:
        process = subprocess.Popen(command, cwd=project, env=environ, stdout=output, stderr=output)
    try:
        url = wait_for(lambda: re.search(r"http://127\.0\.0\.1:\d+", said.read_text()), "its address")
        with httpx2.Client(base_url=url[0], headers={"authorization": f"Bearer {TOKEN}"}, timeout=30) as client:
            wait_for(lambda: client.get("/readyz").status_code == 200, "readiness")
            yield client
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        assert TOKEN not in said.read_text()
        assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC answers at http", said.read_text())
    finally:
        process.kill()
        process.wait()
    assert TOKEN.encode() not in b"".join(path.read_bytes() for path in project.rglob("*") if path.is_file())


def wait_for_fire(client: httpx2.Client, path: str, state: str) -> dict[str, str]:
    def look() -> dict[str, str] | None:
        found: dict[str, str] = client.get(path).json()
        return found if found["state"] == state else None

    return wait_for(look, f"{path} {state}")


def test_a_run_that_is_asked_for_is_made_once_and_reported(client: httpx2.Client, project: Path) -> None:
    asked = {"variables": {"day": "2026-11-05"}}
    key = {"idempotency-key": "once"}
    answers = [client.post("/projects/shop/scenarios/nightly/runs", json=asked, headers=key) for _ in range(3)]
    assert [(one.status_code, one.json()["new"]) for one in answers] == [(202, True), (202, False), (202, False)]
    fire = wait_for_fire(client, answers[0].headers["location"], "DONE")
    shown = client.get(f"/projects/shop/runs/{fire['run']}").json()
    assert shown["run"]["state"] == "SUCCESS"
    assert shown["run"]["variables"]["day"] == "2026-11-05"
    assert shown["run"]["fire"] == fire["number"]
    entries = [json.loads(line) for line in shown["log"]["text"].splitlines()]
    assert any("ended SUCCESS" in entry["text"] for entry in entries)
    assert (project / "out" / "inbox.csv").read_text() == "a\n1\n"
    assert (project / "seen").read_text() == "2026-11-05 []"
    metrics = client.get("/metrics").text
    assert 'engine_runs_total{outcome="success",project="shop",scenario="nightly"} 1.0' in metrics
    assert 'engine_leader{project="shop"} 1.0' in metrics
    wait_for(lambda: "SUCCESS of 2026-11-05" in read_sent(project / "told"), "its message")


def test_a_request_cannot_reach_files_outside_the_folder(client: httpx2.Client, project: Path) -> None:
    (project.parent / "secret.csv").write_text("a\n2\n")
    path = "/projects/shop/scenarios/nightly/runs"
    assert client.post(path, json={"variables": {"place": "../../secret"}}).status_code == 422
    assert client.get("/projects/shop/fires").json() == {"fires": []}


def test_a_run_is_aborted_and_a_scenario_paused(client: httpx2.Client) -> None:
    made = client.post("/projects/shop/scenarios/slow/runs")
    fire = wait_for_fire(client, made.headers["location"], "RUNNING")
    run = f"/projects/shop/runs/{fire['run']}"
    wait_for(lambda: client.get(run).status_code == 200, "the run")
    (shown,) = client.get("/healthz").json()["projects"]
    assert [one["id"] for one in shown["running"]] == [fire["run"]]
    assert client.post(f"{run}/abort", json={"by": "ann"}).status_code == 202
    wait_for(lambda: client.get(run).json()["run"]["state"] == "ABORTED", "the end of the run")

    assert client.get("/projects/shop/triggers").json()["triggers"][0]["next"]
    client.post("/projects/shop/scenarios/nightly/pause", json={"reason": "repair", "until": "1h"})
    (trigger,) = client.get("/projects/shop/triggers").json()["triggers"]
    assert trigger["paused"]["reason"] == "repair"


def test_a_reload_of_an_invalid_spec_keeps_the_valid_one(client: httpx2.Client, project: Path) -> None:
    (project / "spec.yaml").write_text(SPEC.replace("kind: cron", "kind: corn"))
    assert client.post("/reload").status_code == 422
    assert client.get("/readyz").status_code == 503
    assert 'engine_spec_valid{project="shop"} 0.0' in client.get("/metrics").text
    (project / "spec.yaml").write_text(SPEC)
    assert client.post("/reload").status_code == 200
    assert client.get("/readyz").status_code == 200
