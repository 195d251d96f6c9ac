"""`engine serve --node` as a process, asked over HTTP: who may ask what; its file read again; TLS; new deployments."""

import re
import signal
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest

import engine
from engine.spec import load
from engine.store.node import OperationState

from ..command_line import call_engine
from ..deployments.deployed import make_bundle, write_spec
from ..processes import list_descendants
from ..service.served import wait_until
from .asked_node import NODE, AskedNode, make_token, write_node
from .certificates import make_certificate


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AskedNode]:
    """Return a node that tests of this module share: none changes its file."""
    node = AskedNode(tmp_path_factory.mktemp("node"))
    try:
        yield node
        node.end()
    finally:
        node.kill()


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
    third = call_engine(asked.folder, "node", "token", "create", "node.yaml", "ada", "--role", "deployer")
    assert third.returncode == 2
    assert "has 2 valid tokens already" in third.stderr
    listed = call_engine(asked.folder, "node", "token", "list", "node.yaml").stdout
    line = next(each for each in listed.splitlines() if old.split("_")[1] in each)
    assert re.search(r"ada +deployer +valid +.* never +2", line), line  # it was used just now
    ambiguous = call_engine(asked.folder, "node", "token", "revoke", "node.yaml", "ada")
    assert "give the id of one of them" in ambiguous.stderr
    revoked = call_engine(asked.folder, "node", "token", "revoke", "node.yaml", old.split("_")[1])
    assert revoked.stdout == f"{old.split('_')[1]} of ada: revoked\n"
    assert (ask(old), ask(new)) == (401, 200)
    assert call_engine(asked.folder, "node", "token", "revoke", "node.yaml", "ada").returncode == 0
    assert ask(new) == 401


def test_the_record_of_actions_names_who_has_asked_and_no_token_is_written_anywhere(tmp_path: Path) -> None:
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
        asked.kill()


def test_two_servers_are_not_one_node(asked: AskedNode) -> None:
    refused = call_engine(asked.folder, "serve", "--node", "node.yaml")
    assert refused.returncode == 2
    assert "another server runs the node of" in refused.stderr


def test_a_source_without_a_value_is_reported_at_the_start(tmp_path: Path) -> None:
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
        asked.kill()


def test_hosts_and_origins_are_checked_also_with_a_token(asked: AskedNode) -> None:
    token = asked.tokens["admin"]
    assert asked.ask("/healthz", token, host="evil.example").status_code == 421
    assert asked.ask("/healthz", token, origin="https://evil.example").status_code == 403


def test_a_node_is_ready_and_reads_its_file_again_at_a_signal(tmp_path: Path) -> None:
    asked = AskedNode(tmp_path, "url: https://factory.example\nbehind_proxy: true\n")
    try:
        viewer, admin = asked.tokens["viewer"], asked.tokens["admin"]
        assert asked.ask("/readyz").status_code == 200
        assert asked.ask("/healthz", viewer, host="factory.example").status_code == 200
        assert asked.ask("/healthz", viewer, host="other.example").status_code == 421

        write_node(tmp_path, "url: https://other.example\nlistens: x\n")
        asked.server.process.send_signal(signal.SIGHUP)
        told = asked.server.wait_for("invalid node")
        assert "stays in use" in told["text"]
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
        asked.kill()


def test_the_server_speaks_tls_and_reads_a_new_certificate_at_a_signal(tmp_path: Path) -> None:
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
        with pytest.raises(httpx2.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            httpx2.get(f"{asked.url}/healthz", verify=old, headers=token)
        asked.end()
    finally:
        asked.kill()


def test_no_connection_fails_while_a_certificate_is_replaced(tmp_path: Path) -> None:
    make_certificate(tmp_path)
    (tmp_path / "other").mkdir()
    make_certificate(tmp_path / "other")
    asked = AskedNode(tmp_path, "tls: {certificate: cert.pem, key: key.pem}\n")
    try:
        trusting = ssl.create_default_context()
        trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
        address = urlsplit(asked.url)
        seen = set()
        for reload in range(1, 41):
            for name in ("cert.pem", "key.pem"):
                mine, others = tmp_path / name, tmp_path / "other" / name
                kept = mine.read_bytes()
                mine.write_bytes(others.read_bytes())
                others.write_bytes(kept)
            asked.server.process.send_signal(signal.SIGHUP)
            while len(asked.server.list_told("node")) < reload:
                with (
                    socket.create_connection((address.hostname, address.port)) as plain,
                    trusting.wrap_socket(plain) as connection,
                ):
                    seen.add(connection.getpeercert(binary_form=True))
        assert len(seen) == 2
        asked.end()
    finally:
        asked.kill()


@pytest.mark.parametrize(
    ("arguments", "environ", "said"),
    [
        (["--listen", "127.0.0.1:1"], {}, "--listen: not with --node: the key listen of its file decides this"),
        (["--at-once", "2"], {}, "the key limits.runs_at_once of its file"),
        (["--token-file", "x"], {}, "a node has tokens of its own"),
        (["spec.yaml"], {}, "spec.yaml was given too, but a node serves only the deployments on it"),
        ([], {"ENGINE_SERVE_TOKEN": "t" * 40}, "ENGINE_SERVE_TOKEN is set, but a node has tokens of its own"),
    ],
)
def test_what_the_file_decides_is_refused_elsewhere(
    arguments: list[str], environ: dict[str, str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_node(tmp_path)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    refused = call_engine(tmp_path, "serve", *arguments, "--node", "node.yaml")
    assert refused.returncode == 2
    assert said in refused.stderr


def test_a_file_that_is_wrong_starts_nothing_and_validate_finds_the_same(tmp_path: Path) -> None:
    write_node(tmp_path, "trusted_keys: {ada: none.pem}\n").write_text(NODE.replace("127.0.0.1", "0.0.0.0"))
    for arguments in (["serve", "--node", "node.yaml"], ["validate", "node.yaml"]):
        refused = call_engine(tmp_path, *arguments)
        assert refused.returncode == 2
        text = refused.stderr + refused.stdout
        assert "node.yaml:4:9: error: 0.0.0.0:0 can be reached from other machines" in text
    write_node(tmp_path)
    assert call_engine(tmp_path, "validate", "node.yaml").stdout == "node.yaml: valid\n"


def test_an_empty_node_takes_up_a_deployment(tmp_path: Path) -> None:
    spec = write_spec(tmp_path)
    spec.write_text(spec.read_text().replace("path: automation", "path: data"))
    make_bundle(load(spec), "v1")
    asked = AskedNode(tmp_path, "allow_code: true\n")
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
        asked.kill()
