"""Killed at any instant, the store opens, and holds nothing half: no evaluation, no folder, no run, no message."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import select

from engine.errors import StoreError
from engine.outcome import Outcome
from engine.store import EvaluationFilter, Store
from engine.store.location import PostgresqlSchema, StateLocation, has_rows
from engine.store.state.adoption import adopt_rows
from engine.store.tables import unfinished_folders
from tests.databases.postgres_server import Database, PostgresServer

WRITERS = Path(__file__).with_name("killed_writers.py")
KILLS = int(os.environ.get("ENGINE_KILLS", "15"))  # tests/campaigns/kills.py sets more of them
TWO = """
import sys
from pathlib import Path
from engine.evaluation.record import MetricValue
from engine.store import Store
with Store.open(Path(sys.argv[1])) as store:
    for number in range(40):
        with store.folders.stage() as files:
            (files / "model").write_text("x")
            store.models.add("authorization", sys.argv[2], files)
        store.measurements.add("t", sys.argv[2], {"row_count": MetricValue(float(number))}, None)
"""


def check_whole(location: StateLocation) -> list[str]:
    """Open the store as the next run would, and look at everything. Return how the last runs ended."""
    folder = location.folder
    with Store.open(location) as store:
        store.runs.abort_dead()
        evaluations = store.evaluations.history("the_MES", where=EvaluationFilter(superseded=True))
        ids = {evaluation.id for evaluation in evaluations}
        assert {evaluation.superseded_by for evaluation in evaluations} <= {*ids, None}
        for again in (evaluation for evaluation in evaluations if evaluation.name.startswith("again")):
            replaced = [one for one in evaluations if one.run == again.run and one.id != again.id]
            assert all(one.superseded_by == again.id for one in replaced)
        kept = {path.name for path in (folder / "evaluations").iterdir()}
        assert kept == {evaluation.id for evaluation in evaluations}
        for evaluation in evaluations:
            assert len(evaluation.metrics) == 20
            files = sorted(store.evaluations.folder_of(evaluation.id).iterdir())
            assert [file.read_text() for file in files] == [evaluation.id] * 3
        newest = store.models.find_newest("authorization")
        versions = {int(path.name) for path in (folder / "models" / "authorization").glob("*")}
        assert max(versions, default=None) == (newest and newest.version)
        assert list((folder / "staging").iterdir()) == []
        with store.database.begin_read() as connection:
            assert connection.scalars(select(unfinished_folders.c.path)).all() == []
        queued = [message.run for message in store.outbox.list_undelivered()]
        for run in store.runs.history():
            whole = run.outcome is Outcome.SUCCESS
            assert whole or run.outcome is Outcome.ABORTED
            assert len(run.events) == 1
            assert queued.count(run.id) == (3 if whole else 0)
            assert not whole or len(run.steps) == 1
        return [run.state for run in store.runs.history()]


def begin_writers(folder: Path, kills: int, *arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, str(WRITERS), str(folder), str(kills), *arguments]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def tell(process: "subprocess.Popen[str]", line: str = "") -> None:
    assert process.stdin
    process.stdin.write(f"{line}\n")
    process.stdin.flush()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_killed_at_any_instant(kind: str, folder: Path, request: pytest.FixtureRequest) -> None:
    database: Database | None = request.getfixturevalue("database") if kind == "postgresql" else None
    location = StateLocation(folder, PostgresqlSchema(database.url(), "engine_killed") if database else None)
    Store.open(location).close()
    with begin_writers(folder, KILLS) as process:
        tell(process, database.url() if database else "")
        assert process.stdout
        for _ in range(KILLS):
            assert process.stdout.readline() == "killed\n"
            states = check_whole(location)
            tell(process)
    assert process.returncode == 0
    assert states.count("ABORTED") > KILLS / 3
    assert states.count("SUCCESS") > KILLS / 3


@pytest.mark.slow
def test_a_move_to_a_server_that_is_killed_at_any_instant_is_made_again(
    postgres: PostgresServer, database: Database, folder: Path
) -> None:
    """At any time the rows are in the file or on the server, and each of the two says where if the other is asked."""
    ends: list[bool] = []
    kills = max(2, KILLS // 3)
    with begin_writers(folder, kills, "adopt") as process:
        tell(process, database.url())
        tell(process, postgres.create_database().url())
        assert process.stdout
        for number in range(kills):
            url = postgres.create_database().url()
            tell(process, url)
            assert process.stdout.readline() == "killed\n"
            location = StateLocation(folder / str(number), PostgresqlSchema(url, "engine_killed"))
            moved = has_rows(location)
            ends.append(moved)
            if not moved:
                with pytest.raises(StoreError, match=r"has a history in state\.db"):
                    Store.open(location)
                if (location.folder / "state_id").exists():  # only the server knows whether it has the rows
                    with pytest.raises(StoreError, match="remove the file state_id to go on with"):
                        Store.open(location.folder)
                    (location.folder / "state_id").unlink()
                assert check_whole(StateLocation(location.folder)).count("SUCCESS") == 2
            adopt_rows(location)
            assert check_whole(location).count("SUCCESS") == 2
            assert not (location.folder / "state.db").exists()
            with pytest.raises(StoreError, match="but `state:` names no connection"):
                Store.open(location.folder)
            tell(process)
    assert process.returncode == 0
    assert ends.count(False) > 0


@pytest.mark.slow
def test_two_writers_at_once_lose_nothing(folder: Path) -> None:
    processes = [subprocess.Popen([sys.executable, "-c", TWO, str(folder), name]) for name in ("one", "other")]
    assert [process.wait(timeout=60) for process in processes] == [0, 0]
    with Store.open(folder) as store:
        newest = store.models.find_newest("authorization")
        assert newest is not None
        assert newest.version == 80
        found = [one.metrics["row_count"].value for one in store.measurements.list_earlier("t", "no run")]
        assert sorted(found) == [float(number) for number in range(40) for _ in ("one", "other")]
        assert len(list((folder / "models" / "authorization").iterdir())) == 80
