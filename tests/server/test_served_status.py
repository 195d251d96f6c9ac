"""How the deployments in a folder stand, as the server that serves them tells Prometheus."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from engine.server.status_metrics import StatusCollector
from engine.service.control import ServedProject
from engine.service.deployments.deploying import disable_deployment
from engine.spec import load
from engine.store import Store
from engine.store.location import resolve_state_folder
from engine.store.node import OperationState

from ..deployments.deployed import make_project
from ..node_api.node_server import QuietControl


class Serving(QuietControl):
    """A server that serves these projects."""

    def __init__(self, projects: Sequence[ServedProject]) -> None:
        self.projects = projects

    def list_projects(self) -> Sequence[ServedProject]:
        return self.projects


@pytest.fixture
def deployed(tmp_path: Path) -> Iterator[tuple[Any, ServedProject]]:
    project = make_project(tmp_path, care="")
    assert project.deploy("production", "v3", now=True).state is OperationState.HEALTHY
    pointer = tmp_path / "automation/deployments/production/current.yaml"
    spec = load(pointer)
    with Store.open(resolve_state_folder(spec)) as store:
        yield project, ServedProject("tiny@production", pointer, spec, store, leader=True)


def read_answers(served: ServedProject) -> dict[str, bool]:
    registry = CollectorRegistry()
    registry.register(StatusCollector(Serving([served]), None))
    lines = [line for line in generate_latest(registry).decode().splitlines() if not line.startswith("#")]
    assert all('project="tiny@production"' in line for line in lines)
    return {line.partition('answer="')[2].partition('"')[0]: line.endswith(" 1.0") for line in lines}


def test_each_answer_is_a_metric_and_so_is_the_worst(deployed: tuple[Any, ServedProject]) -> None:
    project, served = deployed
    well = dict.fromkeys(("deployment", "model", "execution", "data", "worst"), True)
    assert read_answers(served) == well
    disable_deployment(project.spec, "production", environ=project.environ)
    assert read_answers(served) == {**well, "deployment": False, "worst": False}


def test_a_deployment_whose_spec_is_not_valid_is_not_well(deployed: tuple[Any, ServedProject]) -> None:
    _, served = deployed
    wrong = ServedProject(
        served.name, served.path, served.spec, served.store, leader=True, spec_problems=("spec.yaml:1:1: wrong",)
    )
    assert read_answers(wrong)["deployment"] is False
    unread = ServedProject(served.name, served.path, None, None, leader=False, spec_problems=("spec.yaml:1:1: wrong",))
    assert read_answers(unread) == {"deployment": False, "worst": False}
