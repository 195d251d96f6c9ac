"""Finds the spec file of the active revision of a deployment."""

from pathlib import Path

from engine.errors import UsageError
from engine.service.deployments.places import DeploymentPlaces
from engine.service.deployments.settings import get_deployment
from engine.service.deployments.targets import find_directory
from engine.spec import ProjectSpec

ON_NODE = (
    "from here there are engine run, abort, pause, resume, status, deployments, rollback, and engine show with --runs "
    "or --run ID; all else is done on the machine of the node, with current.yaml of the deployment as the SPEC"
)
"""The hint about commands for a deployment on a node."""


def find_deployed_spec(project: ProjectSpec, name: str) -> Path:
    """Return the spec file of the active revision of a deployment; raise UsageError if there is none."""
    infrastructure = get_deployment(project, name).infrastructure
    folder = find_directory(project, infrastructure)
    if folder is None:
        raise UsageError(f"{name} is on the node {infrastructure!r}, and its state and files with it: {ON_NODE}")
    pointer = DeploymentPlaces(folder, name).pointer
    if not pointer.exists():
        raise UsageError(f"{name}: nothing is deployed yet; engine deploy SPEC {name} --bundle NAME does it")
    return pointer
