"""The models of a revision count from the moment in which the revision is active, and for no other revision."""

import os
import signal
from pathlib import Path

import pytest

from engine.service.deployments.deploying import deploy_bundle, disable_deployment, roll_back_deployment
from engine.service.deployments.directory_target import conclude_directory
from engine.spec import load
from engine.store import Store
from engine.store.location import resolve_state_folder
from engine.store.node import OperationState
from tests.releases.conftest import SPEC, run_engine, write_project

from .deployed import check_infrastructure
from .test_deploy_crashes import run_deploy

MORE = """infrastructures: {automation: {path: automation}}
deployments: {production: {infrastructure: automation}}
"""


def pack(spec: Path, name: str, rows: int) -> None:
    """Train the model with so many rows, and pack it under a name."""
    spec.write_text(SPEC.lstrip().replace("v1:", f"{name}:") + MORE)
    code = spec.with_name("mine.py")
    code.write_text(code.read_text().replace("n=500", f"n={rows}"))
    run_engine("run", spec, "main")
    run_engine("bundle", "create", spec, name)
    code.write_text(code.read_text().replace(f"n={rows}", "n=500"))


def find_active(current: Path) -> int:
    """Return the version that counts for whoever starts a run now."""
    project = load(current)
    with Store.open(resolve_state_folder(project)) as store:
        found = store.models.find_active("m", project.revision_number)
        assert found is not None
        return found.version


@pytest.mark.slow
def test_no_run_sees_a_revision_with_the_models_of_another_one(tmp_path: Path) -> None:
    spec = write_project(tmp_path / "design")
    pack(spec, "v1", 500)
    pack(spec, "v2", 400)
    current = spec.parent / "automation/deployments/production/current.yaml"
    seen: list[tuple[str, int, int]] = []

    def look(point: str) -> None:
        if current.exists():
            seen.append((point, load(current).revision_number, find_active(current)))

    for name in ("v1", "v2"):
        done = deploy_bundle(load(spec), "production", name, environ=os.environ, now=True, checkpoint=look)
        assert done.state is OperationState.HEALTHY
    assert set(seen) == {(point, revision, revision) for point, revision, _ in seen}
    assert {("models set", 1, 1), ("moved", 2, 2)} <= set(seen)
    assert "train m version 2" in run_engine("plan", current, "main")

    # Killed between the models and the link: what was active is as it was.
    assert run_deploy(spec, "v1", "models set") == -signal.SIGKILL
    conclude_directory(spec.parent / "automation", os.environ, lambda _: None)
    assert check_infrastructure(spec.parent / "automation")[1][-1] is OperationState.FAILED
    assert find_active(current) == 2

    # What is built there counts until the next activation; switching off is none.
    run_engine("run", current, "again")
    assert find_active(current) == 3
    assert disable_deployment(load(spec), "production", environ=os.environ).state is OperationState.HEALTHY
    assert (load(current).revision_number, find_active(current)) == (4, 3)
    back = roll_back_deployment(load(spec), "production", environ=os.environ, now=True)
    assert (back.state, find_active(current)) == (OperationState.HEALTHY, 1)
