"""Secrets that a node really uses: planted wherever they may be, and found nowhere where they must not be.

A project is deployed and run by the commands of a client. Its channels and connections get the secrets and fail, with
servers that quote what they were sent; its code and hooks print all that they see.
"""

import http.server
import json
import os
import socket
import sqlite3
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from engine.spec import load

from ..deployments.deployed import make_bundle
from ..processes import list_descendants
from ..server.asked_node import AskedNode
from ..waiting import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

OF_NODE = """
allow_code: true
secrets:
  hook_url: {env: HOOK_URL}
  header: {file: "THERE/header.txt"}
  mail: {env: MAIL_URL}
  warehouse: {env: WAREHOUSE_URL}
  undeclared: {env: UNDECLARED}
  undeclared_file: {file: "THERE/undeclared.txt"}
deployments:
  other:
    secrets: {own: {env: OTHER}, own_file: {file: "THERE/other.txt"}}
"""
SPEC = """
version: 1
project: tiny
connections: {warehouse: {kind: postgresql, url: "${secret.warehouse}", timeout: 2}}
datasets: {rows: {kind: stored, connection: warehouse, table: rows}}
variables: {note: none}
secrets:
  hook_url: {env: HOOK_URL, optional: true}
  header: {env: HEADER, optional: true}
  mail: {env: MAIL_URL, optional: true}
  warehouse: {env: WAREHOUSE_URL}
  client: {env: CLIENT_TOKEN}
channels:
  hook: {kind: webhook, url: "${secret.hook_url}", headers: {Authorization: "${secret.header}"},
         fallback: {kind: file, path: outbox}}
  mail: {kind: mail, url: "${secret.mail}", from: a@example.com,
         fallback: {kind: file, path: outbox}}
  file: {kind: file, path: told}
scenarios:
  show: {steps: [{name: call, kind: python, function: "mine:show"}]}
  fail: {steps: [{name: call, kind: python, function: "mine:fail"}]}
  read: {steps: [{name: load, kind: build, target: rows}]}
  tell:
    steps:
      - {name: by hook, kind: send_message, channel: hook, subject: "${note}", message: "${note}"}
      - {name: by mail, kind: send_message, channel: mail, to: [b@example.com], subject: "${note}", message: "${note}"}
      - {name: by file, kind: send_message, channel: file, subject: "${note}", message: "${note}"}
infrastructures: {factory: {kind: node, url: "URL", token: "${secret.client}"}}
deployments:
  production:
    infrastructure: factory
    bundle: v1
    hooks:
      before: [{argv: [sh, -c, "env; cat ../../../../header.txt ../../../../undeclared.txt"]}]
      after: [{argv: [sh, -c, "env >&2"]}]
"""
MODULE = """
import os
from pathlib import Path

def show():
    print(dict(os.environ), flush=True)
    for path in Path.cwd().parents:
        for name in ("header.txt", "undeclared.txt"):
            if (path / name).exists():
                print((path / name).read_text(), flush=True)
    return str(dict(os.environ))

def fail():
    raise ValueError(f"the environment was {dict(os.environ)}")
"""
FREE = ("NODE_ONLY", "AWS_SECRET_ACCESS_KEY", "PGPASSWORD", "GITHUB_TOKEN", "ENGINE_PRIVATE")
"""Variables of the environment of the server that are given to nobody."""


