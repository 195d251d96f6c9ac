"""Targets of deployments: a local folder, or a node over HTTP, with the same interface."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from engine.errors import UsageError
from engine.service.deployments.deployed_state import DeployedState
from engine.service.deployments.updates.order import UpdateOrder
from engine.spec import ProjectSpec
from engine.spec.resources.deployments import DirectoryInfrastructure, NodeInfrastructure
from engine.spec.secrets.values import Secrets
from engine.store.node import OperationRow

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from engine.service.deployments.evaluation_sources import EvaluationSource
    from engine.service.deployments.node.client.client import NodeClient


class DeploymentTarget(Protocol):
    """A target of deployments."""

    def find(self, deployment: str) -> DeployedState | None:
        """Return the record of a deployment; None if nothing was deployed under that name. Change nothing."""
        ...

    def list_operations(self, deployment: str) -> list[OperationRow]:
        """Return the operations on a deployment with their steps and logs, oldest first."""
        ...

    def open_evaluations(self, deployment: str) -> "AbstractContextManager[EvaluationSource]":
        """Yield the source of a deployment's evaluations."""
        ...

    def update(self, order: UpdateOrder) -> OperationRow:
        """Carry out an update and return its finished operation.

        Orders with the same key are one operation.

        Raises
        ------
        DeploymentRefusedError
            The update was refused before it started.
        """
        ...

    def roll_back(self, deployment: str, *, by: str, now: bool = False) -> OperationRow:
        """Roll back to the last healthy revision before the active one, with its settings.

        Raises
        ------
        UsageError
            Nothing is deployed.
        DeploymentRefusedError
            There is no earlier healthy revision.
        """
        ...

    def disable(self, deployment: str, *, by: str) -> OperationRow:
        """Disable the triggers of a deployment; raise UsageError if nothing is deployed."""
        ...

    def delete(self, deployment: str, *, keep_state: bool = False) -> str:
        """Remove a deployment, and its state unless `keep_state`; return what was removed, empty if nothing.

        Raises
        ------
        UsageError
            It has active runs, or the rows of its state cannot be removed.
        LockBusy
            Another process changes it.
        """
        ...


def open_target(
    project: ProjectSpec,
    infrastructure: str,
    environ: Mapping[str, str],
    report: Callable[[str], None] = lambda _: None,
    checkpoint: Callable[[str], None] = lambda _: None,
) -> DeploymentTarget:
    """Return the target for a declared infrastructure.

    Parameters
    ----------
    report
        Called with each progress message.
    checkpoint
        Called with the name of each point where a crash must be harmless.
    """
    declared = project.resources.infrastructures[infrastructure]
    folder = project.folder_of("infrastructures", infrastructure)
    if isinstance(declared, DirectoryInfrastructure):
        if project.confinement is not None:
            raise UsageError(
                f"infrastructure {infrastructure!r} is a folder: what is deployed on a node can deploy only to nodes"
            )
        from engine.service.deployments.directory_target import DirectoryTarget

        return DirectoryTarget((folder / declared.path).resolve(), declared, folder, environ, report, checkpoint)
    from engine.service.deployments.node.target import NodeTarget

    return NodeTarget(open_node(project, infrastructure, environ), report)


def is_node(project: ProjectSpec, infrastructure: str) -> bool:
    """Return whether an infrastructure is a node."""
    return isinstance(project.resources.infrastructures[infrastructure], NodeInfrastructure)


def open_node(project: ProjectSpec, infrastructure: str, environ: Mapping[str, str]) -> "NodeClient":
    """Return a client for a node.

    Raises
    ------
    UsageError
        The infrastructure is a folder, its token is invalid, or its certificate cannot be read.
    SpecError
        The secret with its token is missing.
    """
    from engine.service.deployments.node.client.client import NodeClient

    declared = project.resources.infrastructures[infrastructure]
    if not isinstance(declared, NodeInfrastructure):
        raise UsageError(f"the infrastructure {infrastructure!r} is a folder of this machine, not a node")
    folder = project.folder_of("infrastructures", infrastructure)
    if declared.certificate:
        project.check_path(folder / declared.certificate)
    secrets = Secrets(project, environ)
    token = secrets.reveal(declared.token)
    if token is None:
        raise UsageError(f"the token of the node {infrastructure!r} is an optional secret that is absent: set it")
    return NodeClient(declared, infrastructure, token, folder, secrets.redact)


def find_directory(project: ProjectSpec, infrastructure: str) -> Path | None:
    """Return the folder of an infrastructure; None if it is a node, whose folder is on another machine."""
    declared = project.resources.infrastructures[infrastructure]
    if not isinstance(declared, DirectoryInfrastructure):
        return None
    return project.check_path(project.folder_of("infrastructures", infrastructure) / declared.path).resolve()
