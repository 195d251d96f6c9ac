"""Muting a check: what counts, what is told, who did it, and that it ends by itself."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from engine.store import Mute, Store

from ..command_line import Done, Engine, call_engine

SPEC = """
version: 1
project: p
run: watch
timezone: Europe/Berlin
channels: {box: {kind: dataset, path: sent.ndjson}}
datasets:
  t:
    path: t.csv
    checks:
      enough rows: {metric: row_count, min: 5}
      no gaps: {metric: missing_share.*, max: 0.1}
  q: {kind: query, sql: "SELECT * FROM t"}
scenarios:
  watch:
    steps: [{name: check, kind: run_checks, target: t}, {name: build, target: q}]
    reporters:
      - name: tell
        channel: box
        subject: "${outcome} ${checks['enough rows'].outcome}"
        message: "${errorsEventsSummary}\\n${checksSummary}"
      - {name: alarm, channel: box, run_condition: "checks['enough rows'].outcome == 'ERROR'"}
"""


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    (tmp_path / "p.yaml").write_text(SPEC)
    (tmp_path / "t.csv").write_text("a,b\n1,2\n2,3\n")

    return partial(call_engine, tmp_path, NO_COLOR="1", LOGNAME="ada")


def mute(engine: Engine, *, until: str = "7d", check: str = "enough rows") -> Done:
    return engine("mute", "p.yaml", "t", check, "--until", until, "--reason", "a repair is on its way")


def test_a_muted_check_is_measured_and_reported_but_counts_nowhere(engine: Engine, tmp_path: Path) -> None:
    assert engine("run", "p.yaml").returncode == 1
    said = mute(engine).stdout
    assert said.startswith("t: check 'enough rows' is muted until ")
    assert "by ada@" in said
    ran = engine("run", "p.yaml")
    assert ran.returncode == 0
    assert (
        "1 check is muted and does not count:\n      ERROR  enough rows: row_count 2 is below min 5 (muted"
        in ran.stdout
    )
    assert "OK  2 metrics of 'no gaps'" in ran.stdout
    # the dataset's check does not stop a build either
    assert "build  SUCCESS" in ran.stdout
    rows = [json.loads(line) for line in (tmp_path / "sent.ndjson").read_text().splitlines()]
    assert [row["reporter"] for row in rows] == ["tell", "alarm", "tell"]
    assert [row["subject"] for row in rows if row["reporter"] == "tell"] == ["FAILED ERROR", "SUCCESS ERROR (muted)"]
    text = rows[-1]["text"]
    assert text.startswith("no errors\nchecks: ")
    assert "Note: 1 check is muted and does not count: 'enough rows' of t is muted until" in text
    assert "by ada@" in text
    assert "a repair is on its way" in text


@pytest.mark.slow
def test_results_and_listings_show_the_mute(engine: Engine) -> None:
    mute(engine)
    document = json.loads(engine("run", "p.yaml", "--format", "json").stdout)
    [result] = [one for one in document["runs"][0]["steps"][0]["checks"] if one["check"] == "enough rows"]
    assert (result["outcome"], result["counts_as"]) == ("ERROR", "OK")
    assert (result["mute"]["reason"], result["mute"]["over"]) == ("a repair is on its way", False)
    checked = engine("check", "p.yaml", "t")
    assert checked.returncode == 0
    assert "1 ERROR (muted)" in checked.stdout
    assert "muted until" in engine("show", "p.yaml", "t", "--checks").stdout
    assert "t: check 'enough rows' is muted until" in engine("show", "p.yaml").stdout
    annotations = engine("check", "p.yaml", "t", "--format", "github")
    assert "::error" not in annotations.stdout


def test_a_mute_ends_by_itself_and_the_first_result_says_so(engine: Engine, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    with Store.open(tmp_path / ".engine" / "p") as store:
        over = Mute("t", "enough rows", now - timedelta(hours=1), "ada@web1", "a repair", now - timedelta(days=7))
        store.mutes.add(over)
    first = engine("run", "p.yaml")
    assert first.returncode == 1
    assert "(counts again: it was muted until" in first.stdout
    assert "by ada@web1: a repair)" in first.stdout
    second = engine("run", "p.yaml")
    assert second.returncode == 1
    assert "counts again" not in second.stdout
    assert "expired" in engine("mute", "p.yaml", "--list").stdout


@pytest.mark.slow
def test_a_mute_is_ended_replaced_and_kept_in_the_history(engine: Engine) -> None:
    mute(engine)
    assert mute(engine, until="2030-07-01").returncode == 0
    assert engine("unmute", "p.yaml", "t", "enough rows").stdout == "t: check 'enough rows' counts again\n"
    again = engine("unmute", "p.yaml", "t", "enough rows")
    assert (again.returncode, again.stderr) == (
        2,
        "engine: error: check 'enough rows' of t is not muted; no check is muted\n",
    )
    assert engine("run", "p.yaml").returncode == 1
    rows = list(csv.DictReader(io.StringIO(engine("mute", "p.yaml", "--list", "--format", "csv").stdout)))
    assert [row["state"].startswith("ended by ada@") for row in rows] == [True, True]
    # the first instant of that day in the project's time zone
    assert rows[1]["until"].startswith("2030-06-30T22:00:00")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["t", "enough row", "--until", "7d", "--reason", "x"], "did you mean 'enough rows'?"),
        (["tt", "enough rows", "--until", "7d", "--reason", "x"], "no evaluation store or dataset 'tt'"),
        (["t", "enough rows", "--until", "2020-01-01", "--reason", "x"], "would be over already"),
        (["t", "enough rows", "--until", "soon", "--reason", "x"], "'soon' is not a date such as 2026-12-01"),
        (["t", "enough rows", "--until", "7d"], "--until and --reason are needed"),
        (["t", "enough rows", "--reason", "x"], "--until and --reason are needed"),
        (["t", "enough rows", "--until", "7d", "--reason", "  "], "--until and --reason are needed"),
        (["t"], "give the store and the check"),
        (["t", "enough rows", "--list"], "--list takes no STORE"),
    ],
)
def test_mistakes_are_reported(engine: Engine, arguments: list[str], words: str) -> None:
    wrong = engine("mute", "p.yaml", *arguments)
    assert wrong.returncode == 2
    assert words in wrong.stderr


def test_a_mute_of_a_check_that_has_left_the_spec_is_reported(engine: Engine, tmp_path: Path) -> None:
    mute(engine)
    path = tmp_path / "p.yaml"
    path.write_text(path.read_text().replace("enough rows", "rows"))
    ran = engine("run", "p.yaml")
    assert ran.returncode == 1
    assert "the mute of the check 'enough rows' of t, until" in ran.stderr
    assert "has no effect: the spec has no such check any more" in ran.stderr
    listed = engine("mute", "p.yaml", "--list", "--format", "csv").stdout
    assert "in force, but the spec has no such check" in listed
    assert engine("unmute", "p.yaml", "t", "enough rows").returncode == 0


def test_all_metrics_of_a_wildcard_are_muted_by_the_name_of_the_check(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b\n" + "1,\n" * 9)
    assert engine("run", "p.yaml").returncode == 1
    mute(engine, check="no gaps")
    ran = engine("run", "p.yaml")
    assert ran.returncode == 0
    assert "1 check is muted and does not count:" in ran.stdout
    assert ran.stdout.count("ERROR  no gaps: missing_share.b") == 2  # in both steps
