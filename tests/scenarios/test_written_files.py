"""Steps that write a dataset into a file, and steps that remove the files of one."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from engine.errors import SpecError
from engine.outcome import Outcome
from engine.scenarios import session
from engine.scenarios.plan import Plan
from engine.scenarios.session import CallResult
from engine.spec import load

from ..command_line import call_engine

Run = Callable[..., CallResult]


def plan(folder: Path, scenario: str) -> Plan:
    return session.plan_scenarios(load(folder / "project.yaml", environ={}), [scenario], environ={})


EXPORTS = """
    variables: {part: one}
    datasets:
      old: {path: old.parquet, columns: {age: {min: 0}}}
      some: {kind: query, sql: "SELECT * FROM old WHERE age > 40"}
      made: {kind: python, function: "mine:make"}
      back: {path: out/one.csv, columns: {group: {type: text}}}
    scenarios:
      all:
        steps:
          - {name: file, kind: export, dataset: old, path: out/old.parquet}
          - {name: query, kind: export, dataset: some, path: "out/${part}.csv"}
          - {name: function, kind: export, dataset: made, path: out/made.jsonl, timeout: 60s}
          - {name: text, kind: export, dataset: made, path: out/made.txt, format: csv, csv: {separator: ";"}}
          - {name: tabs, kind: export, dataset: made, path: out/made.tsv}
          - {name: again, kind: build, target: back}
