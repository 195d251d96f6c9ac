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
        bool, typer.Option("--now", help="Skip the tests before the update; the health check stays.")
    ] = False,
    var: Variables = None,
    format_: TextOrJson = "text",
) -> int:
    """Go back to the last healthy revision of a deployment, with the settings that it had then. Exit code 3: not done.

    The bundle that was active is deployed there again only with engine deploy --again.
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
        tell=lambda text: print(f"{deployment}: {text}", file=sys.stderr),
    )
    return deployment_printers.print_operation(done, format_)
