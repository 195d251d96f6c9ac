"""A store with a clock that the test sets, and records to put into it."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.evaluation.record import Evaluation, Fingerprints, MetricValue
from engine.store import Store, generate_id
from engine.store.location import PostgresqlSchema, StateLocation
from tests.databases.postgres_server import Database as PostgresDatabase
from tests.databases.postgres_server import PostgresServer

from ..clocks import Clock
from .retained_state import NOW, State


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state"


SCHEMA = "engine_test"
BOTH = ["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)]
"""The kinds of databases. The second one is slow: what differs between them is tested by `test_server_rows.py`."""


@pytest.fixture(scope="session")
def empty_database(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> PostgresDatabase:
    """Give a database with the tables of a state, which belongs to nobody: a copy of it takes no time."""
    database = postgres.create_database()
    folder = tmp_path_factory.mktemp("template")
    Store.open(StateLocation(folder, PostgresqlSchema(database.url(), SCHEMA))).close()
    database.execute(f"DELETE FROM {SCHEMA}.state_owner")
    return database


@pytest.fixture
def server_location(postgres: PostgresServer, empty_database: PostgresDatabase, folder: Path) -> StateLocation:
    """Give where a state is whose rows are in a schema."""
    database = postgres.create_database(empty_database)
    return StateLocation(folder, PostgresqlSchema(database.url(), SCHEMA))


@pytest.fixture(params=BOTH)
def location(request: pytest.FixtureRequest, folder: Path) -> StateLocation:
    """Give where a state is that does not exist yet: in a folder, or in a folder and a schema.

    A module whose tests are about one kind has a fixture of the same name.
    """
    if request.param == "sqlite":
        return StateLocation(folder)
    found: StateLocation = request.getfixturevalue("server_location")
    return found


@pytest.fixture
def store(location: StateLocation, clock: Clock) -> Iterator[Store]:
    with Store.open(location, now=clock) as opened:
        yield opened


@pytest.fixture
def make_evaluation(clock: Clock) -> Callable[..., Evaluation]:
    def make(name: str = "Q2 2017", store: str = "the_MES", **other: object) -> Evaluation:
        values: dict[str, object] = {
            "id": generate_id(clock()),
            "store": store,
            "name": name,
            "labels": {"quarter": name},
            "created": clock(),
            "fingerprints": Fingerprints("m", "d", "r", "p"),
            "engine_version": "0.1.0",
            "kernel_version": "1",
            "rows_read": 10,
            "rows_used": 9,
            "reference_rows": 100,
            "metrics": {
                "data_drift": MetricValue(0.5, 0.45, 0.55, 0.5),
                "roc_auc": MetricValue(None, reason="no labels"),
            },
        }
        return Evaluation(**values | other)

    return make


@pytest.fixture(scope="session")
def empty_state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("empty") / "state"
    Store.open(folder).close()
    return folder


@pytest.fixture
def state(empty_state: Path, location: StateLocation) -> Iterator[State]:
    if location.rows is None:
        shutil.copytree(empty_state, location.folder)
    clock = Clock(NOW)
    with Store.open(location, now=clock) as store:
        yield State(store, clock)