"""


@pytest.fixture
def exports(spec: Callable[[str], Path], rows: Callable[..., Path], module: Callable[[str], None]) -> None:
    rows("old.parquet", 200)
    module("""
        import polars as pl

        def make():
            return pl.DataFrame({"a": [1, None], "b": ["x", "y"]})
    """)
    spec(EXPORTS)


@pytest.mark.slow
@pytest.mark.usefixtures("exports")
def test_every_kind_of_dataset_is_written_and_a_later_step_may_read_it(run: Run, tmp_path: Path) -> None:
    planned = plan(tmp_path, "all")
    assert [action.target for action in planned.all_actions() if action.kind == "write"] == [
        "out/old.parquet", "out/one.csv", "out/made.jsonl", "out/made.txt", "out/made.tsv",
    ]  # fmt: skip
    assert not (tmp_path / "out").exists()
    dry = call_engine(tmp_path, "run", "project.yaml", "--dry-run")
    assert "would write 200 rows into out/old.parquet; a dry run does not" in dry.stdout
    assert not (tmp_path / "out").exists()
    (result,) = run().runs
    assert result.outcome is Outcome.SUCCESS, [step.reason for step in result.steps]
    old = pl.read_parquet(tmp_path / "old.parquet")
    assert_frame_equal(pl.read_parquet(tmp_path / "out/old.parquet"), old)
    assert_frame_equal(pl.read_csv(tmp_path / "out/one.csv"), old.filter(pl.col("age") > 40))
    assert (tmp_path / "out/made.jsonl").read_text() == '{"a":1,"b":"x"}\n{"a":null,"b":"y"}\n'
    assert (tmp_path / "out/made.txt").read_text() == "a;b\n1;x\n;y\n"
    assert (tmp_path / "out/made.tsv").read_text() == "a\tb\n1\tx\n\ty\n"
    size = (tmp_path / "out/old.parquet").stat().st_size
    assert result.steps[0].reason == f"wrote 200 rows, {size:,} bytes, into out/old.parquet"
    assert sorted(one.name for one in (tmp_path / "out").iterdir()) == [
        "made.jsonl", "made.tsv", "made.txt", "old.parquet", "one.csv",
    ]  # fmt: skip
    record = json.loads(next((tmp_path / ".engine").rglob("run.json")).read_text())
    assert {"kind": "write", "target": "out/old.parquet"}.items() <= record["steps"][0]["actions"][-1].items()


@pytest.mark.usefixtures("exports")
def test_nothing_is_written_where_the_dataset_is_not_what_it_should_be(
    spec: Callable[[str], Path], run: Run, tmp_path: Path
) -> None:
    spec("""
        datasets:
          old: {path: old.parquet, columns: {age: {max: 1}}}
          few: {path: old.parquet, checks: {none: {metric: row_count, max: 1}}}
          some: {path: old.parquet, checks: {none: {metric: row_count, soft_max: 1}}}
          nested: {kind: python, function: "mine:nest"}
        scenarios:
          contract: {steps: [{name: write, kind: export, dataset: old, path: out.csv}]}
          checked: {steps: [{name: write, kind: export, dataset: few, path: out.csv}]}
          warned: {steps: [{name: write, kind: export, dataset: some, path: warned.csv}]}
          lists: {steps: [{name: write, kind: export, dataset: nested, path: out.csv}]}
    """)
    (tmp_path / "mine.py").write_text("import polars as pl\ndef nest():\n    return pl.DataFrame({'a': [[1, 2]]})\n")
    (tmp_path / "out.csv").write_text("before\n")
    contract, checked, warned, lists = run("contract", "checked", "warned", "lists").runs
    assert [one.steps[0].cause for one in (contract, checked, lists)] == ["failure", "check", "failure"]
    assert [check.check for check in checked.steps[0].checks] == ["none"]
    assert "column 'a' is of type list, which a csv file cannot keep" in lists.steps[0].reason
    assert (tmp_path / "out.csv").read_text() == "before\n"
    assert (warned.outcome, (tmp_path / "warned.csv").exists()) == (Outcome.WARNING, True)
    # what the types alone show is known before
    (step,) = plan(tmp_path, "lists").scenarios[0].steps
    assert "column 'a' is of type list" in step.problem


def test_a_path_with_a_variable_stays_in_the_folder_at_every_run(
    spec: Callable[[str], Path], run: Run, rows: Callable[..., Path], tmp_path: Path
) -> None:
    rows("old.parquet", 20)
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    outside.mkdir()
    (tmp_path / "link").symlink_to(outside)
    spec(f"""
        variables: {{place: here}}
        datasets: {{old: {{path: old.parquet}}}}
        scenarios:
          varies: {{steps: [{{name: write, kind: export, dataset: old, path: "${{place}}/out.csv"}}]}}
          fixed: {{steps: [{{name: write, kind: export, dataset: old, path: "{outside}/out.csv"}}]}}
    """)
    assert run("varies", place="there").runs[0].outcome is Outcome.SUCCESS
    with pytest.raises(SpecError, match="outside of the folder of the spec"):
        run("varies", place="..")
    with pytest.raises(SpecError, match="outside of the folder of the spec"):
        run("varies", place=str(outside))
    (linked,) = run("varies", place="link").runs
    assert "outside of" in linked.steps[0].reason
    assert list(outside.iterdir()) == []
    assert run("fixed").runs[0].outcome is Outcome.SUCCESS
    assert [one.name for one in outside.iterdir()] == ["out.csv"]


def test_a_dataset_is_not_written_into_a_file_that_it_is_read_from(
    spec: Callable[[str], Path], run: Run, rows: Callable[..., Path], tmp_path: Path
) -> None:
    rows("old.parquet", 20)
    (tmp_path / "link").symlink_to(tmp_path)
    before = (tmp_path / "old.parquet").read_bytes()
    spec("""
        datasets: {old: {path: old.parquet}, some: {kind: query, sql: SELECT * FROM old LIMIT 1}}
        scenarios:
          all: {steps: [{name: write, kind: export, dataset: some, path: link/old.parquet}]}
          state: {steps: [{name: write, kind: export, dataset: some, path: link/.engine/a.parquet}]}
    """)
    (loop, state) = run("all", "state").runs
    assert "is a file that dataset 'some' is read from" in loop.steps[0].reason
    assert "in the folder of the state" in state.steps[0].reason
    assert (tmp_path / "old.parquet").read_bytes() == before


@pytest.mark.slow
def test_a_kill_while_a_file_is_written_leaves_the_old_one(
    spec: Callable[[str], Path], module: Callable[[str], None], tmp_path: Path
) -> None:
    module("""
        import polars as pl

        def make():
            return pl.LazyFrame({"a": range(10)})
    """)
    spec("""
        datasets: {made: {kind: python, function: "mine:make"}}
        scenarios: {all: {steps: [{name: write, kind: export, dataset: made, path: out.csv}]}}
    """)
    (tmp_path / "out.csv").write_text("before\n")
    killer = tmp_path / "killer.py"
    killer.write_text("""
import os, signal

from engine.data.output import export

write = export._write_frame


def die(*arguments):
    write(*arguments)
    os.kill(os.getpid(), signal.SIGKILL)


export._write_frame = die
from engine.cli.main import main

