"""Bundles that come over HTTP: whole ones are kept, once; of all others nothing stays."""

import os
import socket
import threading
import time
from pathlib import Path

import httpx2
import pytest

from engine.server.node_api import bundles
from engine.service.deployments.node import folder as node_folder

from ..waiting import wait_for
from .node_server import NodeServer, make_archive, serve_node


def list_files(served: NodeServer) -> list[str]:
    # os.walk, unlike Path.rglob, skips a folder that is removed meanwhile
    found = (names for part in ("staging", "bundles") for names in os.walk(served.folder / part))
    return [name for _, folders, files in found for name in (*folders, *files)]


def test_a_bundle_is_kept_once(served: NodeServer, client: httpx2.Client, bundle: tuple[str, bytes]) -> None:
    id_, content = bundle
    answers = [client.put(f"/v1/bundles/{id_}", content=content) for _ in range(2)]
    assert [one.status_code for one in answers] == [201, 200]
    assert answers[0].json() == answers[1].json()
    assert answers[0].json()["bundle"] | {"received": ""} == {
        "id": id_,
        "project": "tiny",
        "name": id_[:12],
        "size": len(content),
        "received": "",
        "by": "admin",
        "signers": [],
    }
    assert (served.folder / "bundles" / f"{id_}.zip").read_bytes() == content
    assert list_files(served) == [f"{id_}.zip"]
    assert [one["id"] for one in client.get("/v1/bundles").json()["bundles"]] == [id_]
    assert client.get(f"/v1/bundles/{id_}").json() == answers[0].json()
    assert client.delete(f"/v1/bundles/{id_}").json() == {"deleted": id_}
    assert client.get(f"/v1/bundles/{id_}").status_code == 404
    assert list_files(served) == []


def test_a_bundle_without_a_declared_size_is_counted(
    served: NodeServer, client: httpx2.Client, bundle: tuple[str, bytes]
) -> None:
    id_, content = bundle
    parts = (content[i : i + 1000] for i in range(0, len(content), 1000))
    assert client.put(f"/v1/bundles/{id_}", content=parts).status_code == 201


def test_what_is_not_the_bundle_of_the_id_is_refused(
    served: NodeServer, client: httpx2.Client, bundle: tuple[str, bytes]
) -> None:
    id_, content = bundle
    wrong = {
        "another bundle": content,
        "no archive": b"hello",
        "nothing": b"",
        "a byte less": content[:-1],
        "another byte": content[:200] + bytes([content[200] ^ 1]) + content[201:],
    }
    for what, sent in wrong.items():
        other = "0" * 64 if what == "another bundle" else id_
        answer = client.put(f"/v1/bundles/{other}", content=sent)
        assert answer.status_code == 422, (what, answer.text)
        assert str(served.folder) not in answer.text
    assert list_files(served) == []
    for name in ("x", "A" * 64, "..", "%2e%2e%2f" + "0" * 58):
        assert client.put(f"/v1/bundles/{name}", content=b"").status_code in (404, 405, 422), name


def test_limits_of_size_number_and_room(tmp_path: Path) -> None:
    made = [make_archive(tmp_path / name, name) for name in ("a", "b")]
    third = make_archive(tmp_path / "c", "c", function="broken")
    with serve_node(tmp_path, "limits: {bundle_megabytes: 0.01, bundles: 1}") as served, served.connect() as client:
        large = os.urandom(20_000)
        assert client.put(f"/v1/bundles/{'0' * 64}", content=large).status_code == 413
        assert client.put(f"/v1/bundles/{'0' * 64}", content=iter([large])).status_code == 413
        for id_, content in (made[0], third):
            assert client.put(f"/v1/bundles/{id_}", content=content).status_code == 201
        assert [one.id for one in served.node.list_bundles()] == [third[0]]
        assert list_files(served) == [f"{third[0]}.zip"]


def test_a_bundle_that_is_too_large_is_refused_before_it_comes(served: NodeServer) -> None:
    connection = send_head(served, "0" * 64, 10**15)
    assert connection.recv(100).startswith(b"HTTP/1.1 413")
    connection.close()


