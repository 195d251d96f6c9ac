"""`engine plan` and `engine run --dry-run` as processes."""

import json
import textwrap
from functools import partial
from pathlib import Path

import pytest

from ..command_line import Engine, call_engine

SPEC = """
    version: 1
    project: plans
    variables: {least: 1}
    datasets:
      people:
        path: people.csv
        columns: {age: {min: 0}}
        checks: {enough: {metric: row_count, min: "${least}"}}
    channels: {box: {kind: file, path: outbox}}
    scenarios:
      all:
        steps: [{name: build, kind: build, target: people}]
        reporters:
          - {name: tell, channel: box, subject: "it is ${outcome}"}
          - {name: warn, channel: box, run_condition: "outcome == 'WARNING'"}
"""


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    (tmp_path / "spec.yaml").write_text(textwrap.dedent(SPEC))
    (tmp_path / "people.csv").write_text("name,age\nann,30\nbob,40\n")

    return partial(call_engine, tmp_path)


def edit(folder: Path, old: str, new: str) -> None:
    text = (folder / "spec.yaml").read_text()
    assert old in text
    (folder / "spec.yaml").write_text(text.replace(old, new))


def test_a_plan_reads_like_this(engine: Engine, tmp_path: Path) -> None:
    first = engine("plan", "spec.yaml")
    assert first.stdout == textwrap.dedent("""\
        all
          build
            + read people: new, it was never read
                reads people (people.csv)
            · check people: enough
          · send tell to box: at the end of the run
          ? send warn to box: depends on outcome == 'WARNING'
        1 to read; 0 reused; 2 messages may be sent
        """)
    assert (first.returncode, first.stderr) == (0, "")
    assert not (tmp_path / ".engine").exists()
    assert engine("run", "spec.yaml").returncode == 0
    edit(tmp_path, "min: 0", "min: 1")
    with (tmp_path / "people.csv").open("a") as people:
        people.write("eve,50\n")
    assert engine("plan", "spec.yaml").stdout.splitlines()[2:6] == [
        "    ~ read people: changed",
        "        dataset people: the content of people.csv has changed",
        "        datasets.people.columns.age.min 0.0 → 1.0  spec.yaml:8:21",
        "        reads people (people.csv)",
    ]


def test_a_line_of_a_plan_that_is_wrapped_keeps_its_blanks(engine: Engine, tmp_path: Path) -> None:
    condition = " || ".join(f"outcome == '{word}'" for word in ("WARNING", "FAILED", "ABORTED") * 4)
    edit(tmp_path, "outcome == 'WARNING'", condition)
    lines = engine("plan", "spec.yaml").stdout.splitlines()
    assert max(map(len, lines)) <= 100
    assert condition in " ".join(line.strip() for line in lines)


def test_a_plan_as_json(engine: Engine, tmp_path: Path) -> None:
    engine("run", "spec.yaml")
    edit(tmp_path, "min: 0", "min: 1")
    plan = json.loads(engine("plan", "spec.yaml", "all", "--format", "json").stdout)
    assert plan["schema_version"] == 1
    read, check = plan["scenarios"][0]["steps"][0]["actions"]
    assert read["because"] == "changed"
    assert read["changes"] == [
        {
            "kind": "spec",
            "what": "datasets.people.columns.age.min",
            "before": 0.0,
            "after": 1.0,
            "position": {"file": "spec.yaml", "line": 8, "column": 21, "length": 3},
            "says": "datasets.people.columns.age.min 0.0 → 1.0",
        }
    ]
    assert check["kind"] == "check"
    done = json.loads(engine("run", "spec.yaml", "--format", "json").stdout)
    assert done["runs"][0]["steps"][0]["actions"] == [read, check]


def test_what_is_wrong_with_a_plan_is_its_exit_code(engine: Engine, tmp_path: Path) -> None:
    edit(tmp_path, "metric: row_count", "metric: mean.agee")
    wrong = engine("plan", "spec.yaml")
    assert wrong.returncode == 2
    assert "spec.yaml:9:23: error: dataset 'people' has no column 'agee' [unknown-column]" in wrong.stdout
    assert 'did you mean "age"?' in wrong.stdout
    (tmp_path / "people.csv").unlink()
    broken = engine("plan", "spec.yaml")
    assert broken.returncode == 3
    assert "x fails: dataset 'people':" in broken.stdout
    assert engine("plan", "spec.yaml", "al").returncode == 2
    assert engine("plan", "spec.yaml", "--var", "most=1").returncode == 2


def test_a_dry_run_shows_what_would_be_sent_and_keeps_nothing(engine: Engine, tmp_path: Path) -> None:
    dry = engine("run", "spec.yaml", "--dry-run", "--var", "least=3")
    assert dry.returncode == 1
    assert "Subject: it is FAILED" in dry.stdout
    assert "2 is below min 3" in dry.stdout
    assert dry.stdout.rstrip().endswith("dry run: nothing was stored, nothing was sent")
    assert "log:" not in dry.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["people.csv", "spec.yaml"]
    found = json.loads(engine("run", "spec.yaml", "--dry-run", "--format", "json").stdout)
    assert found["dry_run"]


@pytest.mark.slow
def test_what_stays_text_and_what_is_left_out_is_reported_by_plan_run_and_report(
    engine: Engine, tmp_path: Path
) -> None:
    for name, step in (("ref", 1), ("cur", 3)):
        (tmp_path / name / "k=a").mkdir(parents=True)
        rows = "".join(f'"{1 + i * step % 9},{100 + i:03}",{i % 7}\n' for i in range(300))
        (tmp_path / name / "k=a" / "part-0.csv").write_text("price,n\n" + rows)
        (tmp_path / name / "_SUCCESS").touch()
    (tmp_path / "spec.yaml").write_text(
        "version: 1\nproject: p\ndatasets: {ref: {path: ref}, cur: {path: cur}}\n"
        "evaluation_stores:\n  s:\n    dataset: cur\n    reference: {kind: dataset, dataset: ref}\n"
        "    checks: {c: {metric: drift.*, max: 0.5}}\n"
    )
    warning = (
        "column 'price' is text, but all of its values read as numbers with ',' between thousands, such as '1,100': "
        "declare csv: {thousands: \",\"} if ',' stands between thousands, csv: {decimal_comma: true} if it is the "
        "decimal mark, type: text if it is neither"
    )
    plan = json.loads(engine("plan", "spec.yaml", "--format", "json").stdout)
    told = [finding for finding in plan["findings"] if finding["code"] == "read-as-text"]
    assert [finding["message"] for finding in told] == [f"dataset 'ref': {warning}", f"dataset 'cur': {warning}"]
    assert "1 file is left out: _SUCCESS (what starts with _ or . is not data" in engine("plan", "spec.yaml").stdout
    ran = engine("run", "spec.yaml")
    assert ran.returncode == 0
    assert f"warning default [build s] dataset 'cur': {warning}" in ran.stderr.replace("  ", " ")
    assert ran.stderr.count("is text, but") == 2, "once for each dataset"
    name = json.loads(engine("show", "spec.yaml", "s", "--format", "json").stdout)[0]["name"]
    assert "is text, but all of its values read as numbers" in " ".join(
        engine("show", "spec.yaml", "s", name).stdout.split()
    )
    engine("report", "spec.yaml", "s", "--output", "report.html")
    assert "is text, but all of its values read as numbers" in (tmp_path / "report.html").read_text()