main()
""")
    died = subprocess.run([sys.executable, killer, "run", "project.yaml"], cwd=tmp_path, timeout=120, check=False)
    assert died.returncode == -signal.SIGKILL
    assert (tmp_path / "out.csv").read_text() == "before\n"
    assert call_engine(tmp_path, "run", "project.yaml").returncode == 0
    assert pl.read_csv(tmp_path / "out.csv").height == 10


CLEARED = """
    datasets:
      one: {path: data/one.csv}
      parts: {path: "data/parts/**/*.csv"}
      folder: {path: data/folder}
    scenarios:
      one: {steps: [{name: clear, kind: clear, target: one}]}
      parts: {steps: [{name: clear, kind: clear, target: parts, timeout: 60s}]}
      folder: {steps: [{name: clear, kind: clear, target: folder}]}
"""


def fill(folder: Path) -> set[str]:
    for name in ("one.csv", "two.csv", "parts/a.csv", "parts/d/b.csv", "parts/d/c.txt", "parts/.hidden.csv",
                 "folder/a.csv", "folder/empty.csv", "folder/readme.md", "folder/_SUCCESS"):  # fmt: skip
        path = folder / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("" if "empty" in name else "a\n1\n")
    return present(folder)


def present(folder: Path) -> set[str]:
    return {str(one.relative_to(folder / "data")) for one in (folder / "data").rglob("*") if one.is_file()}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scenario", "removed"),
    [
        ("one", {"one.csv"}),
        ("parts", {"parts/a.csv", "parts/d/b.csv"}),
        ("folder", {"folder/a.csv", "folder/empty.csv"}),
    ],
)
def test_the_files_of_a_dataset_are_removed_and_no_others(
    scenario: str, removed: set[str], spec: Callable[[str], Path], run: Run, tmp_path: Path
) -> None:
    spec(CLEARED)
    before = fill(tmp_path)
    (action,) = plan(tmp_path, scenario).all_actions()
    assert set(action.notes) == {f"data/{name}" for name in removed}
    dry = call_engine(tmp_path, "run", "project.yaml", scenario, "--dry-run")
    assert "would remove" in dry.stdout
    assert present(tmp_path) == before
    (result,) = run(scenario).runs
    assert present(tmp_path) == before - removed
    files = (
        "1 file, 4 bytes"
        if len(removed) == 1
        else "2 files, 4 bytes"
        if "empty" in str(removed)
        else "2 files, 8 bytes"
    )
    assert result.steps[0].reason == f"removed {files}"
    assert set(result.steps[0].actions[0].notes) == set(action.notes)
    log = (tmp_path / ".engine/test" / result.log).read_text()
    assert all(f"removed data/{name}" in log for name in removed)
    (again,) = run(scenario).runs
    assert (again.outcome, again.steps[0].reason) == (Outcome.SUCCESS, "there are no files to remove")


@pytest.mark.parametrize("what", ["file", "folder", "root"])
def test_nothing_is_removed_through_a_symbolic_link(
    what: str, spec: Callable[[str], Path], run: Run, tmp_path: Path
) -> None:
    spec(CLEARED)
    before = fill(tmp_path)
    outside = tmp_path.parent / f"{tmp_path.name}-outside"
    outside.mkdir()
    (outside / "precious.csv").write_text("a\n1\n")
    parts = tmp_path / "data" / "parts"
    if what == "file":
        (parts / "link.csv").symlink_to(outside / "precious.csv")
    elif what == "folder":
        (parts / "link").symlink_to(outside)
    else:
        parts.rename(outside / "parts")
        parts.symlink_to(outside / "parts")
    (result,) = run("parts").runs
    assert result.outcome is Outcome.FAILED
    assert "nothing is removed" in result.steps[0].reason
    assert "symbolic link" in result.steps[0].reason
    assert (outside / "precious.csv").exists()
    assert {name for name in before if not name.startswith("parts")} <= present(tmp_path)
    assert ((outside / "parts") if what == "root" else parts).joinpath("a.csv").exists()


def test_files_of_the_spec_and_of_the_state_are_never_removed(
    spec: Callable[[str], Path], run: Run, rows: Callable[..., Path], tmp_path: Path
) -> None:
    rows("old.parquet", 20)
    spec("""
        state: {path: kept}
        datasets: {all: {path: "*", format: csv}, deep: {path: "**/*", format: csv}, old: {path: old.parquet}}
        scenarios:
          build: {steps: [{name: build, kind: build, target: old}]}
          all: {steps: [{name: clear, kind: clear, target: all}]}
          deep: {steps: [{name: clear, kind: clear, target: deep}]}
    """)
    before = {one for one in tmp_path.rglob("*") if one.is_file()}
    for scenario in ("build", "all", "deep"):
        (result,) = run(scenario).runs
        if scenario != "build":
            assert "it belongs to the spec or to the state" in result.steps[0].reason
    assert before <= {one for one in tmp_path.rglob("*") if one.is_file()}
