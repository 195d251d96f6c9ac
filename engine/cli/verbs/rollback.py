"""`engine rollback`: makes the last healthy revision of a deployment the active one again."""

import os
import sys
from typing import Annotated

import typer

from engine.cli.interruptions import treat_signals_as_interruptions
from engine.cli.options import SpecFile, TextOrJson, Variables, load_project


def command(
    path: SpecFile,
    deployment: Annotated[
        str, typer.Argument(metavar="DEPLOYMENT", help="The deployment of the spec.", show_default=False)
    ],
    now: Annotated[
        bool, typer.Option("--now", help="Skip the tests before the update, but not the health check after it.")
    ] = False,
    var: Variables = None,
    format_: TextOrJson = "text",
) -> int:
    """Return to the last healthy revision of a deployment, with its settings of that time. Exit code 3: not done.

    To deploy the bundle that was active there again, use engine deploy --again.
    """
    project = load_project(path, var)

    from engine.cli.printers import deployment_printers
    from engine.service.deployments.deploying import roll_back_deployment

    treat_signals_as_interruptions()
    done = roll_back_deployment(
        project,
        deployment,
        environ=os.environ,
        now=now,
        report=lambda text: print(f"{deployment}: {text}", file=sys.stderr),
    )
    return deployment_printers.print_operation(done, format_)
