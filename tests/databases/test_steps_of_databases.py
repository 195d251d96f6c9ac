"""Steps `export` into a table and `sql`, in PostgreSQL and DuckDB."""

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import polars as pl
import pytest

from engine.outcome import Outcome
from engine.scenarios import session
from engine.scenarios.plan import StepPlan
from engine.scenarios.result import StepResult
from engine.spec import load

from .postgres_server import Database

SPEC = """\
version: 1
project: test
variables: {limit: 2, word: "it's ; DROP TABLE notes --", day: 2026-11-28}
secrets: {url: {env: DATABASE}}
connections:
  place: PLACE
datasets:
  rows: {path: rows.parquet}
  copied: {kind: stored, connection: place, table: copied}
scenarios:
  s:
    steps:
STEPS
"""


class Project:
    """A spec with steps, and the database that they write into."""

    def __init__(self, folder: Path, place: str, environ: dict[str, str]) -> None:
        self.folder, self.place, self.environ = folder, place, environ
        pl.DataFrame({"n": [1, 2, 3], "t": ["a", None, "c"]}).write_parquet(folder / "rows.parquet")

    def write(self, *steps: str) -> Path:
        text = SPEC.replace("PLACE", self.place).replace("STEPS", "\n".join(f"      - {step}" for step in steps))
        (self.folder / "spec.yaml").write_text(text)
        return self.folder / "spec.yaml"

    def run(self, *steps: str, dry: bool = False) -> list[StepResult]:
        project = load(self.write(*steps), environ=self.environ)
        return list(session.run_scenarios(project, ["s"], environ=self.environ, dry=dry).runs[0].steps)

    def plan(self, *steps: str) -> list[StepPlan]:
        return session.plan_scenarios(
            load(self.write(*steps), environ=self.environ), ["s"], environ=self.environ
        ).scenarios[0].steps  # fmt: skip


@pytest.fixture(params=["postgresql", "duckdb"])
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Project:
    if request.param == "duckdb":
        pytest.importorskip("duckdb", reason="the extra duckdb is not installed")
        return Project(tmp_path, "{kind: duckdb, path: data.duckdb}", {})
    url = request.getfixturevalue("database").url()
    return Project(tmp_path, '{kind: postgresql, url: "${secret.url}"}', {"DATABASE": url})


EXPORT = "{name: e, kind: export, dataset: rows, connection: place, table: copied}"
READ = "{name: r, kind: build, target: copied}"


def sql(*statements: str, more: str = "") -> str:
    listed = ", ".join(map(repr, statements))
    return f"{{name: q, kind: sql, connection: place, {more} statements: [{listed}]}}"


def test_an_exported_table_is_read_by_a_later_step_of_the_same_run(project: Project) -> None:
    steps = project.run(EXPORT, READ, sql("DELETE FROM copied WHERE n > ${limit}"), READ.replace("name: r", "name: r2"))
    assert [step.outcome for step in steps] == [Outcome.SUCCESS] * 4
    assert steps[0].reason == "wrote 3 rows into copied in place"
    assert steps[2].reason == "1 statement in place, 1 row affected"
    assert [action.because for step in (steps[1], steps[3]) for action in step.actions] == ["new", "changed"]


def test_variables_are_values_and_never_sql(project: Project) -> None:
    (step,) = project.run(
        sql(
            "CREATE TABLE notes (t VARCHAR(99), d DATE, n INTEGER)",
            "INSERT INTO notes VALUES (${word}, ${day - 1d}, ${limit})",
            "UPDATE notes SET n = n + 1 WHERE t = ${word} AND d < ${day}",
        )
    )
    assert (step.outcome, step.reason) == (Outcome.SUCCESS, "3 statements in place, 2 rows affected")


def test_a_statement_that_is_refused_undoes_those_before_it_and_is_named(project: Project) -> None:
    project.run(sql("CREATE TABLE notes (n INTEGER)"))
    (step,) = project.run(sql("INSERT INTO notes VALUES (1)", "INSERT INTO absent VALUES (1)"))
    assert step.outcome is Outcome.FAILED
    assert "statement 2 of 2 (" in step.reason
    assert "spec.yaml:13:" in step.reason
    assert "absent" in step.reason
    assert "have changed nothing" in step.reason
    (step,) = project.run(sql("DELETE FROM notes"))
    assert step.reason.endswith("0 rows affected")


def test_a_plan_and_a_dry_run_execute_nothing(project: Project) -> None:
    project.run(sql("CREATE TABLE notes (n INTEGER)", "INSERT INTO notes VALUES (1)"))
    (planned, exported) = project.plan(sql("DELETE FROM notes"), EXPORT)
    assert [(one.kind, one.target, one.reason) for one in planned.actions] == [("call", "place", "1 statement: DELETE")]
    assert exported.actions[-1].target == "copied in place"
    skipped, told = project.run(sql("DELETE FROM notes"), EXPORT, dry=True)
    assert skipped.outcome is Outcome.SKIPPED
    assert told.reason == "would write 3 rows into copied in place; a dry run does not"
    (step,) = project.run(sql("DELETE FROM notes"))
    assert step.reason.endswith("1 row affected")


