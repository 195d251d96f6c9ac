"""`engine resume`: ends the pause of a scenario early."""

import os
from typing import Annotated

import typer

from engine.cli.options import On, SpecFile, Variables, find_node_of, load_project, refuse_on_node
from engine.errors import UsageError
from engine.outcome import ExitCode


def command(
    path: SpecFile,
    scenario: Annotated[
        str, typer.Argument(metavar="SCENARIO", help="The scenario whose triggers are paused.", show_default=False)
    ],
    var: Variables = None,
    on: On = None,
) -> int:
    """End the pause of a scenario now. Runs that were due during the pause are not started. Records the user."""
    if on is not None and (node := find_node_of(path, on)) is not None:
        from engine.service.deployments.node.client.runs import resume_on_node

        refuse_on_node({"--var": var})
        if not resume_on_node(node, on, scenario):
            raise UsageError(f"{scenario!r} is not paused")
    else:
        declared = load_project(path, var, on=on)

        from engine.api import Project
        from engine.cli.output import print_warning

        Project(declared, os.environ, (print_warning,)).resume(scenario)
    print(f"{scenario}: its triggers start runs again, from now on")
    return ExitCode.OK
