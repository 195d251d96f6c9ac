"""`engine serve --node` as a process, asked over HTTP: who may ask what; its file read again; TLS; new deployments."""

import re
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from starlette.routing import Route

import engine
from engine.server.access import OPEN_PATHS
from engine.server.app import build_app
from engine.server.callers import GuardedRoute, Role
from engine.server.node_api.application import NodeApi
from engine.server.tokens import NodeTokens
from engine.service.served_node import ServedNode
from engine.spec import load
from engine.store.node import Node, OperationState

from ..deployments.deployed import make_bundle, write_spec  # noqa: TID252 - one way to make deployments for all tests
from ..service.served import Served, list_descendants, wait_until  # noqa: TID252 - one way to start a server
from .certificates import make_certificate
from .small_server import SmallServer
from .small_server import write_spec as write_small_spec

ROLES = {
    ("GET", "/healthz"): "viewer",
    ("GET", "/metrics"): "viewer",
    ("POST", "/reload"): "admin",
    ("GET", "/projects/{project}/fires"): "viewer",
    ("GET", "/projects/{project}/fires/{number:int}"): "viewer",
    ("GET", "/projects/{project}/triggers"): "viewer",
    ("GET", "/projects/{project}/runs/{run}"): "viewer",
    ("POST", "/projects/{project}/runs/{run}/abort"): "operator",
    ("POST", "/projects/{project}/scenarios/{scenario}/runs"): "operator",
    ("POST", "/projects/{project}/scenarios/{scenario}/pause"): "operator",
    ("POST", "/projects/{project}/scenarios/{scenario}/resume"): "operator",
    ("PUT", "/v1/bundles/{id}"): "deployer",
    ("GET", "/v1/bundles"): "viewer",
    ("GET", "/v1/bundles/{id}"): "viewer",
    ("DELETE", "/v1/bundles/{id}"): "admin",
    ("GET", "/v1/deployments"): "viewer",
    ("GET", "/v1/deployments/{name}"): "viewer",
    ("DELETE", "/v1/deployments/{name}"): "admin",
    ("POST", "/v1/deployments/{name}/updates"): "deployer",
    ("POST", "/v1/deployments/{name}/rollback"): "deployer",
    ("POST", "/v1/deployments/{name}/disable"): "deployer",
    ("GET", "/v1/deployments/{name}/operations"): "viewer",
    ("GET", "/v1/operations/{id}"): "viewer",
    ("GET", "/v1/operations/{id}/events"): "viewer",
    ("POST", "/v1/deployments/{name}/scenarios/{scenario}/runs"): "operator",
    ("POST", "/v1/deployments/{name}/scenarios/{scenario}/pause"): "operator",
    ("POST", "/v1/deployments/{name}/scenarios/{scenario}/resume"): "operator",
    ("GET", "/v1/deployments/{name}/fires/{number}"): "viewer",
    ("GET", "/v1/deployments/{name}/runs/{run}"): "viewer",
    ("GET", "/v1/deployments/{name}/runs/{run}/log"): "viewer",
    ("POST", "/v1/deployments/{name}/runs/{run}/abort"): "operator",
    ("GET", "/v1/deployments/{name}/evaluations"): "viewer",
    ("GET", "/v1/deployments/{name}/evaluations/{id}"): "viewer",
    ("GET", "/v1/deployments/{name}/evaluations/{id}/files/{file}"): "viewer",
    ("GET", "/v1/status"): "viewer",
    ("GET", "/v1/deployments/{name}/status"): "viewer",
    ("GET", "/v1/openapi.json"): "viewer",
}
"""Which role each request needs. A path that is new must be entered here."""

NODE = "version: 1\nnode: factory\nfolder: data\nlisten: 127.0.0.1:0\n"


def write_node(folder: Path, more: str = "") -> Path:
    path = folder / "node.yaml"
    path.write_text(NODE + more, encoding="utf-8")
    return path


def make_token(folder: Path, name: str, role: str, *options: str) -> str:
    """Make a token as people do, and return it."""
    command = ["node", "token", "create", "node.yaml", name, "--role", role, *options]
    return run_engine(folder, *command).stdout.strip()


def run_engine(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "engine", *arguments]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=120, check=False, stdin=subprocess.DEVNULL
    )


