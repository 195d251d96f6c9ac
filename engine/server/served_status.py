"""The status of served projects: four answers for each deployment, three for a project that is not deployed."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from engine.service.control import ServedProject, ServerControl
from engine.service.deployments.deployed_state import DeploymentState, describe_found, find_deployed
from engine.service.deployments.places import NODE_FILE, POINTER, DeploymentPlaces
from engine.service.deployments.project_status import ProjectState, ProjectStatus, add_problems, describe_status
from engine.store.node import DeploymentRow, Node

NOT_SERVED = "this server does not serve it yet"


def describe_deployed(row: DeploymentRow, node: Node, control: ServerControl, now: datetime) -> ProjectStatus:
    """Return the status of a deployment of a node."""
    served = find_served(row.name, node, control)
    return _describe(row.name, describe_found(row.name, "", find_deployed(node, row.name)), served, now)


def find_served(deployment: str, node: Node, control: ServerControl) -> ServedProject | None:
    """Return the served project of a node's deployment; None if it is not served yet."""
    pointer = DeploymentPlaces(node.folder, deployment).pointer
    return next((one for one in control.list_projects() if one.path.absolute() == pointer), None)


def describe_served(control: ServerControl, node: Node | None, now: datetime) -> Iterator[tuple[str, ProjectStatus]]:
    """Yield name and status of each served project, or for a node of each deployment.

    Parameters
    ----------
    node
        The node of the server; None if the server is not a node.
    """
    if node is not None:
        for row in node.list_deployments():
            yield f"{row.project}@{row.name}", describe_deployed(row, node, control, now)
        return
    for project in control.list_projects():
        yield project.name, _describe(project.name, _find_state(project), project, now)


def _describe(name: str, state: DeploymentState | None, served: ServedProject | None, now: datetime) -> ProjectStatus:
    if state is not None and served is None and state.state == "HEALTHY":
        state = replace(state, state="UNKNOWN", reasons=(*state.reasons, NOT_SERVED))
    found = None
    if served is not None:
        if state is not None:
            state = add_problems(state, [*served.spec_problems, *filter(None, [served.store_problem])])
        if served.spec is not None and served.store is not None:
            found = ProjectState(served.spec, served.store, now)
    return describe_status(name, state, found)


def _find_state(project: ServedProject) -> DeploymentState | None:
    """Return the deployment state of a project in the folder of an infrastructure; None if it is not deployed."""
    folder = _find_infrastructure(project.path)
    if folder is None:
        return None
    name = project.spec.revision.deployment if project.spec and project.spec.revision else project.path.parent.name
    with Node.open(folder) as node:
        return describe_found(name, "", find_deployed(node, name))


def _find_infrastructure(path: Path) -> Path | None:
    folder = path.absolute().parents[2] if path.name == POINTER else None
    return folder if folder is not None and (folder / NODE_FILE).exists() else None
