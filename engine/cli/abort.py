"""`engine abort`: ends a run that is at work on a node."""

from typing import Annotated

import typer

from engine.cli.options import SpecFile, find_node_of
from engine.errors import UsageError
from engine.outcome import ExitCode


def command(
    path: SpecFile,
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="The id of the run; the last part of it is enough.", show_default=False)
    ],
    on: Annotated[
        str,
        typer.Option("--on", metavar="DEPLOYMENT", help="The deployment of the spec, on a node.", show_default=False),
    ],
) -> int:
    """Ask a run on a node to end: it becomes ABORTED, and its reporters tell it. Recorded with who has asked."""
    node = find_node_of(path, on)
    if node is None:
        raise UsageError(
            f"{on} is in a folder of this machine: a run is ended where it was started, by Ctrl-C, and one that "
            "engine serve has started by POST /projects/PROJECT/runs/RUN/abort to that server"
        )
    from engine.service.deployments.node_runs import abort_run_on_node

    print(f"run {abort_run_on_node(node, on, run)} on the node {node.name} was asked to end")
    return ExitCode.OK
