"""`engine serve` with triggers that look at tables of a database."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from engine.connections.postgresql import open_postgresql
from engine.connections.postgresql_changes import digest_table, find_table_marker
from engine.data.query_digests import digest_database_query
from engine.errors import DataError
from engine.outcome import Outcome
from engine.service.sources.stored_tables import look_at_table
from engine.spec import load
from engine.spec.secrets.values import Secrets
from engine.store import FireState

from ..databases.postgres_server import PASSWORD, Database
from ..waiting import wait_for
from .served import Served, list_open, read_state, wait_until, write_project
from .test_serve_data import QUIET, QUIET_QUERIES, wait_until_seen

SPEC = """
secrets: {warehouse: {env: WAREHOUSE}}
connections: {warehouse: CONNECTION}
datasets:
  d: {kind: stored, connection: warehouse, table: rows, checks: {rows: {metric: row_count, min: 0}}}
  large: {kind: query, sql: SELECT a FROM d WHERE a > 100}
scenarios:
  s:
    triggers: [TRIGGER]
    steps: [{name: check, kind: run_checks, target: d}]
"""
POSTGRESQL = '{kind: postgresql, url: "${secret.warehouse}"}'


@pytest.fixture
def warehouse(database: Database, monkeypatch: pytest.MonkeyPatch) -> Database:
    """Give a database with the table `rows`, whose address is in the environment."""
    database.execute("CREATE TABLE rows (a int); INSERT INTO rows VALUES (1), (2)")
    monkeypatch.setenv("WAREHOUSE", database.url())
    return database


@pytest.mark.slow
def test_a_table_with_other_rows_starts_a_run_and_one_that_is_touched_does_not(
    serve: Callable[..., Served], tmp_path: Path, warehouse: Database
) -> None:
    trigger = "{name: new, kind: dataset_changed, dataset: large, every: 200ms}"
    state = write_project(tmp_path, SPEC.replace("CONNECTION", POSTGRESQL).replace("TRIGGER", trigger))
    server = serve()
    wait_until_seen(state, server)
    warehouse.execute("UPDATE rows SET a = a; DELETE FROM rows WHERE a = 9")
    time.sleep(QUIET)
    assert read_state(state)[0] == []
    warehouse.execute("INSERT INTO rows VALUES (3)")
    wait_until(lambda: len(read_state(state)[1]) == 1 and not list_open(state), "no run has ended", server)
    assert server.end() == 0
    (fire,), (run,) = read_state(state)
    assert (fire.state, fire.changed, run.outcome) == (FireState.DONE, ("large",), Outcome.SUCCESS)
    assert not any(PASSWORD in str(said) for said in server.list_told())


@pytest.mark.slow
def test_another_result_of_a_query_over_a_table_starts_a_run(
    serve: Callable[..., Served], tmp_path: Path, warehouse: Database
) -> None:
    trigger = "{name: last, kind: query_changed, sql: SELECT MAX(a) AS last FROM d, every: 200ms}"
    state = write_project(tmp_path, SPEC.replace("CONNECTION", POSTGRESQL).replace("TRIGGER", trigger))
    server = serve()
    wait_until_seen(state, server)
    warehouse.execute("INSERT INTO rows VALUES (0)")
    time.sleep(QUIET_QUERIES)
    assert read_state(state)[0] == []
    warehouse.execute("INSERT INTO rows VALUES (7)")
    wait_until(lambda: len(read_state(state)[1]) == 1 and not list_open(state), "no run has ended", server)
    assert server.end() == 0
    (fire,), _ = read_state(state)
    assert fire.changed == ("d",)


@pytest.mark.slow
def test_another_result_of_a_query_that_the_database_runs_starts_a_run(
    serve: Callable[..., Served], tmp_path: Path, warehouse: Database
) -> None:
    # no dataset reads this table, and no query over datasets could be written so
    warehouse.execute(
        "CREATE TABLE loads (at timestamptz, amount numeric); INSERT INTO loads VALUES ('2026-01-01', 1.5)"
    )
    sql = "SELECT max(at)::date, sum(amount) FILTER (WHERE amount > ${least}) FROM loads -- the last"
    trigger = f"{{name: last, kind: query_changed, connection: warehouse, sql: {sql!r}, every: 200ms}}"
    text = "variables: {least: 1}" + SPEC.replace("CONNECTION", POSTGRESQL).replace("TRIGGER", trigger)
    state = write_project(tmp_path, text)
    server = serve()
    wait_until_seen(state, server)
    warehouse.execute("INSERT INTO loads VALUES ('2025-01-01', 0.5)")
    time.sleep(QUIET_QUERIES)
    assert read_state(state)[0] == []
    warehouse.execute("INSERT INTO loads VALUES ('2026-01-02', 0.5)")
    wait_until(lambda: len(read_state(state)[1]) == 1 and not list_open(state), "no run has ended", server)
    assert server.end() == 0
    (fire,), (run,) = read_state(state)
    assert (fire.trigger, fire.state, run.outcome) == ("last", FireState.DONE, Outcome.SUCCESS)
    assert not any(PASSWORD in str(said) for said in server.list_told())


def test_the_digest_of_a_query_that_the_database_runs_is_that_of_its_rows(warehouse: Database, tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(
        "version: 1\nproject: p\nvariables: {least: 1}\n"
        + SPEC.replace("CONNECTION", POSTGRESQL).replace("    triggers: [TRIGGER]\n", "")
    )
    project = load(tmp_path / "p.yaml")

    def digest(sql: str) -> str:
        return digest_database_query(project, "warehouse", sql, Secrets(project, os.environ))

    first = digest("SELECT a, NULL AS b, '{}'::jsonb AS c FROM rows WHERE a >= ${least}")
    assert digest("SELECT a, NULL AS b, '{}'::jsonb AS c FROM rows ORDER BY a DESC;") == first
    warehouse.execute("INSERT INTO rows VALUES (2)")
    assert digest("SELECT a, NULL AS b, '{}'::jsonb AS c FROM rows") != first
    with pytest.raises(DataError, match=r"larger than 100,000 rows or 64 MB"):
        digest("SELECT generate_series(1, 100001)")
    with pytest.raises(DataError, match=r"data-modifying statement must be at the top level"):
        digest("WITH gone AS (DELETE FROM rows RETURNING a) SELECT * FROM gone")
    with pytest.raises(DataError, match=r'relation "nothing" does not exist'):
        digest("SELECT * FROM nothing")


def test_the_counts_of_the_server_spare_a_look_at_the_content(warehouse: Database) -> None:
    def ask(table: str = "rows") -> tuple[tuple[str, str | None], str]:
        with open_postgresql(warehouse.url(), read_only=True) as session:
            return find_table_marker(session, table), digest_table(session, table)

    marker, content = ask()
    warehouse.execute("BEGIN; INSERT INTO rows VALUES (3); ROLLBACK; SELECT pg_stat_force_next_flush()")
    undone, same = ask()
    assert same == content
    warehouse.execute("INSERT INTO rows VALUES (4)")
    wait_for(lambda: ask()[0] not in (marker, undone), "another count of the server", 10)
    assert ask()[1] != content
    warehouse.execute("CREATE VIEW seen AS SELECT * FROM rows; TRUNCATE rows")
    assert ask("seen")[0][1] is None
    assert ask()[0] not in (marker, undone)
    warehouse.execute("ALTER TABLE rows ADD COLUMN b int")
    assert ask()[0][0] != marker[0]
    warehouse.execute("CREATE TABLE parts (a int) PARTITION BY RANGE (a)")
    empty = ask("parts")
    warehouse.execute("CREATE TABLE part PARTITION OF parts FOR VALUES FROM (0) TO (9); INSERT INTO parts VALUES (1)")
    assert ask("parts")[0] != empty[0]


def test_a_look_at_a_table_that_fails_says_why_without_the_password(
    tmp_path: Path, warehouse: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "version: 1\nproject: p\n" + SPEC.replace("CONNECTION", POSTGRESQL).replace("triggers: [TRIGGER]", "")
    (tmp_path / "spec.yaml").write_text(text)
    project = load(tmp_path / "spec.yaml")
    warehouse.execute("DROP TABLE rows")
    environ = {"WAREHOUSE": warehouse.url()}
    with pytest.raises(DataError, match=r"dataset 'd': .*there is no table 'rows'"):
        look_at_table(project, "d", None, environ)
    wrong = {"WAREHOUSE": warehouse.url(password="Tr0ub4dor")}
    with pytest.raises(DataError, match="does not accept the password") as caught:
        look_at_table(project, "d", None, wrong)
    assert "Tr0ub4dor" not in str(caught.value)


def test_a_duckdb_file_that_is_written_has_changed_although_another_process_has_it_open(tmp_path: Path) -> None:
    connection = "{kind: duckdb, path: lake.duckdb}"
    text = "version: 1\nproject: p\n" + SPEC.replace("CONNECTION", connection).replace("triggers: [TRIGGER]", "")
    (tmp_path / "spec.yaml").write_text(text.replace("secrets: {warehouse: {env: WAREHOUSE}}", ""))
    project = load(tmp_path / "spec.yaml")
    with pytest.raises(DataError, match=r"lake\.duckdb cannot be read"):
        look_at_table(project, "d", None, {})
    with duckdb.connect(str(tmp_path / "lake.duckdb")) as lake:
        lake.execute("CREATE TABLE rows (a int)")
        lake.execute("CHECKPOINT")
        first = look_at_table(project, "d", None, {})
        assert look_at_table(project, "d", first, {}) == first
        lake.execute("INSERT INTO rows VALUES (1)")
        assert look_at_table(project, "d", first, {}).content != first.content