class Quoting(http.server.BaseHTTPRequestHandler):
    """Refuses what comes, and quotes all of it."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        said = f"refused: {self.path} {self.headers} ".encode() + body
        self.send_response(403, f"no {self.path[:60]}")
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serve_quoting() -> Iterator[tuple[int, int]]:
    """Yield the ports of a server of HTTP and of one of mail that refuse everybody and quote what they were sent."""
    web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quoting)
    mail = socket.create_server(("127.0.0.1", 0))

    def answer_mail() -> None:
        while True:
            with suppress(OSError):
                if mail.fileno() < 0:
                    return
                connection, _ = mail.accept()
                with connection, connection.makefile("rwb") as file:
                    file.write(b"220 here\r\n")
                    file.flush()
                    for line in file:
                        known = line[:4].upper() == b"EHLO"
                        file.write(b"250-here\r\n250 AUTH PLAIN LOGIN\r\n" if known else b"535 bad: " + line)
                        file.flush()

    threads = [threading.Thread(target=web.serve_forever), threading.Thread(target=answer_mail)]
    for thread in threads:
        thread.daemon = True
        thread.start()
    try:
        yield web.server_port, mail.getsockname()[1]
    finally:
        web.shutdown()
        web.server_close()
        with suppress(OSError):
            mail.shutdown(socket.SHUT_RDWR)
        mail.close()
        for thread in threads:
            thread.join(5)


class Planted:
    """A client in one folder and a node in another, with secrets; `values` has them by place."""

    def __init__(self, folder: Path, web: int, mail: int) -> None:
        places = ("hook path", "header file", "mail password", "warehouse password", "undeclared", "undeclared file",
                  "other", "other file", "login file", *FREE)  # fmt: skip
        self.values = {place: f"PLANTED{number:02}{os.urandom(8).hex()}" for number, place in enumerate(places)}
        self.here, self.there = folder / "client", folder / "factory"
        for one in (self.here, self.there):
            one.mkdir()
        (self.there / "header.txt").write_text(self.values["header file"])
        (self.there / "undeclared.txt").write_text(self.values["undeclared file"])
        (self.there / "other.txt").write_text(self.values["other file"])
        (self.there / "user").mkdir()
        (self.there / "user/.pgpass").write_text(f"*:*:*:*:{self.values['login file']}\n")
        environ = {
            "HOOK_URL": f"http://127.0.0.1:{web}/{self.values['hook path']}",
            "MAIL_URL": f"smtp://me:{self.values['mail password']}@127.0.0.1:{mail}",
            "WAREHOUSE_URL": f"postgresql://me:{self.values['warehouse password']}@127.0.0.1:1/db",
            "UNDECLARED": self.values["undeclared"],
            "OTHER": self.values["other"],
            "HOME": str(self.there / "user"),
            **{name: self.values[name] for name in FREE},
        }
        self.node = AskedNode(self.there, OF_NODE.replace("THERE", str(self.there)), environ)
        for role, token in self.node.tokens.items():
            self.values[f"token of the {role}"] = token.removeprefix("eng_")
        (self.here / "mine.py").write_text(MODULE)
        (self.here / "spec.yaml").write_text(textwrap.dedent(SPEC).replace('URL", token', f'{self.node.url}", token'))
        make_bundle(load(self.here / "spec.yaml"), "v1")
        self.said: list[str] = []
        self.lines: set[bytes] = set()

    def engine(self, *arguments: str, token: str | None = None) -> "subprocess.CompletedProcess[str]":
        """Give a command of the client, and keep what it says."""
        environ = {
            **os.environ,
            "CLIENT_TOKEN": token or self.node.tokens["admin"],
            "WAREHOUSE_URL": "postgresql://h/d",
        }
        done = subprocess.run(
            [sys.executable, "-m", "engine", *arguments],
            cwd=self.here, env=environ, capture_output=True, text=True, timeout=250, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
        self.said += [done.stdout, done.stderr]
        return done

    @contextmanager
    def watch_command_lines(self) -> Iterator[None]:
        """Keep the command lines of all processes of the server, and of what these start, meanwhile."""
        stop = threading.Event()

        def watch() -> None:
            while not stop.wait(0.3):
                server = self.node.server.process.pid
                for pid in [server, *list_descendants(server)]:
                    with suppress(OSError):
                        self.lines.add(Path(f"/proc/{pid}/cmdline").read_bytes())

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    def request_run(self, scenario: str, **variables: str) -> None:
        path, body = f"/v1/deployments/production/scenarios/{scenario}/runs", json.dumps({"variables": variables})
        kind = {"content-type": "application/json"}
        answer = self.node.ask(path, self.node.tokens["operator"], "POST", content=body.encode(), **kind)
        self.said.append(answer.text)

    def has_no_open_fire(self) -> bool:
        fires = self.node.ask("/projects/tiny@production/fires", self.node.tokens["viewer"]).json()["fires"]
        return all(one["state"] in ("DONE", "SKIPPED", "COALESCED") for one in fires)

    def ask_all(self) -> list[str]:
        """Return the answers of all endpoints that read, and the text of each run's log."""

        def read(path: str) -> str:
            answer = self.node.ask(path, self.node.tokens["viewer"])
            assert answer.status_code == 200, (path, answer.text)
            return answer.text

        listed, project = "/v1/deployments/production", "/projects/tiny@production"
        operations = json.loads(read(f"{listed}/operations"))["operations"]
        fires = json.loads(read(f"{project}/fires"))["fires"]
        paths = [
            "/healthz", "/metrics", "/v1/bundles", "/v1/deployments", "/v1/status", "/v1/openapi.json",
            listed, f"{listed}/operations", f"{listed}/status", f"{project}/fires", f"{project}/triggers",
            *(f"/v1/operations/{one['id']}{part}" for one in operations for part in ("", "/events")),
            *(f"{listed}/fires/{one['number']}" for one in fires),
            *(f"{listed}/runs/{one['run']}{part}" for one in fires if one["run"] for part in ("", "/log")),
        ]  # fmt: skip
        return [read(path) for path in paths]

    def find_leaks(self, texts: list[str]) -> dict[str, list[str]]:
        """Return by place where its value was found: in a file of the node or the client, an answer, a command line."""
        found: dict[str, list[str]] = {}
        contents: list[tuple[str, bytes]] = [(f"answer {text[:60]}", text.encode()) for text in texts]
        contents += [(f"said {text[:60]}", text.encode()) for text in self.said]
        contents += [(f"line {line[:200]!r}", line) for line in self.lines]
        for root in (self.there / "data", self.here):
            for path in root.rglob("*"):
                if path.is_file():
                    contents.append((str(path.relative_to(root.parent)), path.read_bytes()))
                if path.suffix == ".db":
                    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
                        contents += [
                            (f"row of {path.name}: {line[:80]}", line.encode()) for line in connection.iterdump()
                        ]
                    connection.close()
        contents += [
            (one.name, one.read_bytes()) for one in self.there.glob("*.txt") if one.name.startswith(("out", "err"))
        ]
        for place, value in self.values.items():
            if where := [name for name, content in contents if value.encode() in content]:
                found[place] = where
        return found


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Planted]:
    with serve_quoting() as (web, mail):
        made = Planted(tmp_path_factory.mktemp("planted"), web, mail)
        try:
            yield made
        finally:
            made.node.kill()


