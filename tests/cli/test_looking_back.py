"""`show`, `compare`, `check` and `remove` on a project of three weeks: what they print, and how they exit."""

import csv
import io
import json
import os
import pty
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
import pytest

import engine
from engine.cli import main
from engine.cli.printers import evaluation_printers
from engine.evaluation.record import Evaluation, Fingerprints, MetricValue
from engine.formatting.numbers import format_cell

SPEC = """
    version: 1
    project: weeks
    variables: {week: w1, most: 0.5}
    datasets:
      before: {path: w0.csv}
      now: {path: "${week}.csv"}
    evaluation_stores:
      drift:
        dataset: now
        evaluation: {name: "${week}", labels: {parity: "${week}"}}
        reference: {kind: dataset, dataset: before}
        checks:
          all is well: {metric: drift.*, soft_max: 0.1, max: "${most}"}
          enough rows: {metric: row_count, min: 50}
    scenarios:
      all weeks:
        for_each: [{week: w1}, {week: w2}, {week: w3}]
        steps:
          - {name: build, kind: build, target: drift}
          - {name: check, kind: run_checks, target: drift}
"""
HOSTILE = "red\x1b[2J\x07roses"


class Said(NamedTuple):
    code: int
    out: str
    err: str


Engine = Callable[..., Said]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weeks")
    (folder / "weeks.yaml").write_text(textwrap.dedent(SPEC))
    for week in range(4):
        random = np.random.default_rng(week + 10)
        pl.DataFrame(
            {
                "age": random.normal(40 + 5 * (week == 3), 10, 400),
                "a column of a rather long name": random.normal(0, 1, 400),
                "flower": random.choice([HOSTILE, "violets"], 400, p=[0.5, 0.5] if week < 3 else [0.8, 0.2]),
            }
        ).write_csv(folder / f"w{week}.csv")
    assert engine.load(folder / "weeks.yaml").run("all weeks").outcome == "WARNING"
    return folder


