"""The status of deployments, compared with the spec."""

from collections.abc import Mapping

from engine import spec
from engine.api.opened_state import Listeners, open_state
from engine.errors import EngineError
from engine.service.deployments.deployed_spec import find_deployed_spec
from engine.service.deployments.deployed_state import DeploymentState
from engine.service.deployments.deployment_list import describe_deployment
from engine.service.deployments.project_status import (
    ProjectState,
    ProjectStatus,
    StatusAnswer,
    add_problems,
    describe_deployment_answer,
    describe_status,
)
from engine.service.deployments.settings import get_deployment
from engine.service.deployments.targets import is_node, open_node


def load_deployed(project: spec.ProjectSpec, deployment: str, environ: Mapping[str, str]) -> spec.ProjectSpec:
    """Return the active spec of a deployment; raise UsageError if there is none, SpecError if it is not valid."""
    return spec.load(find_deployed_spec(project, deployment), environ=environ)


def describe_here(project: spec.ProjectSpec, environ: Mapping[str, str], listeners: Listeners) -> ProjectStatus:
    """Return the status of a project without deployments."""
    with open_state(project, environ, listeners) as context:
        return describe_status(project.name, None, ProjectState(project, context.store, context.clock()))


def describe_deployed(
    name: str, project: spec.ProjectSpec, environ: Mapping[str, str], listeners: Listeners
) -> ProjectStatus:
    """Return the status of a deployment of a project; raise UsageError if the spec has no such deployment."""
    state = describe_deployment(project, name, environ)
    if state.revision is None:
        return describe_status(name, state, None)
    infrastructure = get_deployment(project, name).infrastructure
    if is_node(project, infrastructure):
        from engine.service.deployments.node.target import NodeTarget

        there = NodeTarget(open_node(project, infrastructure, environ)).read_status(name)
        return there.model_copy(update={"deployment": _join_answers(there.deployment, state)})
    try:
        deployed = load_deployed(project, name, environ)
    except EngineError as problem:  # for example a missing included file
        return describe_status(name, add_problems(state, [str(problem)]), None)
    with open_state(deployed, environ, listeners) as context:
        return describe_status(name, state, ProjectState(deployed, context.store, context.clock()))


def _join_answers(there: StatusAnswer | None, state: DeploymentState) -> StatusAnswer:
    """Return the answer about a deployment on a node: that of the node, with the differences from the spec."""
    here = describe_deployment_answer(state)
    if there is None or there.well:
        return here
    return there.model_copy(update={"told": tuple(dict.fromkeys((*there.told, *here.told)))})