class AskedNode:
    """A node that runs, with a token of each role."""

    def __init__(self, folder: Path, more: str = "") -> None:
        self.folder = folder
        self.path = write_node(folder, more)
        with Node.open(folder / "data") as node:
            self.tokens = {role.word: node.tokens.create(f"the {role.word}", role.word, "test")[0] for role in Role}
        self.server = Served(folder, "--node", "node.yaml", "--drain", "1")
        self.url: str = self.server.wait_for("listening")["url"]

    def ask(
        self, path: str, token: str | None = None, method: str = "GET", address: str = "127.0.0.1", **headers: str
    ) -> httpx2.Response:
        """Send a request, from one of the addresses of this machine."""
        given = {"authorization": f"Bearer {token}"} if token else {}
        transport = httpx2.HTTPTransport(local_address=address)
        with httpx2.Client(transport=transport, base_url=self.url, timeout=30) as client:
            return client.request(method, path, headers=given | headers)

    def end(self) -> None:
        if self.server.process.poll() is None:
            assert self.server.end() == 0, self.server.describe()


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AskedNode]:
    """Return a node that tests of this module share: none changes its file."""
    node = AskedNode(tmp_path_factory.mktemp("node"))
    try:
        yield node
        node.end()
    finally:
        node.server.process.kill()
        node.server.process.wait()


def list_routes(folder: Path) -> list[Route]:
    """Return the routes that a node has."""
    control = SmallServer(write_small_spec(folder))
    node = ServedNode(write_node(folder), {}, Silent())
    try:
        api = NodeApi(control, node.node, lambda: node.spec, {}, print)
        guard = build_app(control, NodeTokens(node.node.tokens, print), print, node, api)
        return [route for route in guard.routes if isinstance(route, Route)]
    finally:
        node.close()
        control.close()


class Silent:
    """Takes what a server tells, and shows it to nobody."""

    def tell(self, kind: str, text: str, **facts: object) -> None: ...

    def show_findings(self, findings: object) -> None: ...

    def show_line(self, line: object) -> None: ...

    def mask_secrets(self, project: object) -> None: ...


def test_every_path_is_for_those_whose_token_is_valid_and_of_the_right_role(asked: AskedNode, tmp_path: Path) -> None:
    routes = list_routes(tmp_path)
    unguarded = {route.path for route in routes if not isinstance(route, GuardedRoute)}
    assert unguarded == set(OPEN_PATHS)
    guarded = [(method, route.path) for route in routes if route.path not in OPEN_PATHS
               for method in sorted((route.methods or set()) - {"HEAD"})]  # fmt: skip
    assert set(guarded) == set(ROLES)

    with Node.open(asked.folder / "data") as node:
        revoked, row = node.tokens.create("gone", "admin", "test")
        node.tokens.revoke(row)
        expired = node.tokens.create("late", "admin", "test", node.database.now())[0]
    wrong = asked.tokens["admin"][:-1] + ("A" if asked.tokens["admin"][-1] != "A" else "Q")
    invalid = {
        None: "the token is missing",
        wrong: "the token is not one of this node",
        expired: "the token has expired at ",
        revoked: "the token was revoked at ",
    }
    for number, (method, template) in enumerate(guarded):
        path = re.sub(r"\{\w+:int\}", "1", template)
        path = re.sub(r"\{[^}]*\}", "x", path)
        address = f"127.0.1.{number + 1}"  # ten failures of an address are looked into
        for token, said in invalid.items():
            refused = asked.ask(path, token, method, address)
            assert refused.status_code == 401, (method, path, said)
            assert said in refused.json()["error"]
        needed = Role[ROLES[method, template].upper()]
        for role in Role:
            answer = asked.ask(path, asked.tokens[role.word], method, address)
            if role < needed:
                assert answer.status_code == 403, (method, path, role)
                assert f"needs the role {needed.word}" in answer.json()["error"]
            else:
                assert answer.status_code not in (401, 403, 405, 429), (method, path, role, answer.text)
                assert answer.status_code < 500, (method, path, role, answer.text)


def test_a_token_in_the_address_does_not_count(asked: AskedNode) -> None:
    found = asked.ask(f"/healthz?token={asked.tokens['admin']}", address="127.0.2.1")
    assert (found.status_code, found.json()["error"]) == (401, "the token is missing")


def test_an_address_that_guesses_is_not_looked_into_and_the_others_are(asked: AskedNode) -> None:
    guesses = [asked.ask("/healthz", "eng_00000000_" + "a" * 43, address="127.0.2.2").status_code for _ in range(12)]
    assert guesses == [401] * 10 + [429] * 2
    assert asked.ask("/healthz", asked.tokens["viewer"], address="127.0.2.2").status_code == 200
    assert asked.ask("/healthz", address="127.0.2.3").status_code == 401


