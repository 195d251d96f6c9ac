"""PgBouncer before the PostgreSQL server of a test: each transaction gets another connection of the server."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from ..ports import find_free_port
from .postgres_server import NOBODY, OWNER, PASSWORD, Database

STARTING_SECONDS = 20.0


@contextmanager
def run_pooler(database: Database, *, pool_size: int = 2) -> Iterator[str]:
    """Give the address of a database behind PgBouncer, in its transaction mode, with so many connections behind it.

    Skips the test where PgBouncer is not installed. Root may not run it, so that root becomes nobody for it.
    """
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        pytest.skip("PgBouncer is not installed (Debian's package pgbouncer)")
    user: dict[str, Any] = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
    port = find_free_port()
    with tempfile.TemporaryDirectory(prefix="pooler-") as temporary:
        folder = Path(temporary)
        folder.chmod(0o755)
        (folder / "users").write_text(f'"{OWNER}" "{PASSWORD}"\n')
        settings = {
            "listen_addr": "127.0.0.1",
            "listen_port": port,
            "unix_socket_dir": "",
            "auth_type": "scram-sha-256",
            "auth_file": folder / "users",
            "pool_mode": "transaction",
            "default_pool_size": pool_size,
            "max_client_conn": 100,
            "query_wait_timeout": 30,
        }
        lines = ["[databases]", f"* = host=127.0.0.1 port={database.server.port}", "[pgbouncer]"]
        (folder / "pgbouncer.ini").write_text("\n".join([*lines, *(f"{key} = {one}" for key, one in settings.items())]))
        command = [program, "-q", folder / "pgbouncer.ini"]
        with (folder / "log").open("wb") as log, subprocess.Popen(command, stderr=log, cwd="/", **user) as process:
            try:
                until = time.monotonic() + STARTING_SECONDS
                while True:
                    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                        break
                    assert process.poll() is None, (folder / "log").read_text()
                    assert time.monotonic() < until, "PgBouncer does not answer"
                    time.sleep(0.05)
                yield database.url().replace(f":{database.server.port}/", f":{port}/")
            finally:
                process.kill()
