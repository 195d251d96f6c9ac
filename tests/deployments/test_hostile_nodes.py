"""A node whose evaluations are pulled and that answers otherwise than it must: refused, and nothing is written."""

import http.server
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

import engine
from engine.digests import digest_bytes, digest_json
from engine.errors import EngineError
from engine.service.deployments.deployed_state import DeployedState
from engine.service.deployments.node.requests import DeploymentAnswer
from engine.store import Store
from engine.store.node import DeploymentRow
from engine.store.transfer import find_file, list_evaluations, pack_evaluation

from .evaluated import dump, write_project

pytestmark = pytest.mark.slow

Change = Callable[[Any], object]
"""Changes what is answered: the JSON of a list or an evaluation in place, or the bytes of a file."""


class FalseNode:
    """Answers as a node does, from a state; `changes` are made to what it answers, by the kind of the answer."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.changes: dict[str, Change] = {}
        self.asked: list[str] = []

    def answer(self, target: str) -> tuple[str, bytes] | None:
        url = urlsplit(target)
        self.asked.append(url.path)
        parts = url.path.removeprefix("/v1/deployments/distant").strip("/").split("/")
        if parts == [""]:
            row = DeploymentRow("distant", "watched", 1, enabled=True, error="", quarantined={})
            return self._finish("deployment", DeploymentAnswer(state=DeployedState(row, None)).model_dump_json())
        if parts == ["evaluations"]:
            after = int(parse_qs(url.query)["after"][0])
            return self._finish(
                "list", list_evaluations(self.store, "watched", "distant", after=after).model_dump_json()
            )
        if len(parts) == 2:
            found = pack_evaluation(self.store, parts[1])
            return None if found is None else self._finish("evaluation", found.model_dump_json())
        path = find_file(self.store, parts[1], parts[3])
        if path is None:
            return None
        content = path.read_bytes()
        changed = self.changes[parts[3]](content) if parts[3] in self.changes else content
        assert isinstance(changed, bytes)
        return "application/octet-stream", changed

    def _finish(self, kind: str, text: str) -> tuple[str, bytes]:
        found = json.loads(text)
        if kind in self.changes:
            self.changes[kind](found)
        return "application/json", json.dumps(found).encode()


@contextmanager
def serve(node: FalseNode) -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = node.answer(self.path)
            kind, content = found or ("application/json", b'{"error": "there is nothing of this name"}')
            self.send_response(404 if found is None else 200)
            self.send_header("content-type", kind)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FalseNode]:
    folder = tmp_path_factory.mktemp("there")
    project = engine.load(write_project(folder))
    for day in ("2026-03-01", "2026-03-02"):
        project.with_variables(day=day).run("monitor")
    with Store.open(folder / ".engine/watched") as store:
        yield FalseNode(store)


@pytest.fixture(scope="module")
def url(node: FalseNode) -> Iterator[str]:
    with serve(node) as found:
        yield found


@pytest.fixture
def project(url: str, node: FalseNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[engine.Project]:
    monkeypatch.setenv("FACTORY_TOKEN", "eng_00000000_" + "x" * 43)
    node.changes = {}
    project = engine.load(write_project(tmp_path, url))
    project.state_size()  # makes the state
    yield project
    assert not any(".." in path for path in node.asked)


def set_at(*place: Any, value: Any) -> Change:
    """Return a change that puts a value at a place."""

    def change(found: Any) -> None:
        for part in place[:-1]:
            found = found[part]
        found[place[-1]] = value

    return change


def name_file(found: Any) -> None:
    found["files"]["../../state.db"] = found["files"].pop("sample.parquet")


def grow(found: Any) -> None:
    found["evaluations"] = [
        {**found["evaluations"][0], "number": number, "id": f"x-{number}"} for number in range(1, 1002)
    ]


def go_round(found: Any) -> None:
    found["next"] = 0


def go_on(found: Any) -> None:
    found["evaluations"], found["next"], found["newest"] = [], 5, 9


def repeat(found: Any) -> None:
    found["evaluations"].append({**found["evaluations"][0], "number": 9})


def lead_outside(content: bytes) -> bytes:
    facts = json.loads(content)
    del facts["digest"]
    facts["files"]["../../../state.db"] = "0" * 32
    return json.dumps({**facts, "digest": digest_json(facts)}).encode()


def promise(name: str, forge: Callable[[bytes], bytes], node: FalseNode) -> dict[str, Change]:
    """Return changes by which an evaluation promises a forged file with its right size and digest."""

    def change(found: Any) -> None:
        path = find_file(node.store, found["evaluation"]["id"], name)
        assert path is not None
        content = forge(path.read_bytes())
        found["files"][name] = {"bytes": len(content), "digest": digest_bytes(content)}

    return {"evaluation": change, name: forge}


OF_LIST: dict[str, tuple[Change, str]] = {
    "another project": (
        set_at("project", value="other"),
        "it is about the deployment 'distant' of the project 'other'",
    ),
    "another deployment": (set_at("deployment", value="mine"), "it is about the deployment 'mine'"),
    "too many": (grow, "answers in a form that this engine does not support"),
    "no order": (set_at("evaluations", 1, "number", value=1), "it is not in order"),
    "twice": (repeat, "it is not in order"),
    "round": (go_round, "it does not continue where the page before it ends"),
    "without an end": (go_on, "it does not continue where the page before it ends"),
    "path as id": (set_at("evaluations", 0, "id", value="../../outside"), "that this engine does not support"),
    "no zone": (set_at("evaluations", 0, "moment", value="2026-03-01T00:00:00"), "in a form that this engine does not"),
    "huge number": (set_at("evaluations", 1, "number", value=2**70), "that this engine does not support"),
    "other moment": (set_at("evaluations", 0, "moment", value="2020-03-01T00:00:00Z"), "it is not the one that is in"),
}
OF_EVALUATION: dict[str, tuple[Change, str]] = {
    "another id": (set_at("evaluation", "id", value="20260301-1"), "it is not the one that is in the list"),
    "another store": (set_at("evaluation", "store", value="sizes"), "it is not the one that is in the list"),
    "control": (set_at("evaluation", "name", value="day\x1b[2J"), "a name of it is too long or has control characters"),
    "long": (set_at("evaluation", "labels", "day", value="x" * 2000), "a name of it is too long"),
    "pulled": (set_at("evaluation", "origin", value="elsewhere"), "it was pulled from elsewhere itself"),
    "no zone": (set_at("evaluation", "created", value="2026-03-01T00:00:00"), "a time of it has no time zone"),
    "rows": (set_at("evaluation", "rows_read", value=2**70), "its number of rows, or its revision, is not possible"),
    "revision": (set_at("evaluation", "revision", value=2**40), "its number of rows, or its revision"),
    "text for a number": (set_at("evaluation", "rows_used", value="many"), "cannot be read: evaluation.rows_used"),
    "check of another": (set_at("checks", 0, "result", "evaluation", value="mine"), "results of checks of another one"),
    "check of a dataset": (set_at("checks", 0, "result", "target", value="now"), "results of checks of another one"),
    "bound": (set_at("checks", 0, "result", "bounds", value={"min": "much"}), "cannot be read: checks.0"),
    "change": (set_at("checks", 0, "result", "bounds", value={"compare": 7}), "cannot be read: checks.0"),
    "allowed": (set_at("checks", 0, "result", "bounds", value={"allowed": [[1]]}), "cannot be read: checks.0"),
    "bounds of a list": (set_at("checks", 0, "result", "bounds", value=[1, 2]), "cannot be read"),
    "outcome": (set_at("checks", 0, "result", "outcome", value="FINE"), "cannot be read: checks.0.result.outcome"),
    "file name": (name_file, "is not a file of one"),
    "file of 3 GB": (set_at("files", "sample.parquet", "bytes", value=3 * 2**30), "cannot be read: files"),
    "small file": (set_at("files", "sample.parquet", "bytes", value=10), "more than 10 bytes"),
    "large file": (set_at("files", "sample.parquet", "bytes", value=10**6), "sample.parquet was damaged on the way"),
    "digest": (set_at("files", "sample.parquet", "digest", value="0" * 32), "sample.parquet was damaged on the way"),
}
OF_FILE: dict[str, tuple[Callable[[bytes], bytes], str, str]] = {
    "cut": (lambda content: content[:-1], "columns.profile", "columns.profile was damaged on the way"),
    "flipped": (lambda content: bytes([content[0] ^ 1]) + content[1:], "columns.profile", "was damaged on the way"),
    "compressed": (lambda content: content + b"more", "columns.profile", "which are not read"),
}


def refuse(project: engine.Project, told: str) -> None:
    """Check that a pull is refused in words, and that nothing is written."""
    state = project.spec.folder / ".engine/watched"
    before = dump(state)
    with pytest.raises(EngineError, match=re.escape(told)):
        project.pull("distant")
    assert dump(state) == before


@pytest.mark.parametrize("case", OF_LIST)
def test_a_list_that_is_not_as_it_must_be(node: FalseNode, project: engine.Project, case: str) -> None:
    change, told = OF_LIST[case]
    node.changes = {"list": change}
    refuse(project, told)


@pytest.mark.parametrize("case", OF_EVALUATION)
def test_an_evaluation_that_is_not_as_it_must_be(node: FalseNode, project: engine.Project, case: str) -> None:
    change, told = OF_EVALUATION[case]
    node.changes = {"evaluation": change}
    refuse(project, told)


@pytest.mark.parametrize("case", OF_FILE)
def test_a_file_that_changes_on_the_way(node: FalseNode, project: engine.Project, case: str) -> None:
    forge, name, told = OF_FILE[case]
    node.changes = {name: forge}
    refuse(project, told)


def test_files_that_are_forged_with_their_digests(node: FalseNode, project: engine.Project) -> None:
    node.changes = promise("snapshot.json", lead_outside, node)
    refuse(project, "its files do not belong together: snapshot.json names a file that no snapshot has")
    node.changes = promise("snapshot.json", lambda _: b"[" * 100_000, node)
    refuse(project, "its files do not belong together")
    node.changes = promise("columns.profile", lambda content: content[:-1], node)
    refuse(project, "columns.profile is not as it was written")


def test_the_state_of_another_project(node: FalseNode, project: engine.Project) -> None:
    node.changes = {"deployment": set_at("state", "row", "project", value="other")}
    refuse(project, "the project 'other' is deployed there")


def test_evaluations_that_are_here_already(node: FalseNode, project: engine.Project) -> None:
    project.run("monitor")
    own = project.store("drift").evaluation().id
    node.changes = {"list": set_at("evaluations", 0, "id", value=own)}
    refuse(project, f"distant has the evaluation {own}, which is here already, and was not pulled from there")


def test_an_evaluation_that_is_removed_there_meanwhile_causes_no_fault(
    node: FalseNode, project: engine.Project
) -> None:
    found = node.store.evaluations.history("drift")
    path = node.store.evaluations.folder_of(found[0].id) / "sample.parquet"
    content = path.read_bytes()

    def remove(_: Any) -> None:
        path.unlink(missing_ok=True)

    node.changes = {"evaluation": remove}
    try:
        assert project.pull("distant").evaluations == 2
    finally:
        path.write_bytes(content)
    removed, whole = project.store("drift").evaluations(origin="distant")["id"].to_list()
    store = project.store("drift")
    assert store.evaluation(removed).files_removed is not None
    assert store.evaluation(whole).files_removed is None
    assert store.report(project.spec.folder / "page.html", removed).exists()
    with pytest.raises(EngineError, match="removed by retention"):
        store.compare(whole, removed)