@pytest.fixture
def said(built: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Engine:
    """The command line, in this process and in the folder of the project, which is only read."""
    monkeypatch.chdir(built)
    return _saying(monkeypatch, capsys)


@pytest.fixture
def said_to_a_copy(
    built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Engine:
    monkeypatch.chdir(shutil.copytree(built, tmp_path / "copy"))
    return _saying(monkeypatch, capsys)


def _saying(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Engine:
    def said(verb: str, *arguments: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["engine", verb, "weeks.yaml", *arguments])
        code = main._main()
        return Said(code, *capsys.readouterr())

    return said


def test_the_overview_shows_each_store_and_the_last_runs(said: Engine) -> None:
    shown = said("show")
    assert shown.code == 0
    assert "drift: dataset now" in shown.out
    assert re.search(r"w3 +w3 +400 .*WARNING", shown.out)
    assert re.search(r"all weeks +WARNING .* manual", shown.out)
    told = json.loads(said("show", "--format", "json").out)
    assert [row["name"] for row in told["evaluation_stores"]["drift"]] == ["w1", "w2", "w3"]
    assert [run["scenario"] for run in told["runs"]] == ["all weeks"]
    assert said("show", "--format", "csv").code == 2


def test_a_store_is_a_table_of_chosen_metrics_labels_and_outcomes(said: Engine) -> None:
    rows = list(csv.DictReader(io.StringIO(said("show", "drift", "--metric", "psi.age", "--format", "csv").out)))
    assert [row["name"] for row in rows] == ["w1", "w2", "w3"]
    assert [row["checks.all is well"] for row in rows] == ["OK", "OK", "WARNING"]
    assert [round(float(row["psi.age"]), 4) for row in rows] == [0.0673, 0.0652, 0.4604]
    assert "data_drift" not in rows[0]
    sorted_ = said("show", "drift", "--sort", "-drift.age", "--last", "2", "--format", "json")
    assert [row["name"] for row in json.loads(sorted_.out)] == ["w3", "w2"]
    by_check = said("show", "drift", "--sort", "all is well", "--format", "json")
    assert [row["checks.all is well"] for row in json.loads(by_check.out)] == ["OK", "OK", "WARNING"]
    labelled = said("show", "drift", "--label", "parity=w2", "--format", "json")
    assert [row["name"] for row in json.loads(labelled.out)] == ["w2"]
    assert "2 earlier rows: --last 3 shows all" in said("show", "drift", "--last", "1").out


def test_one_evaluation_in_full(said: Engine, built: Path) -> None:
    shown = said("show", "drift", "w3").out
    columns = re.findall(r"^ +(flower|age|a column) .*(?:numerical|categorical)$", shown, re.MULTILINE)
    assert set(columns[:2]) == {"flower", "age"}
    assert columns[2] == "a column"
    evaluation = engine.load(built / "weeks.yaml").store("drift").evaluation("w3")
    assert f"dataset {evaluation.fingerprints.dataset[:8]}, reference" in shown
    assert re.search(r"WARNING +all is well +drift.flower +0\.\d+ +soft_max 0.1, max 0.5 +0\.\d+ is above", shown)
    assert "violets" in shown
    told = json.loads(said("show", "drift", "w3", "--format", "json").out)
    assert told["metrics"]["row_count"]["value"] == 400
    assert {check["check"] for check in told["checks"]} == {"all is well", "enough rows"}
    rows = list(csv.DictReader(io.StringIO(said("show", "drift", "w3", "--format", "csv").out)))
    assert [row["metric"] for row in rows] == list(evaluation.metrics)


def test_what_the_checks_found_each_time(said: Engine) -> None:
    history = json.loads(said("show", "drift", "--checks", "--format", "json").out)
    assert len(history) == 3 * (3 + 1)
    one = json.loads(said("show", "--checks", "drift", "w2", "--format", "json").out)
    assert {row["evaluation"] for row in one} == {"w2"}
    shown = said("show", "drift", "--checks").out
    assert "drift: results of the checks" in shown
    assert len(re.findall(r"w[12] +OK +all is well +3 metrics ", shown)) == 2  # what is OK takes one line
    assert re.search(r"w3 +WARNING +all is well +drift.age +0\.\d+ ", shown)
    assert "nothing yet" in said("show", "now", "--checks").out


def test_runs_and_one_run_with_its_log(said: Engine) -> None:
    (run,) = json.loads(said("show", "--runs", "--format", "json").out)
    short = run["id"].rpartition("-")[2]
    assert short in said("show", "--runs").out
    shown = said("show", "--run", short).out
    assert re.search(r"build +build +SUCCESS +[\d.]+ +evaluation w1 +week = w1", shown)
    assert "[check] WARNING all is well" in shown
    told = json.loads(said("show", "--run", short, "--format", "json").out)
    assert told["outcome"] == "WARNING"
    assert told["log"][0]["level"] == "info"
    assert said("show", "--run", short, "--format", "csv").out.startswith("at,level,scenario,step,text\n")


@pytest.mark.parametrize(
    ("arguments", "help_"),
    [
        (("show", "drfit"), "did you mean 'drift'?"),
        (("show", "drift", "w33"), "did you mean 'w3'?"),
        (("show", "drift", "--metric", "psy.age"), 'did you mean "psi.age"?'),
        (("show", "drift", "--sort", "nmae"), "--sort: there is no column or metric 'nmae'; did you mean"),
        (("show", "drift", "--label", "prity=w1"), "did you mean 'parity'?"),
        (("show", "drift", "--label", "parity"), "'parity' is not KEY=VALUE"),
        (("show", "--checks"), "--checks needs an evaluation store or a dataset"),
        (("show", "--runs", "--metric", "ks.age"), "apply only to the table of a store"),
        (("show", "--run", "77"), "there is no run '77'"),
        (("compare", "drift", "w1"), "no evaluation before 'w1'"),
        (("compare", "drift", "w3", "--reference", "dataset:befor"), "did you mean 'before'?"),
        (("compare", "drift", "w3", "--reference", "model_test"), "no model that the engine trained"),
        (("check", "drift", "w4"), "there is no evaluation 'w4'"),
        (("remove", "drift", "w4", "--yes"), "there is no evaluation 'w4'"),
        (("remove", "drift", "w1"), "use --yes"),
    ],
)
def test_a_mistake_is_exit_2_with_help(arguments: tuple[str, ...], help_: str, said: Engine) -> None:
    told = said(*arguments)
    assert (told.code, told.out) == (2, "")
    assert help_ in told.err


def test_compare_says_what_moved_from_what_to_what(said: Engine) -> None:
    told = said("compare", "drift").out
    assert "from w2 to w3" in told
    assert re.search(r"2 of 3 columns drifted: (age|flower) ", told)
    still = said("compare", "drift", "w2", "--reference", "dataset:before").out
    assert "0 of 3 columns drifted\n" in still
    rows = csv.DictReader(io.StringIO(said("compare", "drift", "w3", "--reference", "w1", "--format", "csv").out))
    told_of = {row["column"]: float(row["drift"]) for row in rows}
    assert told_of["a column of a rather long name"] == 0 < told_of["age"]
    document = json.loads(said("compare", "drift", "--format", "json").out)
    assert document["compared_with"] == "w2"


def test_check_applies_and_records_with_the_exit_codes_of_run(said_to_a_copy: Engine) -> None:
    said = said_to_a_copy
    again = said("check", "drift")
    assert again.code == 0
    assert re.match(r"drift, evaluation w3 of 2\S+ \S+ UTC: \d (OK|WARNING), \d (OK|WARNING)\n", again.out)
    assert said("check", "drift", "--fail-on", "warning").code == 1
    assert said("check", "drift", "w1", "--fail-on", "warning").code == 0
    strict = said("check", "drift", "--var", "most=0.1", "--format", "github")
    assert strict.code == 1
    assert strict.out.startswith("::error file=weeks.yaml,line=14,")
    assert said("check", "drift", "--var", "most=0.1", "--fail-on", "never").code == 0
    assert len(json.loads(said("check", "drift", "--format", "json").out)) == 4
    history = json.loads(said("show", "drift", "w3", "--checks", "--format", "json").out)
    assert [row["run"] is None for row in history].count(True) == 5 * 4
    assert json.loads(said("show", "drift", "--format", "json").out)[-1]["checks.all is well"] == "WARNING"


def test_remove_removes_and_the_store_says_so(said_to_a_copy: Engine) -> None:
    said = said_to_a_copy
    assert said("remove", "drift", "w1", "w2", "--yes").out.splitlines() == [
        "drift: removed w1, 1 evaluation",
        "drift: removed w2, 1 evaluation",
    ]
    shown = said("show", "drift").out
    assert re.search(r"w1, w2 were removed by \S+@\S+ on \d{4}-\d\d-\d\d", shown)
    assert "w3" in shown


def test_remove_is_aimed_by_label_and_time_and_compare_then_uses_what_is_left(said_to_a_copy: Engine) -> None:
    said = said_to_a_copy
    assert said("remove", "drift", "--before", "2020-01-01", "--yes").out == (
        "drift: nothing was removed, because no evaluation meets the conditions\n"
    )
    both = said("remove", "drift", "--label", "parity=w2", "--before", "2999-01-01", "--yes")
    assert (both.code, both.out) == (0, "drift: removed w2, 1 evaluation\n")
    assert json.loads(said("compare", "drift", "w3", "--format", "json").out)["compared_with"] == "w1"
    assert said("remove", "drift", "--all", "--yes").out.splitlines() == [
        "drift: removed w1, 1 evaluation",
        "drift: removed w3, 1 evaluation",
    ]
    shown = said("show", "drift").out
    assert "nothing yet" in shown
    assert re.search(r"w1, w3 were removed by|w2, w1, w3 were removed by", shown)
    assert not list(Path(".engine/weeks/evaluations").iterdir())
    assert said("run", "all weeks").code == 0  # the folders that are gone are needed by nothing


def test_remove_is_refused_while_a_run_writes(said_to_a_copy: Engine) -> None:
    with (
        engine.load("weeks.yaml").open_session() as context,
        context.lock("evaluation store drift"),
    ):
        refused = said_to_a_copy("remove", "drift", "--all", "--yes")
    assert refused.code == 3
    assert "evaluation store drift is busy: held by" in refused.err
    assert "w3" in said_to_a_copy("show", "drift").out


@pytest.mark.parametrize(
    ("arguments", "help_"),
    [
        ((), "choose them by --label, --before, --origin or --all"),
        (("--all", "--label", "parity=w1"), "leave it out"),
        (("--label", "parity=w9"), "there are 'w1', 'w2', 'w3'"),
        (("--label", "week=w1"), "there is only 'parity'"),
        (("--before", "yesterday"), "not a time such as 2026-11-28"),
        (("w9",), "there is no evaluation 'w9'"),
    ],
)
def test_what_remove_cannot_aim_at_is_told(arguments: tuple[str, ...], help_: str, said: Engine) -> None:
    refused = said("remove", "drift", *arguments, "--yes")
    assert refused.code == 2
    assert help_ in refused.err


def test_checks_are_replayed_with_declared_and_tried_bounds_and_nothing_is_recorded(said: Engine, built: Path) -> None:
    before = said("show", "drift", "--checks", "--format", "json").out
    told = json.loads(
        said(
            *("check", "drift", "--replay", "--format", "json", "--set", "all is well.soft_max=null"),
            *("--set", "all is well.except.drift.age.max=0.2", "--set", "enough rows.min=401"),
        ).out
    )
    rows = {(row["check"], row["tried"]): row for row in told["checks"]}
    counts = ("evaluations", "error", "warning", "empty", "ok", "not_measured", "alarms", "first", "last")
    assert [rows["all is well", False][key] for key in counts] == [3, 0, 1, 0, 2, 0, 1, "w3", "w3"]
    assert [rows["all is well", True][key] for key in counts] == [3, 1, 0, 0, 2, 0, 1, "w3", "w3"]
    assert rows["all is well", True]["metrics"] == "drift.age 1"
    assert [rows["enough rows", True][key] for key in counts] == [3, 3, 0, 0, 0, 0, 3, "w1", "w3"]
    assert said("show", "drift", "--checks", "--format", "json").out == before
    # what is replayed is what was recorded by the runs
    recorded = [row for row in json.loads(before) if row["check"] == "all is well"]
    assert {row["evaluation"] for row in recorded if row["outcome"] == "WARNING"} == {"w3"}
    page = said("check", "drift", "--replay").out
    assert "applied to 3 stored evaluations" in page
    assert re.search(r"all is well +soft_max 0\.1, max 0\.5 +0 +1 +2 +w3 +w3 +drift\.age 1, drift\.flower 1", page)
    frame = engine.load(built / "weeks.yaml").store("drift").replay({"enough rows": {"min": 401}})
    assert frame.filter(frame["tried"])["error"].to_list() == [3]


def test_a_replay_of_changes_takes_the_evaluations_in_their_order(said_to_a_copy: Engine) -> None:
    spec = Path("weeks.yaml")
    change = "{metric: psi.age, compare: previous, soft_max: 0.05}"
    text = spec.read_text().replace("    checks:\n", "    metrics: {unheard: {function: 'own:f'}}\n    checks:\n", 1)
    text = re.sub(
        r"( +)enough rows:", lambda m: f"{m[1]}moved: {change}\n{m[1]}mine: {{metric: unheard, max: 1}}\n{m[0]}", text
    )
    spec.write_text(text)
    rows = {
        row["check"]: row
        for row in json.loads(said_to_a_copy("check", "drift", "--replay", "--format", "json").out)["checks"]
    }
    psi = engine.load("weeks.yaml").store("drift").evaluations(["psi.age"])["psi.age"].to_list()
    expected = [now - was > 0.05 for was, now in pairwise(psi)]
    assert rows["moved"]["warning"] == sum(expected)
    assert rows["moved"]["empty"] == 1
    assert rows["moved"]["reason"] == "no earlier evaluation to compare with"
    assert rows["moved"]["alarms"] == sum(expected)  # the first evaluation raises no alarm
    assert (rows["mine"]["not_measured"], rows["mine"]["alarms"]) == (3, 0)
    assert rows["mine"]["reason"] == "unheard was not measured"


@pytest.mark.parametrize(
    ("arguments", "help_"),
    [
        (("--set", "enough rows.min=1"), "--set applies only to --replay"),
        (("w1", "--replay"), "leave out the name of one"),
        (("--replay", "--fail-on", "error"), "takes no --fail-on"),
        (("--replay", "--set", "enough row.min=1"), "did you mean 'enough rows'?"),
        (("--replay", "--set", "enough rows.minimum=1"), "has no bound 'minimum'; did you mean \"min\"?"),
        (("--replay", "--set", "enough rows.metric=x"), "has no bound 'metric'; there are"),
        (("--replay", "--set", "enough rows.min=many"), '"min" must be a number'),
        (("--replay", "--set", "all is well.soft_max=0.9"), "max 0.5 is below soft_max 0.9"),
        (("--replay", "--set", "enough rows.min"), "has no value"),
        (("--replay", "--set", "enough rows"), "not CHECK.KEY=VALUE"),
        (("--replay", "--set", "enough rows.min=1", "--set", "enough rows.min=2"), "twice"),
        (("--replay", "--set", "all is well.except.psi.age.max=1"), "is not one of the metrics drift.*"),
    ],
)
def test_a_setting_that_cannot_be_tried_is_told_with_what_can(
    arguments: tuple[str, ...], help_: str, said: Engine
) -> None:
    refused = said("check", "drift", *arguments)
    assert refused.code == 2
    assert help_ in refused.err


@pytest.mark.parametrize(
    ("name", "help_"),
    [
        ("page.pdf", "is written as .html (or .htm), a chart of it as .png, not .pdf"),
        ("page", "and this has no ending"),
        (".", "is a folder; name a file in it"),
    ],
)
def test_a_report_is_written_in_the_forms_that_there_are(name: str, help_: str, said: Engine, tmp_path: Path) -> None:
    refused = said("report", "drift", "w3", "-o", str(tmp_path / name))
    assert refused.code == 2
    assert help_ in refused.err
    assert not list(tmp_path.iterdir())
    assert said("report", "drift", "w3", "-o", str(tmp_path / "new" / "w3.HTML")).code == 0
    assert "<html" in (tmp_path / "new" / "w3.HTML").read_text()


@pytest.mark.parametrize(
    "arguments",
    [
        ("show", "drift", "--last", "1", "--last", "2"),
        ("report", "drift", "-o", "a.html", "--output", "b.html"),
        ("compare", "drift", "--reference", "w1", "--reference", "w2"),
        ("check", "drift", "--fail-on", "never", "--fail-on=error"),
        ("run", "--format", "json", "--format", "text"),
    ],
)
def test_an_option_of_one_value_that_is_given_twice_is_refused(arguments: tuple[str, ...], said: Engine) -> None:
    refused = said(*arguments)
    assert refused.code == 2
    assert "it was given twice, but takes one value" in refused.err


def _on_a_terminal(folder: Path, width: int, *arguments: str, answer: str = "") -> str:
    master, slave = pty.openpty()
    with subprocess.Popen(
        [Path(sys.executable).with_name("engine"), *arguments],
        cwd=folder,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=os.environ | {"COLUMNS": str(width), "TERM": "xterm"},
    ) as process:
        os.close(slave)
        os.write(master, answer.encode())
        told = b""
        while chunk := _read(master):
            told += chunk
        process.wait(timeout=60)
    os.close(master)
    return told.decode()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # Linux says so when the other side has closed
        return b""


def test_on_a_terminal_remove_asks_first(built: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(built, tmp_path / "copy")
    told = _on_a_terminal(folder, 80, "remove", "weeks.yaml", "drift", "w1", answer="n\n")
    assert "Remove w1 from drift? [y/N]" in told
    assert "nothing was removed" in told
    assert "removed w1" in _on_a_terminal(folder, 80, "remove", "weeks.yaml", "drift", "w1", answer="y\n")


@pytest.mark.parametrize("width", [50, 80, 120])
def test_on_a_terminal_tables_fit_its_width_and_numbers_stay_whole(built: Path, width: int) -> None:
    told = _on_a_terminal(built, width, "show", "weeks.yaml", "drift", "w3")
    plain = re.sub(r"\x1b\[[0-9;]*m", "", told)
    assert "\x1b" not in plain
    assert "\x07" not in plain
    assert max(map(len, plain.splitlines())) <= width
    assert re.search(r"^ +row_count +400\s", plain, re.MULTILINE)
    for value in re.findall(r"(?<= )0\.\d+", plain):
        assert len(value) >= 3


def test_a_pipe_has_160_columns_and_no_control_characters(built: Path) -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("engine"), "show", "weeks.yaml", "drift", "w3"],
        cwd=built,
        capture_output=True,
        text=True,
        check=True,
    )
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", done.stdout)
    assert 100 < max(map(len, done.stdout.splitlines())) <= 160


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (0, "0"),
        (71160.0, "71,160"),
        (1234.56, "1,235"),
        (0.123456, "0.1235"),
        (1e-16, "1e-16"),
        (-0.5, "-0.5"),
        (1e20, "1e+20"),
        (float("inf"), "inf"),
    ],
)
def test_numbers_are_told_in_four_digits(value: float, told: str) -> None:
    assert format_cell(value) == told


def test_without_labels_the_reason_is_told_once(capsys: pytest.CaptureFixture[str]) -> None:
    unlabelled = MetricValue(None, reason="no labels", counts_as_ok=True)
    one = Evaluation(
        id="1",
        store="s",
        name="n",
        labels={},
        created=datetime(2026, 11, 23, tzinfo=UTC),
        fingerprints=Fingerprints("m", "d", "r", "p"),
        engine_version="0",
        kernel_version="0",
        rows_read=1,
        rows_used=1,
        reference_rows=1,
        metrics={"accuracy": unlabelled, "f1": unlabelled},
    )
    evaluation_printers.print_evaluation(one, [], "text")
    assert "accuracy, f1: no labels" in capsys.readouterr().out
