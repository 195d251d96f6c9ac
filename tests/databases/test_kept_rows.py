"""`materialize:` in files, objects and DuckDB: rows are written when what they depend on has changed, or read back."""

import json
import textwrap
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from engine.pipeline.actions import Action
from engine.scenarios import session
from engine.scenarios.session import CallResult
from engine.spec import load
from engine.spec.revisions.revision_file import Revision
from tests.object_stores.store_server import StoreServer

from ..small_disks import mount_small_disk

FUNCTION = """
from pathlib import Path
import polars as pl

def make(last):
    with (Path(__file__).parent / "calls").open("a") as calls:
        calls.write("x")
    return pl.DataFrame({"n": list(range(last)), "t": ["x"] * last})
"""

SPEC = """
version: 1
project: test
variables: {last: 4}
connections:
  place: PLACE
datasets:
  made:
    kind: python
    function: "mine:make"
    arguments: {last: "${last}"}
    materialize: {connection: place, path: made.parquet, table: made}
  rows: {kind: stored, connection: place, path: made.parquet, table: made, columns: {n: {type: integer, min: 0}}}
  few:
    kind: query
    sql: SELECT n FROM rows WHERE n > 1
    materialize: {connection: place, path: few.parquet, table: few}
scenarios:
  s: {steps: [{name: b, kind: build, target: few}, {name: again, kind: build, target: few}]}
"""

PLACES = {
    "files": "{kind: file, root: data}",
    "duckdb": "{kind: duckdb, path: data.duckdb}",
    "objects": "BUCKET",
}


class Project:
    """A project in a folder: what it does, and how often its function was called."""

    def __init__(self, folder: Path, place: str, bucket: StoreServer | None = None) -> None:
        self.folder, self.place, self.bucket = folder, place, bucket
        (folder / "mine.py").write_text(FUNCTION)
        self.path = folder / "project.yaml"
        of_bucket = json.dumps(bucket.connection(prefix="kept")) if bucket else ""
        self.path.write_text(SPEC.replace("PLACE", PLACES[place]).replace("BUCKET", of_bucket))

    @property
    def calls(self) -> int:
        path = self.folder / "calls"
        return len(path.read_text()) if path.exists() else 0

    def run(self, *, dry: bool = False, **variables: object) -> CallResult:
        project = load(self.path, variables, environ={})
        return session.run_scenarios(project, ["s"], environ={}, dry=dry, listeners=[lambda line: print(line.text)])

    def plan(self, **variables: object) -> list[Action]:
        return session.plan_scenarios(load(self.path, variables, environ={}), ["s"], environ={}).all_actions()

    def damage(self, name: str) -> None:
        """Put other rows where those of a dataset are kept."""
        if self.place == "duckdb":
            self.execute(f"DELETE FROM {name}")
        else:
            self.put(name, 7)

    def put(self, name: str, value: int) -> None:
        """Put a row where those of a dataset would be kept, as somebody else does."""
        if self.place == "duckdb":
            self.execute(f"CREATE TABLE {name} AS SELECT {value} AS n")
            return
        file = self.folder / "data" / f"{name}.parquet"
        file.parent.mkdir(exist_ok=True)
        pl.DataFrame({"n": [value]}).write_parquet(file)
        if self.bucket:
            self.bucket.put(f"kept/{name}.parquet", file.read_bytes())

    def remove(self, name: str) -> None:
        if self.bucket:
            self.bucket.request("DELETE", f"kept/{name}.parquet")
        elif self.place == "files":
            (self.folder / "data" / f"{name}.parquet").unlink()
        else:
            self.execute(f"DROP TABLE {name}")

    def read(self, name: str) -> list[tuple[object, ...]]:
        if self.bucket:
            return pl.read_parquet(self.bucket.request("GET", f"kept/{name}.parquet")).rows()
        if self.place == "files":
            return pl.read_parquet(self.folder / "data" / f"{name}.parquet").rows()
        return self.execute(f"SELECT * FROM {name}")

    def execute(self, statement: str) -> list[tuple[object, ...]]:
        import duckdb

        with duckdb.connect(str(self.folder / "data.duckdb")) as connection:
            return connection.execute(statement).fetchall()


@pytest.fixture(params=["files", "duckdb", pytest.param("objects", marks=pytest.mark.slow)])
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Project:
    if request.param == "duckdb":
        pytest.importorskip("duckdb", reason="the extra duckdb is not installed")
    bucket = request.getfixturevalue("bucket") if request.param == "objects" else None
    return Project(tmp_path, request.param, bucket)


def outcomes(result: CallResult) -> list[str]:
    return [f"{step.outcome}" for step in result.runs[0].steps]


def written(actions: list[Action]) -> list[tuple[str, str]]:
    return [(one.target.split()[0].removesuffix(".parquet"), one.because) for one in actions if one.kind == "write"]


def run_actions(result: CallResult) -> list[Action]:
    return [action for step in result.runs[0].steps for action in step.actions]


def test_rows_are_computed_once_and_read_back_by_later_runs(project: Project) -> None:
    first = project.run()
    assert outcomes(first) == ["SUCCESS", "SUCCESS"]
    assert written(run_actions(first)) == [("made", "new"), ("few", "new")]
    assert (project.read("made"), project.read("few")) == ([(n, "x") for n in range(4)], [(2,), (3,)])
    second = project.run()
    assert written(run_actions(second)) == [("made", "reused"), ("few", "reused")]
    assert project.calls == 1


