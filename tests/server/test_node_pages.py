"""The pages of a node that runs as a process: deployments, bundles, roles; and how much memory pages take."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlsplit

import httpx2
import pytest

import engine
from engine.spec import load
from engine.store.node import OperationState

from ..deployments.deployed import make_bundle, write_spec  # noqa: TID252 - one way to make deployments for all tests
from ..service.served import wait_until  # noqa: TID252 - one way to start a server
from .asked_node import AskedNode
from .page_reader import PageReader

pytestmark = pytest.mark.slow

PROJECT = quote("tiny@production", safe="")


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AskedNode]:
    """Return a node with a deployment that was updated once."""
    folder = tmp_path_factory.mktemp("node")
    spec = write_spec(folder)
    spec.write_text(spec.read_text().replace("path: automation", "path: data"))
    make_bundle(load(spec), "v1")
    asked = AskedNode(folder, "allow_code: true\n")
    try:
        project = engine.load(spec)
        assert project.deploy("production", "v1", now=True).state is OperationState.HEALTHY
        spec.write_text(spec.read_text() + "# another line\n")
        make_bundle(load(spec), "v2")
        assert engine.load(spec).deploy("production", "v2", now=True).state is OperationState.HEALTHY
        asked.server.wait_for("served")
        yield asked
        asked.end()
    finally:
        asked.kill()


def log_in(asked: AskedNode, role: str) -> httpx2.Client:
    headers = {"accept": "text/html", "origin": asked.url}
    client = httpx2.Client(base_url=asked.url, headers=headers, timeout=60, follow_redirects=True)
    assert client.post("/login", data={"token": asked.tokens[role]}).status_code == 200
    return client


def test_a_deployment_is_rolled_back_by_whoever_may(asked: AskedNode) -> None:
    history = "/deployments/production/history"
    with log_in(asked, "viewer") as viewer, log_in(asked, "deployer") as deployer:
        assert "production" in viewer.get("/projects").text
        shown = PageReader(viewer.get(history).text, history)
        assert [form for form in shown.forms if form.method == "post" and "/logout" not in form.action] == []
        refused = viewer.post("/deployments/production/rollback", data={"expected_revision": "2"})
        assert (refused.status_code, "needs the role deployer" in PageReader(refused.text).text) == (403, True)
        form = PageReader(deployer.get(history).text, history).find_form("/rollback")
        assert form.fields["expected_revision"] == "2"
        assert deployer.post(form.action, data=form.fields).status_code == 200
        again = deployer.post(form.action, data=form.fields)
        assert again.status_code == 200  # the same form is the same operation

        def is_back() -> bool:
            found = viewer.get(f"{history}.json").json()
            return found["deployment"]["active_revision"] != 2 and all(one["ended"] for one in found["operations"])

        wait_until(is_back, "it was not rolled back", asked.server)
        assert len(viewer.get(f"{history}.json").json()["operations"]) == 3
        late = deployer.post(form.action, data=form.fields | {"key": "another"})
        assert late.status_code == 409


def test_bundles_tell_what_they_hold_and_how_they_differ(asked: AskedNode) -> None:
    with log_in(asked, "viewer") as viewer:
        bundles = viewer.get("/bundles.json").json()["bundles"]
        assert len(bundles) == 2
        new, old = (f"/bundles/{one['id']}/content" for one in bundles)
        assert viewer.get(f"{new}.csv").text.startswith("path,role,bytes,sha256")
        found = viewer.get(new, params={"against": bundles[1]["id"]})
        assert "+# another line" in PageReader(found.text).text
        assert viewer.get(old).status_code == 200
        assert viewer.get(f"/bundles/{'0' * 64}/content").status_code == 404


def test_pages_load_no_data_library_and_take_little_memory(asked: AskedNode) -> None:
    with log_in(asked, "admin") as admin:
        waiting, seen = ["/projects", "/deployments", "/bundles"], set()
        while waiting:
            address = waiting.pop()
            if address not in seen:
                seen.add(address)
                found = admin.get(address)
                assert found.status_code == 200, address
                if "text/html" in found.headers["content-type"]:
                    waiting += PageReader(found.text, address).links
        assert {f"/p/{PROJECT}/{name}" for name in ("status", "scenarios", "outbox", "spec", "flow")} <= {
            urlsplit(one).path for one in seen
        }
    process = Path(f"/proc/{asked.server.process.pid}")
    mapped = (process / "maps").read_text()
    assert [
        name for name in ("polars", "numpy", "numba", "sklearn", "scipy", "vl_convert") if f"/{name}" in mapped
    ] == []
    resident = next(line for line in (process / "status").read_text().splitlines() if line.startswith("VmRSS"))
    assert int(resident.split()[1]) // 1024 < 90
