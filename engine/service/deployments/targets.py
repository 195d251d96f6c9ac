"""Where deployments live: a folder of this machine, or a node that is asked by HTTP. Both are asked the same."""

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
    """Where deployments live."""

    def find(self, deployment: str) -> DeployedState | None:
        """Return a deployment as it is; None if nothing was deployed under that name. Nothing is changed."""
        ...

    def list_operations(self, deployment: str) -> list[OperationRow]:
        """Return the operations on a deployment, oldest first, each with its steps and their logs."""
        ...

    def open_evaluations(self, deployment: str) -> "AbstractContextManager[EvaluationSource]":
        """Yield the evaluations of a deployment, to be read."""
        ...

    def update(self, order: UpdateOrder) -> OperationRow:
        """Carry out an update and return its operation, which has ended.

        The same key is the same operation, however often it is asked for.

        Raises
        ------
        DeploymentRefusedError
            It was refused before it began.
        """
        ...

    def roll_back(self, deployment: str, *, by: str, now: bool = False) -> OperationRow:
        """Go back to the last healthy revision before the active one, with the settings that it had then.

        Raises
        ------
        UsageError
            Nothing is deployed.
        DeploymentRefusedError
            There is no healthy revision to go back to.
        """
        ...

    def disable(self, deployment: str, *, by: str) -> OperationRow:
        """Let the triggers of a deployment start nothing any more; raises UsageError if nothing is deployed."""
        ...

    def delete(self, deployment: str, *, keep_state: bool = False) -> str:
        """Remove a deployment, also its state unless `keep_state`; return what was removed, empty if nothing.

        Raises
        ------
        UsageError
            Runs of it are at work, or the rows of its state cannot be removed.
        LockBusy
            Another process works on it.
        """
        ...


def open_target(
    project: ProjectSpec,
    infrastructure: str,
    environ: Mapping[str, str],
    tell: Callable[[str], None] = lambda _: None,
    checkpoint: Callable[[str], None] = lambda _: None,
) -> DeploymentTarget:
    """Return an infrastructure that a spec declares.

    Parameters
    ----------
    tell
        Called with what is being done, a sentence at a time.
    checkpoint
        Called with the name of each point at which a crash must do no harm.
    """
    declared = project.resources.infrastructures[infrastructure]
    folder = project.folder_of("infrastructures", infrastructure)
    if isinstance(declared, DirectoryInfrastructure):
        if project.confinement is not None:
            raise UsageError(
                f"infrastructure {infrastructure!r} is a folder: what is deployed on a node deploys to nodes alone"
            )
        from engine.service.deployments.directory_target import DirectoryTarget

        return DirectoryTarget((folder / declared.path).resolve(), declared, folder, environ, tell, checkpoint)
    from engine.service.deployments.node.target import NodeTarget

    return NodeTarget(open_node(project, infrastructure, environ), tell)


def is_node(project: ProjectSpec, infrastructure: str) -> bool:
    """Return whether an infrastructure is a node, which is asked by HTTP."""
    return isinstance(project.resources.infrastructures[infrastructure], NodeInfrastructure)


def open_node(project: ProjectSpec, infrastructure: str, environ: Mapping[str, str]) -> "NodeClient":
    """Return a client of an infrastructure that is a node.

    Raises
    ------
    UsageError
        It is a folder, its token cannot be a token, or its certificate cannot be read.
    SpecError
        The secret with its token is absent.
    """
    from engine.service.deployments.node.client.client import NodeClient

    declared = project.resources.infrastructures[infrastructure]
    if not isinstance(declared, NodeInfrastructure):
        raise UsageError(f"the infrastructure {infrastructure!r} is a folder of this machine, and no node")
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