def test_what_was_planted_is_found_nowhere(planted: Planted) -> None:
    with planted.watch_command_lines():
        deployed = planted.engine("deploy", "spec.yaml", "production", "--now")
        assert deployed.returncode == 0, deployed.stdout + deployed.stderr
        planted.engine(
            "run", "spec.yaml", "tell", "--on", "production", "--var", f"note={planted.values['header file']}"
        )
        for scenario in ("show", "fail", "read"):
            planted.request_run(scenario)
        planted.request_run("tell", note="${secret.header} ${env.NODE_ONLY}")
        wait_for(planted.has_no_open_fire, "the end of all runs", 400)
        wrong = planted.node.tokens["admin"][:-1] + "~"
        planted.engine("status", "spec.yaml", token=wrong)
        for path in ("/healthz", "/nowhere", f"/nowhere?token={planted.node.tokens['admin']}"):
            planted.said.append(planted.node.ask(path, wrong, address="127.0.9.1").text)
    leaks = planted.find_leaks(planted.ask_all())
    said = "\n".join(planted.said)
    # Each way was really gone: the code and the hooks have printed, the servers have refused.
    for sign in ("the environment was", "refused", "HOOK_URL"):
        assert sign in said + "\n".join(planted.ask_all()), sign
    assert leaks == {}, json.dumps(leaks, indent=1)
    assert len(planted.values) >= 18
