"""`engine show` on a project of three weeks: what it prints."""

import csv
import io
import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

import engine
from engine.cli.printers import evaluation_printers
from engine.evaluation.record import Evaluation, Fingerprints, MetricValue
from engine.formatting.numbers import format_cell

from ...command_line import call_engine
from .three_weeks import Engine, run_on_a_terminal


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
        (
            ("show", "--last", "3"),
            "--last does not apply to engine show SPEC, only to engine show SPEC STORE, STORE --",
        ),
        (("show", "--runs", "--metric", "ks.age"), "--runs, only to engine show SPEC STORE"),
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


@pytest.mark.parametrize(
    ("name", "help_"),
    [
        ("page.pdf", "is written as .html (or .htm), a chart of it as .png, not .pdf"),
        ("page", "and this has no ending"),
        (".", "is a folder; give a file in it"),
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


@pytest.mark.parametrize("width", [50, 80, 120])
def test_on_a_terminal_tables_fit_its_width_and_numbers_stay_whole(built: Path, width: int) -> None:
    told = run_on_a_terminal(built, width, "show", "weeks.yaml", "drift", "w3")
    plain = re.sub(r"\x1b\[[0-9;]*m", "", told)
    assert "\x1b" not in plain
    assert "\x07" not in plain
    assert max(map(len, plain.splitlines())) <= width
    assert re.search(r"^ +row_count +400\s", plain, re.MULTILINE)
    for value in re.findall(r"(?<= )0\.\d+", plain):
        assert len(value) >= 3


def test_a_pipe_has_160_columns_and_no_control_characters(built: Path) -> None:
    done = call_engine(built, "show", "weeks.yaml", "drift", "w3")
    assert done.returncode == 0, done.stderr
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
def test_numbers_are_reported_in_four_digits(value: float, told: str) -> None:
    assert format_cell(value) == told


def test_the_reason_of_missing_labels_is_reported_once(capsys: pytest.CaptureFixture[str]) -> None:
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
