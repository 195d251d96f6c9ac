"""Lists the deployments of a spec with their current status, and the operations on them."""

from collections.abc import Mapping
from dataclasses import replace

from engine.service.deployments.deployed_state import DeploymentState, describe_found
from engine.service.deployments.settings import digest_settings, get_deployment, snapshot_settings
from engine.service.deployments.targets import open_target
from engine.spec import ProjectSpec
from engine.store.node import OperationRow


def list_deployments(project: ProjectSpec, environ: Mapping[str, str]) -> list[DeploymentState]:
    """Return the status of the declared deployments; change and conclude nothing."""
    return [describe_deployment(project, name, environ) for name in project.resources.deployments]


def describe_deployment(project: ProjectSpec, name: str, environ: Mapping[str, str]) -> DeploymentState:
    """Return the current status of a deployment; raise UsageError if the spec has none of that name."""
    declared = get_deployment(project, name)
    found = open_target(project, declared.infrastructure, environ).find(name)
    state = describe_found(name, declared.infrastructure, found)
    active = None if found is None else found.active
    if active is None:
        return state
    differences = []
    if active.digest != digest_settings(snapshot_settings(project, name)):
        differences.append("the settings of the spec have changed since")
    if declared.bundle is not None and not _is_bundle(declared.bundle, active.bundle, active.bundle_name):
        differences.append(f"the spec says bundle {declared.bundle}")
    reasons = (*state.reasons, *differences)
    return replace(state, state="OUT_OF_SYNC" if differences and not state.reasons else state.state, reasons=reasons)


def _is_bundle(named: str, id_: str, name: str) -> bool:
    return named == name or id_.startswith(named)


def list_operations(project: ProjectSpec, name: str, environ: Mapping[str, str]) -> list[OperationRow]:
    """Return the operations on a deployment with their steps and logs, oldest first."""
    return open_target(project, get_deployment(project, name).infrastructure, environ).list_operations(name)
