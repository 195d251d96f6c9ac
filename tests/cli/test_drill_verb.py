"""`engine drill`: what it prints and how it ends, on the smallest example and on a project with a mail reporter."""

import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from engine.cli import main

SPECS = Path(__file__).parents[2] / "specs"
REPORTER = """
channels:
  ops: {kind: mail, url: "${secret.smtp}", from: engine@example.com, fallback: {kind: file, path: outbox}}
secrets: {smtp: {env: DRILL_SMTP_URL, optional: true}}
scenarios:
  weekly:
    steps:
      - {kind: build, target: drift, name: build}
      - {kind: run_checks, target: drift, name: check}
    reporters:
      - name: alarm
        run_condition: checks['input drift'].outcome in ['WARNING', 'ERROR']
        channel: ops
        to: [ops@example.com]
        subject: "orders look different: ${outcome}"
"""


class Said(NamedTuple):
    code: int
    out: str
    err: str


Drill = Callable[..., Said]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copy(SPECS / "hello_drift.yaml", tmp_path)
    shutil.copytree(SPECS / "hello_drift", tmp_path / "hello_drift")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def drill(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Drill:
    def drill(*arguments: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["engine", "drill", "hello_drift.yaml", "drift", *arguments])
        code = main._main()
        return Said(code, *capsys.readouterr())

    return drill


def test_the_page_says_what_was_done_what_fires_and_that_nothing_is_sent(drill: Drill) -> None:
    said = drill("--shift", "amount=+0.5sd")
    assert said.code == 0
    assert "a drill of drift: nothing is stored, nothing is sent" in said.out
    assert re.search(r"amount: shifted by \+0.5 standard deviations .* in 1,500 of 1,500 rows", said.out)
    assert re.search(r"drift\.amount .* OK +0 +ERROR +0\.\d+ +yes", said.out)
    assert re.search(r"drift\.delivery_days .* WARNING +0\.2081 +WARNING +0\.2081 +as before", said.out)
    assert "2 checks fire; but no message would be sent" in said.out
    assert "drill of default" in said.err


def test_a_drill_without_an_alarm_exits_1_and_says_so_last(drill: Drill) -> None:
    said = drill("--shift", "ordered_at=+3d")
    assert said.code == 1
    assert said.out.splitlines()[-1].strip() == "no check would have alerted you"
    assert "silent: input drift" in said.out
    assert "as without the disturbance: column drift" in said.out


def test_the_mail_that_would_go_out_is_printed_and_not_sent(drill: Drill, folder: Path) -> None:
    with (folder / "hello_drift.yaml").open("a") as spec:
        spec.write(REPORTER)
    said = drill("--scale", "amount=100")
    assert said.code == 0
    assert 'Reporter "alarm" would send through channel "ops"' in said.out
    assert "Subject: orders look different: FAILED" in said.out
    assert said.out.splitlines()[-1].strip() == "2 checks fire; 1 message would be sent"
    assert not (folder / "outbox").exists()


def test_json_holds_both_results_of_every_check_and_the_messages(drill: Drill, folder: Path) -> None:
    with (folder / "hello_drift.yaml").open("a") as spec:
        spec.write(REPORTER)
    said = drill("--scale", "amount=100", "--rows", "500", "--format", "json")
    told = json.loads(said.out)
    assert (told["exit_code"], told["heard"], told["datasets"], told["scenarios"]) == (
        0,
        True,
        ["this_week"],
        ["weekly"],
    )
    assert [one["option"] for one in told["disturbances"]] == ["--scale amount=100", "--rows 500"]
    amount = next(check for check in told["checks"] if check["metric"] == "drift.amount")
    assert (amount["fires"], amount["before"]["outcome"], amount["after"]["outcome"]) == (True, "OK", "ERROR")
    [message] = told["messages"]
    assert message["sent"]
    assert "orders look different" in message["text"]
    assert told["runs"] == [{"scenario": "weekly", "before": "WARNING", "after": "FAILED"}]


def test_disturbances_of_several_kinds_are_made_in_the_order_of_the_command_line(drill: Drill) -> None:
    one = drill("--shift", "amount=+1", "--scale", "amount=10", "--shift", "amount=-2", "--format", "json")
    assert [made["option"] for made in json.loads(one.out)["disturbances"]] == [
        "--shift amount=+1",
        "--scale amount=10",
        "--shift amount=-2",
    ]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--shift", "amout=+1sd"], "dataset 'this_week' has no column 'amout'; did you mean 'amount'?"),
        (["--shift", "country=+1"], "only numbers and times can be shifted"),
        (["--missing", "amount=120%"], "a share is more than 0% and at most 100%"),
        (["--rows", "1500"], "dataset 'this_week' has 1,500 rows; give a smaller number"),
        (["--rows", "0"], "--rows"),
        ([], "a drill needs a disturbance"),
        (["--shift", "amount=+1", "--scenario", "weekly"], "there is no scenario 'weekly'; there is only 'default'"),
    ],
)
def test_a_mistake_ends_with_2_and_says_what_is_allowed(drill: Drill, arguments: list[str], why: str) -> None:
    said = drill(*arguments)
    assert said.code == 2
    assert why in said.err
    assert said.out == ""


def test_an_unknown_store_is_a_mistake(drill: Drill, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["engine", "drill", "hello_drift.yaml", "drft", "--drop", "amount"])
    assert main._main() == 2


def test_a_batch_that_cannot_be_read_ends_with_3(drill: Drill, folder: Path) -> None:
    (folder / "hello_drift" / "2026-W07.parquet").write_bytes(b"PAR1 nonsense")
    said = drill("--drop", "amount")
    assert said.code == 3
    assert "2026-W07.parquet" in said.err


@pytest.mark.slow
def test_as_a_process_beside_a_state_nothing_changes(folder: Path) -> None:
    def call(verb: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        engine = Path(sys.executable).with_name("engine")
        return subprocess.run(
            [engine, verb, "hello_drift.yaml", *arguments], capture_output=True, text=True, check=False
        )

    def hash_state() -> dict[Path, str]:
        files = (path for path in (folder / ".engine").rglob("*") if path.is_file())
        return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

    with (folder / "hello_drift.yaml").open("a") as spec:
        spec.write(REPORTER)
    assert call("run").returncode == 0
    before = hash_state()
    drilled = call("drill", "drift", "--missing", "amount=10%", "--category", "country=Atlantis:20%")
    assert drilled.returncode == 0, drilled.stderr
    assert "country: set to Atlantis in 300 of 1,500 rows" in drilled.stdout
    assert hash_state() == before
