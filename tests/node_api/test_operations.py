"""Updates that are asked for over HTTP, and carried out by processes."""

import json
import os
import signal
import socket
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx2
import pytest

from ..deployments.deployed import check_infrastructure
from .node_server import (
    NodeServer,
    describe_update,
    find_processes,
    make_archive,
    name_program,
    serve_node,
    wait_for,
)

PRODUCTION = "/v1/deployments/production"
HEALTH = {"health_run": ("probe",), "health_seconds": 120.0}


def bring(client: httpx2.Client, archive: tuple[str, bytes]) -> str:
    assert client.put(f"/v1/bundles/{archive[0]}", content=archive[1]).status_code == 201
    return archive[0]


def deploy(server: NodeServer, client: httpx2.Client, body: dict[str, Any], **headers: str) -> dict[str, Any]:
    """Ask for an update, and return its operation when it has ended."""
    answer = client.post(f"{PRODUCTION}/updates", json=body, headers=headers)
    assert answer.status_code == 202, answer.text
    return server.wait_for_end(answer.json()["operation"]["id"])


@pytest.mark.slow
def test_deploying_rolling_back_and_switching_off(tmp_path: Path, served: NodeServer, client: httpx2.Client) -> None:
    first, second = (bring(client, make_archive(tmp_path / name, name)) for name in ("v1", "v2"))
    answer = client.post(f"{PRODUCTION}/updates", json=describe_update(first, None))
    assert answer.headers["location"] == f"/v1/operations/{answer.json()['operation']['id']}"
    done = served.wait_for_end(answer.json()["operation"]["id"])
    assert (done["state"], done["by"], done["to_revision"]) == ("HEALTHY", "admin", 1)
    assert [step["name"] for step in done["steps"]] == [
        "RECEIVED",
        "VERIFIED",
        "LAID_DOWN",
        "PRELOADED",
        "health check",
    ]
    state = client.get(PRODUCTION).json()["state"]
    assert (state["row"]["active_revision"], state["active"]["bundle"], state["open_operation"]) == (1, first, None)

    assert deploy(served, client, describe_update(second, 1, now=True, bundle_name="v2"))["state"] == "HEALTHY"
    back = client.post(f"{PRODUCTION}/rollback", json={"expected_revision": 2, "now": True})
    assert served.wait_for_end(back.json()["operation"]["id"])["state"] == "HEALTHY"
    state = client.get(PRODUCTION).json()["state"]
    assert (state["active"]["bundle"], list(state["row"]["quarantined"])) == (first, [second])
    again = client.post(f"{PRODUCTION}/updates", json=describe_update(second, 3))
    assert (again.status_code, "rolled back here" in again.json()["error"]) == (409, True)

    off = client.post(f"{PRODUCTION}/disable", json={})
    assert served.wait_for_end(off.json()["operation"]["id"])["state"] == "HEALTHY"
    status = client.get(f"{PRODUCTION}/status").json()
    assert (status["deployment"]["state"], status["deployment"]["well"]) == ("ERROR", False)
    assert client.get("/v1/status").json() == {"deployments": [status]}
    metrics = client.get("/metrics").text
    assert 'engine_deployment_state{deployment="production",state="error"} 1.0' in metrics
    assert 'engine_deployment_revision{deployment="production"} 4.0' in metrics
    assert 'engine_deployment_last_update_timestamp_seconds{deployment="production",outcome="healthy"}' in metrics
    kinds = [one["kind"] for one in client.get(f"{PRODUCTION}/operations").json()["operations"]]
    assert kinds == ["deploy", "deploy", "rollback", "disable"]

    assert client.delete(f"/v1/bundles/{first}").status_code == 409
    assert client.delete(PRODUCTION).json() == {"deleted": "production", "rows": ""}
    assert client.get(PRODUCTION).status_code == 404
    wait_for(lambda: not list((served.folder / "staging").iterdir()), "the removal")
    check_infrastructure(served.folder)