def test_the_plan_says_what_the_run_then_does(project: Project) -> None:
    for variables in ({}, {}, {"last": 5}):
        told = [(one.kind, one.target, one.because) for one in project.plan(**variables)]
        done = [(one.kind, one.target, one.because) for one in run_actions(project.run(**variables))]
        assert told == done


def test_a_plan_and_a_dry_run_write_nothing(project: Project) -> None:
    project.plan()
    assert outcomes(project.run(dry=True)) == ["SUCCESS", "SUCCESS"]
    assert {one.name for one in project.folder.iterdir()} <= {"mine.py", "calls", "project.yaml", ".engine"}
    assert written(project.plan()) == [("made", "new"), ("few", "new")]


@pytest.mark.parametrize("change", ["arguments", "code"])
def test_rows_are_written_again_when_the_function_or_its_arguments_have_changed(project: Project, change: str) -> None:
    project.run()
    if change == "code":
        (project.folder / "mine.py").write_text(FUNCTION.replace('"x"]', '"y"]'))
    result = project.run(last=6 if change == "arguments" else 4)
    assert written(run_actions(result)) == [("made", "changed"), ("few", "changed")]
    assert len(project.read("made")) == (6 if change == "arguments" else 4)
    assert project.calls == 2


@pytest.mark.parametrize("harm", [Project.damage, Project.remove])
def test_rows_that_are_gone_or_were_changed_are_written_again(
    project: Project, harm: Callable[[Project, str], None]
) -> None:
    project.run()
    harm(project, "made")
    result = project.run()
    assert outcomes(result) == ["SUCCESS", "SUCCESS"]
    assert written(run_actions(result))[0] == ("made", "changed")
    assert (len(project.read("made")), project.calls) == (4, 2)


def test_rows_that_break_the_contract_of_the_dataset_do_not_replace_the_old_ones(project: Project) -> None:
    project.run()
    text = project.path.read_text().replace(
        "    materialize: {connection: place, path: made",
        "    columns: {n: {max: 3}}\n    materialize: {connection: place, path: made",
    )
    project.path.write_text(text)
    result = project.run(last=9)
    assert outcomes(result)[0] == "FAILED"
    assert len(project.read("made")) == 4


def test_mode_force_computes_rows_again(project: Project) -> None:
    project.run()
    project.path.write_text(
        project.path.read_text().replace(
            "target: few}, {name: again, kind: build, target: few}", "target: made, mode: force}"
        )
    )
    assert written(run_actions(project.run())) == [("made", "forced")]
    assert project.calls == 2


def test_what_engine_has_not_written_is_not_replaced(project: Project) -> None:
    project.put("made", 1)
    result = project.run()
    assert outcomes(result)[0] == "FAILED"
    assert "was not written by engine, so it is not replaced" in result.runs[0].steps[0].reason
    assert project.read("made") == [(1,)]


def test_the_reader_has_the_fingerprint_of_what_it_reads_before_and_after_it_is_written(project: Project) -> None:
    text = project.path.read_text().replace(
        "target: few}, {name: again, kind: build, target: few}", "target: [rows, made]}"
    )
    project.path.write_text(text)
    first, second = run_actions(project.run()), run_actions(project.run())
    assert [one.because for one in first if one.kind == "read"] == ["new", "new"]
    assert [one.because for one in second if one.kind == "read"] == ["reused", "reused"]


def test_a_deployment_that_replaces_the_connection_reads_what_is_there_and_writes_nothing(tmp_path: Path) -> None:
    release, node = tmp_path / "release", tmp_path / "node"
    release.mkdir()
    (node / "revisions").mkdir(parents=True)
    project = Project(release, "files")
    own = {"kind": "file", "root": str(tmp_path / "own")}
    (tmp_path / "own").mkdir()
    pl.DataFrame({"n": [5, 6, 7]}).write_parquet(tmp_path / "own" / "made.parquet")
    revision = Revision(
        "production",
        1,
        "id",
        "v1",
        "../../release/project.yaml",
        home="../home",
        replaced={"connections": {"place": own}},
    )
    project.path = node / "revisions" / "1.yaml"
    project.path.write_text(revision.to_text())
    result = project.run()
    assert outcomes(result) == ["SUCCESS", "SUCCESS"]
    assert written(run_actions(result)) == []
    assert (project.calls, [one.name for one in (tmp_path / "own").iterdir()]) == (0, ["made.parquet"])


def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    with mount_small_disk(tmp_path / "data", "size=256k") as small:
        project = Project(tmp_path, "files")
        project.run()
        (tmp_path / "mine.py").write_text(
            textwrap.dedent(FUNCTION).replace('["x"] * last', "[str(i) * 50 for i in range(last)]")
        )
        result = project.run(last=200_000)
        assert outcomes(result)[0] == "FAILED"
        assert "No space left" in result.runs[0].steps[0].reason
        assert sorted(one.name for one in small.iterdir()) == ["few.parquet", "made.parquet"]
        assert len(project.read("made")) == 4
