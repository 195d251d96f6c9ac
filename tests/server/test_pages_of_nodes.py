"""The pages of bundles and deployments of a node that runs, for people with each role."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import engine
from engine.spec import load
from engine.store.node import Node, OperationState

from ..deployments.deployed import make_bundle, write_spec
from ..service.served import wait_until
from .asked_node import AskedNode
from .browsing import Browser

pytestmark = pytest.mark.slow

DEPLOYMENT = "/deployments/production"
NOTES = "<img src=x onerror=alert(1)>"


@dataclass
class Factory:
    """A node with one deployment, of two bundles, of which the first is active."""

    asked: AskedNode
    first: str
    second: str
    browsers: dict[str, Browser] = field(default_factory=dict)

    def browse(self, role: str) -> Browser:
        if role not in self.browsers:
            self.browsers[role] = Browser(self.asked.url, self.asked.tokens[role])
        return self.browsers[role]

    def wait_for_end(self, location: str) -> OperationState:
        """Wait until an operation has ended, and return how."""
        id_ = location.rpartition("/")[2]
        with Node.open(self.asked.folder / "data") as node:
            wait_until(lambda: node.operations.get(id_).ended is not None, "no end", self.asked.server)
            return node.operations.get(id_).state


@pytest.fixture(scope="module")
def factory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Factory]:
    folder = tmp_path_factory.mktemp("factory")
    spec = write_spec(folder)
    spec.write_text(spec.read_text().replace("path: automation", "path: data"))
    first = make_bundle(load(spec), "v1")
    asked = AskedNode(folder, "allow_code: true\n")
    try:
        engine.load(spec).deploy("production", "v1", now=True)
        asked.server.wait_for("served")
        spec.write_text(spec.read_text() + "# later\n")
        second = make_bundle(load(spec), "v2", release_notes=NOTES)
        archive = (folder / "v2.zip").read_bytes()
        token = asked.tokens["deployer"]
        sent = asked.ask(f"/v1/bundles/{second}", token, "PUT", content=archive)
        assert sent.status_code == 201, sent.text
        made = Factory(asked, first, second)
        yield made
        for browser in made.browsers.values():
            browser.close()
        asked.end()
    finally:
        asked.kill()


def test_every_page_of_a_node_is_there_for_a_viewer_without_what_they_may_not_do(factory: Factory) -> None:
    viewer = factory.browse("viewer")
    pages = list(viewer.crawl("/projects"))
    paths = {page.path for page in pages}
    assert {"/deployments", "/bundles", f"{DEPLOYMENT}/operations", f"/bundles/{factory.second}/content"} <= paths
    for page in pages:
        assert [form.action for form in page.forms if form.method == "post"] == ["/logout"], page.path
    asked = {"bundle": factory.second, "revision": "1", "key": "k"}
    for action, role in (("deploy", "operator"), ("rollback", "operator"), ("disable", "viewer")):
        refused = factory.browse(role).submit(f"{DEPLOYMENT}/{action}", asked)
        assert (refused.status_code, "this needs the role deployer" in refused.text.lower()) == (403, True)
    assert factory.browse("deployer").submit(f"/bundles/{factory.second}/remove").status_code == 403


def test_a_bundle_is_shown_and_compared(factory: Factory) -> None:
    viewer = factory.browse("viewer")
    page = viewer.open(f"/bundles/{factory.second}/content")
    assert NOTES in page.text
    assert "mine.py,code," in viewer.read_csv(f"/bundles/{factory.second}/content")
    assert factory.first in page.response.text  # it can be compared with
    difference = viewer.open(f"/bundles/{factory.second}/diff?with={factory.first}")
    assert "+# later" in difference.text
    assert "the release notes" in difference.text
    assert "spec.yaml,changed (spec)" in viewer.read_csv(f"/bundles/{factory.second}/diff", {"with": factory.first})
    viewer.open(f"/bundles/{'0' * 64}/content", 404)
    viewer.open(f"/bundles/{factory.second}/diff?with={'0' * 64}", 404)


def test_a_deployer_deploys_rolls_back_and_switches_off_and_a_double_click_is_one(factory: Factory) -> None:
    deployer = factory.browse("deployer")
    form = deployer.open(f"{DEPLOYMENT}/operations").find_form("/deploy")
    fields = {**form.fields, "bundle": factory.second, "now": "on"}
    begun = deployer.submit(form.action, fields)
    assert begun.status_code == 303, begun.text
    assert deployer.submit(form.action, fields).headers["location"] == begun.headers["location"]
    assert deployer.open(begun.headers["location"]).text.startswith("Deploy of production")
    assert factory.wait_for_end(begun.headers["location"]) is OperationState.HEALTHY
    shown = deployer.open(f"{DEPLOYMENT}/operations")
    assert "Revision 2 is active" in shown.text
    late = deployer.submit(form.action, {**fields, "key": "another"})
    assert (late.status_code, "revision 2 is active" in late.text.lower()) == (409, True)

    back = shown.find_form("/rollback")
    begun = deployer.submit(back.action, {**back.fields, "now": "on"})
    assert factory.wait_for_end(begun.headers["location"]) is OperationState.HEALTHY
    shown = deployer.open(f"{DEPLOYMENT}/operations")
    assert "Revision 3 is active: the bundle v1" in shown.text
    assert "rolled back here" in shown.text  # the bundle that people went back from

    off = shown.find_form("/disable")
    begun = deployer.submit(off.action, off.fields)
    assert factory.wait_for_end(begun.headers["location"]) is OperationState.HEALTHY
    shown = deployer.open(f"{DEPLOYMENT}/operations")
    assert "switched off" in shown.text
    again = shown.find_form("/deploy")  # switches it on again
    begun = deployer.submit(again.action, {**again.fields, "bundle": factory.first, "now": "on"})
    assert factory.wait_for_end(begun.headers["location"]) is OperationState.HEALTHY
    assert "switched off" not in deployer.open(f"{DEPLOYMENT}/operations").text
    assert len(deployer.read_json(f"{DEPLOYMENT}/operations")["operations"]) == 5


def test_a_bundle_is_deployed_for_the_first_time_and_settings_are_changed(factory: Factory) -> None:
    deployer = factory.browse("deployer")
    form = deployer.open(f"/bundles/{factory.first}/content").find_form("/deploy")
    given = {"name": "south", "scenario.probe": "inactive", "variables": "region: south\nlimit: 5", "now": "on"}
    fields = {**form.fields, **given}
    for wrong, told in (
        ({"variables": "region"}, "line 1 of the variables"),
        ({"variables": "a: 1\n\na: 2"}, "second value"),
        ({"scenario.probe": "asleep"}, "not a word for a scenario"),
        ({"name": "a/b"}, "cannot be a name"),
    ):
        refused = deployer.submit(form.action, {**fields, **wrong})
        assert (refused.status_code, told in refused.text) == (422, True), (wrong, refused.text)
    begun = deployer.submit(form.action, fields)
    assert begun.status_code == 303, begun.text
    assert deployer.submit(form.action, fields).headers["location"] == begun.headers["location"]
    assert factory.wait_for_end(begun.headers["location"]) is OperationState.HEALTHY
    taken = deployer.submit(form.action, {**fields, "key": "another"})
    assert (taken.status_code, "revision 1 is active" in taken.text.lower()) == (409, True)

    shown = deployer.open("/deployments/south/operations")
    assert "region: south limit: 5" in shown.text
    change = shown.find_form("/deploy")
    asked = {**change.fields, "bundle": factory.first, "variables": 'region: "7"\nlimit: 5', "now": "on"}
    begun = deployer.submit(change.action, {**asked, "scenario.probe": "active"})
    assert factory.wait_for_end(begun.headers["location"]) is OperationState.HEALTHY
    newest = deployer.read_json("/deployments/south/operations")["revisions"][0]["settings"]["values"]
    assert (newest["variables"], newest["scenarios"]) == ({"region": "7", "limit": 5}, {"probe": True})


def test_an_administrator_removes_a_bundle_that_is_in_no_use(factory: Factory) -> None:
    admin = factory.browse("admin")
    used = admin.submit(f"/bundles/{factory.first}/remove")
    assert (used.status_code, "is in use" in used.text) == (409, True)


def test_pages_load_no_data_library_and_take_little_memory(factory: Factory) -> None:
    admin = factory.browse("admin")
    seen = [page.path for start in ("/projects", "/deployments", "/bundles") for page in admin.crawl(start)]
    assert {path.rpartition("/")[2] for path in seen} >= {"status", "scenarios", "outbox", "spec", "flow"}
    process = Path(f"/proc/{factory.asked.server.process.pid}")
    mapped = (process / "maps").read_text()
    heavy = ("polars", "numpy", "numba", "sklearn", "scipy", "vl_convert")
    assert [name for name in heavy if f"/{name}" in mapped] == []
    resident = next(line for line in (process / "status").read_text().splitlines() if line.startswith("VmRSS"))
    assert int(resident.split()[1]) // 1024 < 90