def test_a_new_token_takes_the_place_of_an_old_one(asked: AskedNode) -> None:
    def ask(token: str) -> int:
        return asked.ask("/healthz", token, address="127.0.2.4").status_code

    old = make_token(asked.folder, "ada", "deployer")
    new = make_token(asked.folder, "ada", "deployer", "--expires", "90d")
    assert (ask(old), ask(new)) == (200, 200)
    third = run_engine(asked.folder, "node", "token", "create", "node.yaml", "ada", "--role", "deployer")
    assert third.returncode == 2
    assert "has 2 valid tokens already" in third.stderr
    listed = run_engine(asked.folder, "node", "token", "list", "node.yaml").stdout
    line = next(each for each in listed.splitlines() if old.split("_")[1] in each)
    assert re.search(r"ada +deployer +valid +.* never +2", line), line  # it was used just now
    ambiguous = run_engine(asked.folder, "node", "token", "revoke", "node.yaml", "ada")
    assert "name one of them by its id" in ambiguous.stderr
    revoked = run_engine(asked.folder, "node", "token", "revoke", "node.yaml", old.split("_")[1])
    assert revoked.stdout == f"{old.split('_')[1]} of ada: revoked\n"
    assert (ask(old), ask(new)) == (401, 200)
    assert run_engine(asked.folder, "node", "token", "revoke", "node.yaml", "ada").returncode == 0
    assert ask(new) == 401


def test_who_has_asked_stands_in_what_was_done_and_no_token_stands_anywhere(tmp_path: Path) -> None:
    asked = AskedNode(tmp_path)
    try:
        for token in asked.tokens.values():
            for path in ("/healthz", "/metrics", "/nowhere", f"/nowhere?token={token}", f"/projects/{token}/fires"):
                asked.ask(path, token)
            asked.ask("/reload", token, "POST")
            assert token not in asked.ask("/healthz", token).text
        processes = [asked.server.process.pid, *list_descendants(asked.server.process.pid)]
        shown = [Path(f"/proc/{pid}/{name}").read_bytes() for pid in processes for name in ("cmdline", "environ")]
        asked.end()
        kept = [path.read_bytes() for path in asked.folder.rglob("*") if path.is_file()]
        for token in asked.tokens.values():
            secret = token.split("_", 2)[2].encode()
            assert not [text for text in [*shown, *kept] if secret in text]
    finally:
        asked.server.process.kill()
        asked.server.process.wait()


def test_two_servers_are_not_one_node(asked: AskedNode) -> None:
    refused = run_engine(asked.folder, "serve", "--node", "node.yaml")
    assert refused.returncode == 2
    assert "another server is the node of" in refused.stderr


def test_a_source_without_a_value_is_told_at_the_start(tmp_path: Path) -> None:
    more = (
        "secrets: {there: {env: PATH}, gone: {env: ENGINE_TEST_GONE}, lost: {file: /nowhere/token}}\n"
        "deployments: {staging: {environment: {LANGUAGE: ENGINE_TEST_GONE}}}\n"
    )
    asked = AskedNode(tmp_path, more)
    try:
        asked.server.wait_for("warning", 3)
        assert [one["text"].partition(": ")[2] for one in asked.server.list_told("warning")] == [
            'the secret "gone" has no value: the variable ENGINE_TEST_GONE is not set',
            'the secret "lost" has no value: the file /nowhere/token cannot be read or is empty',
            "${env.LANGUAGE} of staging has no value: the variable ENGINE_TEST_GONE is not set",
        ]
        asked.end()
    finally:
        asked.server.process.kill()
        asked.server.process.wait()


def test_hosts_and_origins_are_checked_also_with_a_token(asked: AskedNode) -> None:
    token = asked.tokens["admin"]
    assert asked.ask("/healthz", token, host="evil.example").status_code == 421
    assert asked.ask("/healthz", token, origin="https://evil.example").status_code == 403


def test_a_node_is_ready_and_takes_its_file_again_at_a_signal(tmp_path: Path) -> None:
    asked = AskedNode(tmp_path, "url: https://factory.example\nbehind_proxy: true\n")
    try:
        viewer, admin = asked.tokens["viewer"], asked.tokens["admin"]
        assert asked.ask("/readyz").status_code == 200
        assert asked.ask("/healthz", viewer, host="factory.example").status_code == 200
        assert asked.ask("/healthz", viewer, host="other.example").status_code == 421

        write_node(tmp_path, "url: https://other.example\nlistens: x\n")
        asked.server.process.send_signal(signal.SIGHUP)
        told = asked.server.wait_for("invalid node")
        assert "stays in force" in told["text"]
        assert 'did you mean "listen"' in asked.server.err.read_text()
        found = asked.ask("/healthz", viewer).json()
        assert (found["ready"], found["node"]["valid"]) == (True, False)
        assert "listens" in found["node"]["problems"][0]
        assert asked.ask("/healthz", viewer, host="factory.example").status_code == 200
        refused = asked.ask("/reload", admin, "POST")
        assert (refused.status_code, refused.json()["node"]["valid"]) == (422, False)

        write_node(tmp_path, "url: https://other.example\nlimits: {runs_at_once: 7}\n")
        answered = asked.ask("/reload", admin, "POST")
        assert (answered.status_code, answered.json()["node"]["valid"]) == (200, True)
        assert asked.ask("/healthz", viewer, host="other.example").status_code == 200
        assert asked.ask("/healthz", viewer, host="factory.example").status_code == 421
        assert "behind_proxy" in asked.server.wait_for("warning")["text"]  # it counts from the next start
        asked.end()
    finally:
        asked.server.process.kill()
        asked.server.process.wait()