@pytest.mark.slow
def test_one_of_two_deployers_at_once_is_refused(tmp_path: Path, served: NodeServer) -> None:
    with served.connect() as client:
        first, second = (bring(client, make_archive(tmp_path / name, name)) for name in ("v1", "v2"))
    answers: list[httpx2.Response] = []

    def ask(bundle: str) -> None:
        with served.connect("deployer") as client:
            answers.append(client.post(f"{PRODUCTION}/updates", json=describe_update(bundle, None, now=True)))

    threads = [threading.Thread(target=ask, args=(one,)) for one in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    accepted, refused = sorted(answers, key=lambda one: one.status_code)
    assert (accepted.status_code, refused.status_code) == (202, 409), refused.text
    # the one that came later is told of the other, which may have ended by then
    told = refused.json()["error"]
    assert "an operation to revision 1 is running, by deployer since" in told or "revision 1 is active, by" in told
    served.wait_for_end(accepted.json()["operation"]["id"])
    with served.connect("deployer") as client:
        late = client.post(f"{PRODUCTION}/updates", json=describe_update(second, None, now=True))
        assert (late.status_code, "revision 1 is active, by deployer" in late.json()["error"]) == (409, True)


@pytest.mark.slow
def test_a_request_whose_connection_was_cut_is_made_again_and_done_once(
    tmp_path: Path, served: NodeServer, client: httpx2.Client
) -> None:
    bundle = bring(client, make_archive(tmp_path / "v1"))
    requests = {
        "updates": describe_update(bundle, None, now=True),
        "disable": {"expected_revision": 1},
        "rollback": {"expected_revision": 3, "now": True},
    }
    host, port = served.url.removeprefix("http://").split(":")
    for path, asked in requests.items():
        if path == "rollback":  # to something that differs from what is active
            body = describe_update(bundle, 2, now=True)
            body["settings"]["values"]["variables"] = {"a": 1}
            assert deploy(served, client, body)["state"] == "HEALTHY"
        content = json.dumps(asked).encode()
        with socket.create_connection((host, int(port))) as connection:
            head = (
                f"POST {PRODUCTION}/{path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer "
                f"{served.tokens['deployer']}\r\nContent-Type: application/json\r\nIdempotency-Key: key-{path}\r\n"
                f"Content-Length: {len(content)}\r\n\r\n"
            )
            connection.sendall(head.encode() + content)
            known = wait_for(lambda path=path: served.node.operations.find_by_key(f"key-{path}"), path)
        again = client.post(f"{PRODUCTION}/{path}", json=asked, headers={"idempotency-key": f"key-{path}"})
        assert (again.status_code, again.json()["new"]) == (200, False), again.text
        assert again.json()["operation"]["id"] == known.id
        assert served.wait_for_end(known.id)["state"] == "HEALTHY"
        others = [("updates", describe_update("0" * 64, None))]
        options = {"updates": ("now", "again"), "disable": (), "rollback": ("now",)}[path]
        others += [(path, {**asked, one: not asked.get(one, False)}) for one in options]
        for place, body in others:
            wrong = client.post(f"{PRODUCTION}/{place}", json=body, headers={"idempotency-key": f"key-{path}"})
            assert (wrong.status_code, "key" in wrong.json()["error"].lower()) == (409, True), (body, wrong.text)
    with closing(sqlite3.connect(served.folder / "node.db")) as rows, rows:
        rows.execute("UPDATE operations SET again = NULL, now = NULL")  # as an upgrade leaves those of before
    for path, asked in requests.items():
        late = client.post(f"{PRODUCTION}/{path}", json=asked, headers={"idempotency-key": f"key-{path}"})
        assert (late.status_code, late.json()["new"]) == (200, False), late.text
    assert len(client.get(f"{PRODUCTION}/operations").json()["operations"]) == 4


@pytest.mark.slow
def test_requests_wait_for_the_process_of_an_operation_that_has_ended(tmp_path: Path) -> None:
    with serve_node(tmp_path, program=name_program("HEALTHY:3")) as served, served.connect() as client:
        bundle = bring(client, make_archive(tmp_path / "v1"))
        deploy(served, client, describe_update(bundle, None, now=True))
        late = client.post(f"{PRODUCTION}/updates", json=describe_update(bundle, None, now=True))
        assert (late.status_code, "revision 1 is active, by" in late.text) == (409, True), late.text
        deploy(served, client, describe_update(bundle, 1, again=True, now=True))
        assert client.delete(PRODUCTION).status_code == 200


@pytest.mark.slow
@pytest.mark.parametrize(("point", "state"), [("LAID_DOWN", "FAILED"), ("moved", "HEALTHY"), ("ACTIVE", "HEALTHY")])
def test_a_killed_process_is_concluded_at_once_and_reported(tmp_path: Path, point: str, state: str) -> None:
    with serve_node(tmp_path, program=name_program(point)) as served, served.connect() as client:
        bundle = bring(client, make_archive(tmp_path / "v1"))
        done = deploy(served, client, describe_update(bundle, None, now=True))
        assert done["state"] == state
        assert any("was killed by signal 9" in text for text in served.told)
        wait_for(lambda: any("concludes the operation" in text for text in served.told), "what the conclusion says")
        events = client.get(f"/v1/operations/{done['id']}/events").json()["events"]
        assert any("concludes the operation" in one["text"] for one in events)
        assert [one["number"] for one in events] == list(range(1, len(events) + 1))
        assert check_infrastructure(served.folder)[0] == (1 if state == "HEALTHY" else None)


@pytest.mark.slow
def test_killed_proofs_end_an_update_and_change_nothing(
    tmp_path: Path, served: NodeServer, client: httpx2.Client
) -> None:
    archive = make_archive(tmp_path / "v1", function="wait")
    bundle = bring(client, archive)
    body = describe_update(bundle, None, care={"dry_run": ("probe",)})
    answer = client.post(f"{PRODUCTION}/updates", json=body)
    operation = answer.json()["operation"]["id"]
    updating = wait_for(
        lambda: find_processes(("engine.service.deployments.updates.process", operation)), "the process"
    )[0]
    supervisors = wait_for(lambda: find_processes(("engine.scenarios.supervisor", str(updating))), "the proofs")
    for one in supervisors:
        os.kill(one, signal.SIGKILL)
    done = served.wait_for_end(operation)
    assert (done["state"], "did not end" in done["reason"]) == ("FAILED", True)
    assert check_infrastructure(served.folder)[0] is None


@pytest.mark.slow
def test_events_are_resumed_by_their_number(tmp_path: Path, served: NodeServer, client: httpx2.Client) -> None:
    bundle = bring(client, make_archive(tmp_path / "v1"))
    answer = client.post(f"{PRODUCTION}/updates", json=describe_update(bundle, None, now=True))
    path = f"/v1/operations/{answer.json()['operation']['id']}/events"
    first = read_stream(client, path, most=2)
    assert [one["id"] for one in first] == ["1", "2"]
    rest = read_stream(client, path, after="2")
    assert [one["id"] for one in rest[:-1]] == [str(number) for number in range(3, len(rest) + 2)]
    assert (rest[-1]["event"], json.loads(rest[-1]["data"])["state"]) == ("ended", "HEALTHY")
    listed = client.get(path, params={"after": 1}).json()["events"]
    assert [one["text"] for one in listed] == [json.loads(one["data"])["text"] for one in [first[1], *rest[:-1]]]
    assert "reached HEALTHY" in listed[-1]["text"]
    assert read_stream(client, path, after="999")[0]["event"] == "ended"


def read_stream(client: httpx2.Client, path: str, *, after: str = "", most: int = 1000) -> list[dict[str, str]]:
    """Return the events of a stream, as far as `most`."""
    headers = {"accept": "text/event-stream", **({"last-event-id": after} if after else {})}
    found: list[dict[str, str]] = []
    with client.stream("GET", path, headers=headers) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        event: dict[str, str] = {}
        for line in stream.iter_lines():
            name, _, value = line.partition(": ")
            if line and name:
                event[name] = value
            elif "event" in event:
                found.append(event)
                event = {}
                if len(found) == most:
                    break
            else:
                event = {}
    return found


@pytest.mark.slow
def test_a_server_that_ends_interrupts_what_takes_long(tmp_path: Path) -> None:
    with serve_node(tmp_path, program=name_program("LAID_DOWN:60")) as served, served.connect() as client:
        bundle = bring(client, make_archive(tmp_path / "v1"))
        answer = client.post(f"{PRODUCTION}/updates", json=describe_update(bundle, None, now=True))
        operation = answer.json()["operation"]["id"]
        wait_for(lambda: client.get(f"/v1/operations/{operation}").json()["state"] == "LAID_DOWN", "the state")
        served.control.draining = True
        refused = client.post(f"{PRODUCTION}/updates", json=describe_update(bundle, None))
        assert (refused.status_code, "shutting down" in refused.json()["error"]) == (503, True)
        done = served.wait_for_end(operation)
        assert (done["state"], "it was interrupted" in done["reason"]) == ("FAILED", True)


def test_what_cannot_be_updated_is_refused(tmp_path: Path, served: NodeServer, client: httpx2.Client) -> None:
    bundle = bring(client, make_archive(tmp_path / "v1"))
    body = describe_update(bundle, None)
    wrong: dict[str, tuple[dict[str, Any], int]] = {
        "not here": (describe_update("0" * 64, None), 422),
        "another project": ({**body, "project": "other"}, 422),
        "somebody was faster": ({**body, "expected_revision": 7}, 409),
        "no settings": ({**body, "settings": {}}, 422),
        "wrong settings": ({**body, "settings": {**body["settings"], "care": {"keep": "many"}}}, 422),
        "a name with a slash": ({**body, "bundle_name": "a/b"}, 422),
        "a key too many": ({**body, "force": True}, 422),
        "a text for a number": ({**body, "expected_revision": "1"}, 422),
    }
    for what, (asked, status) in wrong.items():
        answer = client.post(f"{PRODUCTION}/updates", json=asked)
        assert answer.status_code == status, (what, answer.text)
        assert answer.json()["error"], what
    assert client.post(f"{PRODUCTION}/rollback", json={"expected_revision": 1}).status_code == 404
    assert served.node.list_deployments() == []
    answer = client.post("/v1/deployments/%22x/updates", json=body)
    assert answer.status_code == 422
    assert client.post(f"{PRODUCTION}/updates", content=b"\xff", headers={"content-type": "application/json"}).json()
    key = client.post(f"{PRODUCTION}/updates", json=body, headers={"idempotency-key": "a b"})
    assert key.status_code == 400


@pytest.mark.slow
def test_a_process_that_is_at_work_is_not_taken_for_one_that_was_left(
    served: NodeServer, client: httpx2.Client, bundle: tuple[str, bytes]
) -> None:
    bring(client, bundle)
    answer = client.post(f"{PRODUCTION}/updates", json=describe_update(bundle[0], None, now=True))
    operation = answer.json()["operation"]["id"]
    process = wait_for(
        lambda: find_processes(("engine.service.deployments.updates.process", operation)), "the process"
    )[0]
    os.kill(process, signal.SIGSTOP)
    try:
        assert served.node.is_locked("production")
        time.sleep(2.5)  # the server looks each second
        assert client.get(f"/v1/operations/{operation}").json()["ended"] is None
        assert client.get(PRODUCTION).json()["state"]["at_work"] is True
    finally:
        os.kill(process, signal.SIGCONT)
    assert served.wait_for_end(operation)["state"] == "HEALTHY"
