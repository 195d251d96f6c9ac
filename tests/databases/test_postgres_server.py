"""The PostgreSQL server of the tests."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ..waiting import wait_for
from .postgres_server import PostgresServer, find_programs

START = """
import pathlib, sys, time
sys.path.insert(0, sys.argv[1])
from tests.databases.postgres_server import PostgresServer
server = PostgresServer(pathlib.Path(sys.argv[2])).__enter__()
print(server.port, server._folder, flush=True)
time.sleep(60)
"""


def test_a_database_keeps_what_is_written_and_other_databases_do_not_see_it(postgres: PostgresServer) -> None:
    first, second = postgres.create_database(), postgres.create_database()
    first.execute("CREATE TABLE rows (a int); INSERT INTO rows VALUES (1), (2)")
    assert first.execute("SELECT sum(a) FROM rows") == "3"
    with pytest.raises(RuntimeError, match="does not exist"):
        second.execute("SELECT * FROM rows")


def test_the_server_ends_with_a_killed_test(postgres: PostgresServer) -> None:
    programs = find_programs()
    assert programs is not None
    child = subprocess.Popen(
        [sys.executable, "-c", START, Path(__file__).parents[2], programs],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert child.stdout is not None
    port, folder = child.stdout.readline().split()
    ready = [programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", port]
    assert subprocess.run(ready, check=False).returncode == 0
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    child.stdout.close()
    wait_for(lambda: subprocess.run(ready, check=False).returncode != 0, "the end of the server")
    shutil.rmtree(folder, ignore_errors=True)