def test_it_speaks_tls_and_takes_a_new_certificate_at_a_signal(tmp_path: Path) -> None:
    certificate, _ = make_certificate(tmp_path)
    (tmp_path / "other").mkdir()
    other, other_key = make_certificate(tmp_path / "other")
    asked = AskedNode(tmp_path, "tls: {certificate: cert.pem, key: key.pem}\n")
    try:
        token = {"authorization": f"Bearer {asked.tokens['viewer']}"}
        old, new = (ssl.create_default_context(cadata=path.read_text()) for path in (certificate, other))
        assert asked.url.startswith("https://")
        assert httpx2.get(f"{asked.url}/healthz", verify=old, headers=token).status_code == 200
        with pytest.raises(httpx2.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            httpx2.get(f"{asked.url}/healthz", verify=new, headers=token)
        with pytest.raises(httpx2.TransportError):
            httpx2.get(f"{asked.url.replace('https', 'http')}/livez")

        (tmp_path / "key.pem").write_text(other_key.read_text())  # it does not belong to the certificate
        asked.server.process.send_signal(signal.SIGHUP)
        assert "the certificate in use stays" in asked.server.wait_for("problem")["text"]
        assert httpx2.get(f"{asked.url}/healthz", verify=old, headers=token).status_code == 200
        (tmp_path / "cert.pem").write_text(other.read_text())
        asked.server.process.send_signal(signal.SIGHUP)
        asked.server.wait_for("node", 2)
        assert httpx2.get(f"{asked.url}/healthz", verify=new, headers=token).status_code == 200
        asked.end()
    finally:
        asked.server.process.kill()
        asked.server.process.wait()


@pytest.mark.parametrize(
    ("arguments", "environ", "said"),
    [
        (["--listen", "127.0.0.1:1"], {}, "--listen: not with --node: the key listen of its file decides this"),
        (["--at-once", "2"], {}, "the key limits.runs_at_once of its file"),
        (["--token-file", "x"], {}, "a node has tokens of its own"),
        (["spec.yaml"], {}, "spec.yaml was given too, but a node serves what is deployed on it"),
        ([], {"ENGINE_SERVE_TOKEN": "t" * 40}, "ENGINE_SERVE_TOKEN is set, but a node has tokens of its own"),
    ],
)
def test_what_the_file_decides_is_refused_elsewhere(
    arguments: list[str], environ: dict[str, str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_node(tmp_path)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    refused = run_engine(tmp_path, "serve", *arguments, "--node", "node.yaml")
    assert refused.returncode == 2
    assert said in refused.stderr


def test_a_file_that_is_wrong_starts_nothing_and_validate_finds_the_same(tmp_path: Path) -> None:
    write_node(tmp_path, "trusted_keys: {ada: none.pem}\n").write_text(NODE.replace("127.0.0.1", "0.0.0.0"))
    for arguments in (["serve", "--node", "node.yaml"], ["validate", "node.yaml"]):
        refused = run_engine(tmp_path, *arguments)
        assert refused.returncode == 2
        text = refused.stderr + refused.stdout
        assert "node.yaml:4:9: error: 0.0.0.0:0 can be reached from other machines" in text
    write_node(tmp_path)
    assert run_engine(tmp_path, "validate", "node.yaml").stdout == "node.yaml: valid\n"


def test_an_empty_node_takes_up_a_deployment(tmp_path: Path) -> None:
    spec = write_spec(tmp_path)
    spec.write_text(spec.read_text().replace("path: automation", "path: data"))
    make_bundle(load(spec), "v1")
    asked = AskedNode(tmp_path)
    try:
        project = engine.load(spec)
        assert project.deploy("production", "v1", now=True).state is OperationState.HEALTHY
        asked.server.wait_for("served")
        path = "/projects/tiny@production/scenarios/probe/runs"
        assert asked.ask(path, asked.tokens["viewer"], "POST").status_code == 403
        assert asked.ask(path, asked.tokens["operator"], "POST").status_code == 202
        wait_until(lambda: "SUCCESS" in list(project.on("production").runs()["state"]), "no run", asked.server)
        pause = {"reason": "rest"}
        paused = httpx2.post(
            f"{asked.url}/projects/tiny@production/scenarios/probe/pause",
            json=pause,
            headers={"authorization": f"Bearer {asked.tokens['operator']}"},
        )
        assert paused.json()["by"] == "the operator 127.0.0.1"
        asked.end()
    finally:
        asked.server.process.kill()
        asked.server.process.wait()
