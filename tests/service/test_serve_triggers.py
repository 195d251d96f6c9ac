"""`engine serve` as a process: what a run knows of its trigger, and runs by hand beside it."""

import email
import email.policy
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import httpx2
import pytest

from engine.outcome import Outcome

from ..command_line import call_engine
from .served import TOKEN, Served, describe_scenario, read_state, wait_until, write_project

pytestmark = pytest.mark.slow


SPEC = """
timezone: Europe/Berlin
channels: {box: {kind: file, path: outbox}}
variables: {tries: 1}
datasets: {orders: {path: d.csv, settle: 1s}, clients: {path: e.csv, settle: 1s}}
scenarios:
  watched:
    triggers: [{name: new files, kind: dataset_changed, dataset: [orders, clients], every: 1s}]
    steps:
      - {name: Tell, kind: send_message, timeout: 60s, channel: box, subject: "step: ${changed}", message: "${trigger}"}
      - {name: Child, kind: run_scenario, scenario: child}
    reporters:
      - name: Told
        channel: box
        subject: "run: ${changed}"
        message: "from ${previous_as_of_time} (${previous_as_of}) to ${as_of_time}, ${trigger}"
  child:
    steps: [{name: note, kind: python, function: "mine:note"}]
    reporters: [{name: Told, channel: box, subject: "child: ${changed}", message: "${trigger}"}]
  after:
    triggers: [{name: follows, kind: scenario_finished, scenario: child}]
    steps: [{name: note, kind: python, function: "mine:note"}]
  wrong:
    triggers: [{name: too often, kind: interval, every: 1s, variables: {tries: 200}}]
    steps: [{name: note, kind: python, function: "mine:note", retries: {count: "${tries}"}}]
"""


def run_by_hand(folder: Path, scenario: str) -> "subprocess.CompletedProcess[str]":
    return call_engine(folder, "run", "served.yaml", scenario)


def read_letters(folder: Path) -> dict[str, str]:
    """Return the texts of the letters by their subjects; the letters are removed."""
    found = {}
    for path in sorted((folder / "outbox").glob("*.eml")):
        letter = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
        body = letter.get_body(("plain",))
        assert body is not None
        text: str = body.get_content()
        found[str(letter["subject"])] = " ".join(text.split())
        path.unlink()
    return found


def test_messages_tell_what_has_changed_and_a_value_that_fits_nowhere_is_reported(
    serve: Callable[..., Served], tmp_path: Path
) -> None:
    state = write_project(tmp_path, SPEC)
    for name in ("d.csv", "e.csv"):
        (tmp_path / name).write_text("a\n1\n")
    server = serve()

    def count_ends(scenario: str) -> int:
        return sum(run.scenario == scenario and run.outcome is not None for run in read_state(state)[1])

    told = server.wait_for("skipped")
    assert told["scenario"] == "wrong"
    assert told["reason"].startswith("invalid spec: ")
    assert '"count" must be a whole number between 1 and 100, found 200' in told["reason"]

    time.sleep(2)  # both files have been looked at
    (tmp_path / "e.csv").write_text("a\n2\n")
    server.wait_for("run", holds=lambda run: run["scenario"] == "watched")
    wait_until(lambda: len(list((tmp_path / "outbox").glob("*.eml"))) == 3, "not all letters have come", server)
    fire = next(fire for fire in read_state(state)[0] if fire.scenario == "watched")
    letters = read_letters(tmp_path)
    assert letters.keys() == {"step: clients", "run: clients", "child: clients"}
    moment = fire.scheduled.astimezone(ZoneInfo("Europe/Berlin"))
    shown = f"{moment:%Y-%m-%dT%H:%M:%S}"
    assert letters["run: clients"].startswith(f"from {shown} ({moment:%Y-%m-%d}) to {shown}, new files")
    wait_until(lambda: count_ends("after") == 1, "the end of a child run has started nothing", server)

    (tmp_path / "d.csv").write_text("a\n2\n")
    server.wait_for("run", 2, holds=lambda run: run["scenario"] == "watched")
    wait_until(lambda: len(list((tmp_path / "outbox").glob("*.eml"))) == 3, "not all letters have come", server)
    assert read_letters(tmp_path)["run: orders"].startswith(f"from {shown} (")

    wait_until(lambda: count_ends("after") == 2, "the end of a child run has started nothing", server)
    assert run_by_hand(tmp_path, "watched").returncode == 0
    by_hand = read_letters(tmp_path)
    assert by_hand.keys() == {"step:", "run:", "child:"}
    assert ", manual" in by_hand["run:"]
    wait_until(lambda: count_ends("after") == 3, "the end of a run by hand has started nothing", server)
    server.end(signal.SIGTERM)
    assert not [run for run in read_state(state)[1] if run.scenario == "wrong"]


def test_a_run_by_hand_waits_for_that_of_the_server_or_is_refused(serve: Callable[..., Served], tmp_path: Path) -> None:
    def describe(name: str, more: str = "") -> str:
        return describe_scenario(name, "note", every="1s", more=more, arguments="{seconds: 6.0}")

    state = write_project(tmp_path, f"scenarios:\n{describe('waits')}{describe('refuses', 'on_busy: refuse')}")
    server = serve("served.yaml", "--at-once", "2")
    wait_until(lambda: len(read_state(state)[1]) == 2, "the server has begun no runs", server)
    said: list[str] = []

    def is_refused() -> bool:
        by_hand = run_by_hand(tmp_path, "refuses")
        said.append(by_hand.stderr)
        return by_hand.returncode == 3

    wait_until(is_refused, "no run by hand was refused", server)  # one may come between two runs of the server
    assert "wait until it has ended, or end it" in said[-1]
    waited = run_by_hand(tmp_path, "waits")
    assert waited.returncode == 0, waited.stderr
    server.end(signal.SIGKILL)
    runs = [run for run in read_state(state)[1] if run.scenario == "waits"]
    (by_hand,) = [run for run in runs if run.fire is None]
    assert by_hand.outcome is Outcome.SUCCESS
    for before, after in pairwise(runs):
        assert before.ended is not None
        assert before.ended <= after.started


def test_a_watch_beside_a_server_says_that_both_make_runs(serve: Callable[..., Served], tmp_path: Path) -> None:
    write_project(tmp_path, f"scenarios:\n{describe_scenario('s', 'note', every='1h')}")
    serve().wait_for("served")
    said = (tmp_path / "said.txt").open("w+")
    program = [sys.executable, "-m", "engine", "watch", "served.yaml"]
    watch = subprocess.Popen(program, cwd=tmp_path, stderr=said, stdout=subprocess.DEVNULL)
    try:
        wait_until(
            lambda: "engine serve starts s too" in (tmp_path / "said.txt").read_text(), "the watch does not say so"
        )
    finally:
        watch.send_signal(signal.SIGINT)
        watch.wait(30)
        said.close()


def test_the_example_of_every_night_is_served_as_it_is_written(serve: Callable[..., Served], tmp_path: Path) -> None:
    assert call_engine(tmp_path, "init", ".", "--example", "nightly").returncode == 0
    server = serve("project.yaml")
    due = datetime.fromisoformat(server.wait_for("served")["next"])
    assert (due.hour, due.minute) == (4, 30)
    url, headers = server.wait_for("listening")["url"], {"authorization": f"Bearer {TOKEN}"}
    with httpx2.Client(base_url=url, headers=headers) as client:
        assert client.post("/projects/nightly/scenarios/nightly/runs").status_code == 202
    assert server.wait_for("run")["outcome"] == "SUCCESS"
