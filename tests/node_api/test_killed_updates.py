"""Updates on a node that are killed, alone or with its server: each comes to an end, under what the node gives."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.spec.revisions.revision_file import find_node_path
from engine.store.node import Node, OperationRow, OperationState

from ..deployments.deployed import check_infrastructure
from ..waiting import wait_for
from .design import Design, design_tiny
from .node_server import find_processes

pytestmark = pytest.mark.slow

ENTRY = Path(__file__).with_name("crashing_node.py")
ENDS = {
    "LAID_DOWN": (OperationState.FAILED, "v3"),
    "models set": (OperationState.FAILED, "v3"),
    "moved": (OperationState.HEALTHY, "v3"),
    "ACTIVE": (OperationState.HEALTHY, "v3"),
    "unhealthy": (OperationState.ROLLED_BACK, "v4"),
    "rollback REQUESTED": (OperationState.ROLLED_BACK, "v4"),
}
"""By point: how an update that is killed there ends, and to which bundle it is."""


@pytest.fixture
def design(tmp_path: Path) -> Iterator[Design]:
    file = tmp_path / "crash_at"
    file.touch()
    with design_tiny(tmp_path, entry=(str(ENTRY), str(file))) as made:
        assert made.engine("deploy", "spec.yaml", "production", "--now").returncode == 0
        yield made


def list_updates(design: Design) -> list[OperationRow]:
    with Node.open(design.there / "data") as node:
        return [one for one in node.operations.list_all("production") if one.kind == "deploy"]


def check_confined(design: Design) -> None:
    """Check that all that has run was under what the node gives, and that there is one active revision."""
    there = design.there / "data/deployments/production"
    assert {find_node_path(path) for path in (there / "revisions").glob("*.yaml")} == {design.there / "node.yaml"}
    subjects = [path.read_text() for path in (there / "home/outbox").rglob("*") if path.is_file()]
    assert subjects
    assert all("from Ulm" in text for text in subjects)
    steps = [step for one in list_updates(design) for step in one.steps]
    assert not any("environment of the node" in step.problem + step.log for step in steps)
    check_infrastructure(design.there / "data")


@pytest.mark.parametrize("point", list(ENDS))
def test_a_killed_update_is_concluded_by_the_server(design: Design, point: str) -> None:
    state, bundle = ENDS[point]
    (design.there.parent / "crash_at").write_text(point)
    said = design.engine("deploy", "spec.yaml", "production", "--bundle", bundle, "--now", "--again")
    assert str(state) in said.stdout, said.stdout + said.stderr
    assert "concludes the operation" in said.stderr
    assert list_updates(design)[-1].state is state
    check_confined(design)


@pytest.mark.parametrize("point", ["LAID_DOWN", "moved", "unhealthy"])
def test_an_update_killed_with_the_server_is_concluded_by_the_next_start(design: Design, point: str) -> None:
    state, bundle = ENDS[point]
    (design.there.parent / "crash_at").write_text(f"{point}:60")
    client = design.begin("deploy", "spec.yaml", "production", "--bundle", bundle, "--now", "--again")
    wait_for(lambda: not (design.there.parent / "crash_at").read_text(), "the point")
    (process,) = find_processes(("crashing_update.py", list_updates(design)[-1].id))
    design.stop()
    os.kill(process, signal.SIGKILL)
    design.serve()
    said, told = client.communicate(timeout=200)  # who has asked for it goes on asking while the node is away
    assert str(state) in said, said + told
    assert list_updates(design)[-1].state is state
    check_confined(design)


def test_an_update_outlives_its_server_and_the_next_one_leaves_it_alone(design: Design) -> None:
    (design.there.parent / "crash_at").write_text("moved:60")
    client = design.begin("deploy", "spec.yaml", "production", "--now", "--again")
    wait_for(lambda: not (design.there.parent / "crash_at").read_text(), "the point")
    (process,) = find_processes(("crashing_update.py", list_updates(design)[-1].id))
    design.stop()
    design.serve()
    status = json.loads(design.engine("status", "spec.yaml", "--format", "json").stdout)
    assert any("is running" in told for told in status[0]["deployment"]["told"])
    os.kill(process, signal.SIGKILL)
    said, told = client.communicate(timeout=200)
    assert "HEALTHY" in said, said + told
    check_confined(design)