def test_a_full_disk_is_reported(
    served: NodeServer, client: httpx2.Client, bundle: tuple[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node_folder, "SPARE_BYTES", 1 << 60)
    answer = client.put(f"/v1/bundles/{bundle[0]}", content=bundle[1])
    assert (answer.status_code, "no room" in answer.json()["error"]) == (507, True)
    assert list_files(served) == []


def send_head(served: NodeServer, id_: str, size: int, role: str = "admin") -> socket.socket:
    """Begin to send a bundle, and return the connection."""
    host, port = served.url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)))
    head = (
        f"PUT /v1/bundles/{id_} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {served.tokens[role]}\r\n"
        f"Content-Length: {size}\r\n\r\n"
    )
    connection.sendall(head.encode())
    return connection


def test_a_cut_upload_leaves_nothing(served: NodeServer, bundle: tuple[str, bytes]) -> None:
    id_, content = bundle
    connection = send_head(served, id_, len(content))
    connection.sendall(content[: len(content) // 2])
    wait_for(lambda: list_files(served), "the upload")
    connection.close()
    wait_for(lambda: not list_files(served), "the removal of the cut upload")
    with served.connect() as client:
        assert client.put(f"/v1/bundles/{id_}", content=content).status_code == 201


def test_two_uploads_of_one_bundle_at_once_keep_one(served: NodeServer, bundle: tuple[str, bytes]) -> None:
    id_, content = bundle
    first = send_head(served, id_, len(content))
    first.sendall(content[:-1])
    with served.connect() as client:
        assert client.put(f"/v1/bundles/{id_}", content=content).status_code == 201
    first.sendall(content[-1:])
    assert first.recv(100).startswith(b"HTTP/1.1 200")
    first.close()
    assert list_files(served) == [f"{id_}.zip"]


def test_a_slow_upload_is_ended(served: NodeServer, bundle: tuple[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundles, "PART_SECONDS", 0.5)
    monkeypatch.setattr(bundles, "FIRST_SECONDS", 1.0)
    id_, content = bundle
    silent = send_head(served, id_, len(content))
    assert silent.recv(100).startswith(b"HTTP/1.1 408")
    silent.close()
    slow = send_head(served, id_, 10**6)
    began = time.monotonic()
    stop = threading.Event()

    def drip() -> None:
        while not stop.wait(0.1):
            try:
                slow.sendall(b"x")
            except OSError:
                return

    thread = threading.Thread(target=drip)
    thread.start()
    assert slow.recv(100).startswith(b"HTTP/1.1 408")
    assert time.monotonic() - began < 20
    stop.set()
    thread.join()
    slow.close()
    wait_for(lambda: not list_files(served), "the removal of the slow upload")


def test_what_a_killed_server_has_left_of_uploads_is_removed(tmp_path: Path) -> None:
    left = tmp_path / "node" / "staging" / "upload-00"
    left.mkdir(parents=True)
    (left / "x.zip").write_bytes(b"half")
    with serve_node(tmp_path):
        wait_for(lambda: not left.exists(), "the removal")


def test_only_a_deployer_may_put_bundles(served: NodeServer, bundle: tuple[str, bytes]) -> None:
    id_, content = bundle
    for role in ("viewer", "operator"):
        with served.connect(role) as client:
            assert client.put(f"/v1/bundles/{id_}", content=content).status_code == 403
    assert list_files(served) == []
    with served.connect("deployer") as client:
        assert client.put(f"/v1/bundles/{id_}", content=content).status_code == 201
        assert client.delete(f"/v1/bundles/{id_}").status_code == 403


def test_a_bundle_whose_archive_a_killed_server_has_not_brought_into_place_is_not_listed(
    served: NodeServer, client: httpx2.Client, bundle: tuple[str, bytes]
) -> None:
    id_, content = bundle
    assert client.put(f"/v1/bundles/{id_}", content=content).status_code == 201
    (served.folder / "bundles" / f"{id_}.zip").unlink()  # the row is there before the file, and is removed after it
    assert client.get("/v1/bundles").json() == {"bundles": []}
    assert client.get(f"/v1/bundles/{id_}").status_code == 404
    assert client.put(f"/v1/bundles/{id_}", content=content).status_code == 201