def test_an_export_replaces_its_own_table_and_no_other(project: Project) -> None:
    assert [step.outcome for step in project.run(EXPORT, EXPORT.replace("name: e", "name: e2"))] == [
        Outcome.SUCCESS
    ] * 2
    project.run(sql("DROP TABLE copied", "CREATE TABLE copied (n INTEGER)"))
    (step,) = project.run(EXPORT)
    assert step.outcome is Outcome.FAILED
    assert "was not written by engine" in step.reason


def test_a_step_with_a_timeout_works_in_a_process_of_its_own(project: Project) -> None:
    timed = EXPORT.replace("name: e,", "name: e2, timeout: 60s,")
    steps = project.run(
        EXPORT, READ, sql("DELETE FROM copied", more="timeout: 60s,"), READ.replace("name: r", "name: r2"), timed
    )
    assert [step.outcome for step in steps] == [Outcome.SUCCESS] * 5
    assert [action.because for step in (steps[1], steps[3]) for action in step.actions] == ["new", "changed"]


def test_a_step_that_fails_is_tried_again_as_a_whole(tmp_path: Path, database: Database) -> None:
    project = Project(tmp_path, '{kind: postgresql, url: "${secret.url}"}', {"DATABASE": database.url()})
    # a sequence goes on counting where all else is undone
    database.execute("CREATE TABLE tries (n int); CREATE SEQUENCE counted MINVALUE 0 START 0")
    twice = "INSERT INTO tries SELECT 1", "INSERT INTO tries SELECT 1 / nextval('counted')"
    (step,) = project.run(sql(*twice, more="retries: {count: 2},"))
    assert (step.outcome, step.tries) == (Outcome.SUCCESS, 2)
    assert step.reason == "2 statements in place, 2 rows affected"
    assert database.execute("SELECT count(*), sum(n) FROM tries") == "2|2"

    database.execute("ALTER SEQUENCE counted RESTART")
    (step,) = project.run(sql(*twice))
    assert (step.outcome, step.tries) == (Outcome.FAILED, 1)
    assert database.execute("SELECT count(*), sum(n) FROM tries") == "2|2"


@contextmanager
def cut_at_commit(url: str, *, before: bool, comes_back: bool = True) -> Iterator[str]:
    """Give the address of a server whose first connection ends at its first COMMIT: before it arrives, or after it.

    After it: when the answer comes, which the client never gets. Unless it `comes_back`, no connection is made then.
    """
    server = urlsplit(url)
    cut = threading.Event()

    def pass_on(source: socket.socket, target: socket.socket, asked: threading.Event, *, of_client: bool) -> None:
        with suppress(OSError):
            while part := source.recv(65_536):
                if of_client and b"COMMIT" in part and not cut.is_set():
                    cut.set()
                    asked.set()
                if asked.is_set() and of_client == before:
                    break
                target.sendall(part)
        for one in (source, target):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def connect(client: socket.socket) -> None:
        if cut.is_set() and not comes_back:
            client.close()
            return
        asked = threading.Event()
        upstream = socket.create_connection((server.hostname, server.port))
        with client, upstream, ThreadPoolExecutor(1) as other:
            other.submit(pass_on, upstream, client, asked, of_client=False)
            pass_on(client, upstream, asked, of_client=True)

    def accept() -> None:
        with suppress(OSError):
            while True:
                connections.submit(connect, listening.accept()[0])

    with ThreadPoolExecutor() as connections, socket.create_server(("127.0.0.1", 0)) as listening:
        connections.submit(accept)
        yield url.replace(f":{server.port}", f":{listening.getsockname()[1]}")
        listening.shutdown(socket.SHUT_RDWR)
    assert cut.is_set()


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_statements_are_committed_once_whenever_the_connection_is_lost(
    tmp_path: Path, database: Database, before: bool
) -> None:
    database.execute("CREATE TABLE added (n int)")
    with cut_at_commit(database.url(), before=before) as url:
        project = Project(tmp_path, '{kind: postgresql, url: "${secret.url}"}', {"DATABASE": url})
        (step,) = project.run(sql("INSERT INTO added VALUES (1)", more="retries: {count: 2},"))
    assert (step.outcome, step.tries) == (Outcome.SUCCESS, 2 if before else 1), step.reason
    assert database.execute("SELECT count(*) FROM added") == "1"


def test_a_commit_that_is_lost_with_its_connection_changes_nothing(tmp_path: Path, database: Database) -> None:
    database.execute("CREATE TABLE added (n int)")
    with cut_at_commit(database.url(), before=True) as url:
        project = Project(tmp_path, '{kind: postgresql, url: "${secret.url}"}', {"DATABASE": url})
        (step,) = project.run(sql("INSERT INTO added VALUES (1)"))
    assert step.outcome is Outcome.FAILED
    assert step.reason.endswith("the statements of this step have changed nothing")
    assert database.execute("SELECT count(*) FROM added") == "0"


@pytest.mark.slow
def test_a_commit_of_unknown_outcome_is_reported(tmp_path: Path, database: Database) -> None:
    database.execute("CREATE TABLE added (n int)")
    with cut_at_commit(database.url(), before=False, comes_back=False) as url:
        project = Project(tmp_path, '{kind: postgresql, url: "${secret.url}"}', {"DATABASE": url})
        (step,) = project.run(sql("INSERT INTO added VALUES (1)"))
    assert step.outcome is Outcome.FAILED
    assert "it is unknown whether the statements of this step were committed: check the database" in step.reason
