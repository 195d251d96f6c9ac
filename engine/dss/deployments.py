"""Import deployments as far as a project's files describe them: their names and the values of their node."""

from engine.dss.import_state import ImportState
from engine.dss.names import make_name
from engine.dss.spec_writing import Part

INFRASTRUCTURE = "automation"
"""The infrastructure that replaces those of the deployer, which are in no file of a project."""


def declare_deployment(state: ImportState, id_: str, bundle: str, place: str) -> str:
    """Declare a deployment by its id in DSS, if it is not declared yet, and return its name in the spec.

    It is deployed to a folder, with the variables of the node: the deployer's settings are in no file of a project.
    """
    deployments, infrastructures = state.sections["deployments"], state.sections["infrastructures"]
    name = make_name(id_, (), "deployment")
    if name in deployments:
        return name
    line = state.report.add("deployment", id_, place, f"deployments.{name}")
    line.note("TODO it deploys to the folder automation: name the node under infrastructures:")
    if not infrastructures:
        part = Part("", {"kind": "directory", "path": INFRASTRUCTURE})
        part.add_todo("the deployer's infrastructures are in no file of the project: name the node, kind: node")
        infrastructures[INFRASTRUCTURE] = part
    variables = {one: state.sections["variables"][one] for one in state.node_variables}
    deployments[name] = Part(
        place, {"infrastructure": INFRASTRUCTURE, "bundle": bundle, "variables": variables or None}
    )
    return name
