"""`engine deploy`: makes a bundle the active one of a deployment, after testing it there."""

import os
import sys
from typing import Annotated

import typer

from engine.cli.interruptions import treat_signals_as_interruptions
from engine.cli.options import SpecFile, TextOrJson, Variables, load_project
from engine.outcome import ExitCode


def command(
    path: SpecFile,
    deployment: Annotated[
        str, typer.Argument(metavar="DEPLOYMENT", help="The deployment of the spec.", show_default=False)
    ],
    bundle: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The bundle, by name or id; by default the one that the deployment names in the spec.",
            show_default=False,
        ),
    ] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Only show what would change.")] = False,
    again: Annotated[
        bool, typer.Option("--again", help="Deploy a bundle although it was rolled back there before.")
    ] = False,
    now: Annotated[
        bool, typer.Option("--now", help="Skip the tests before the update, but not the health check after it.")
    ] = False,
    var: Variables = None,
    format_: TextOrJson = "text",
) -> int:
    """Deploy a bundle: test that it can run there, make it active, check its health, and roll back if the check fails.

    Exit code 3: refused, or rolled back. If the command is killed, no half-made deployment remains: the next one
    concludes it.
    """
    project = load_project(path, var)

    from engine.cli.printers import deployment_printers
    from engine.service.deployments.deploying import deploy_bundle, plan_update

    if plan:
        deployment_printers.print_change(plan_update(project, deployment, bundle, os.environ), format_)
        return ExitCode.OK
    treat_signals_as_interruptions()
    done = deploy_bundle(
        project,
        deployment,
        bundle,
        environ=os.environ,
        again=again,
        now=now,
        report=lambda text: print(f"{deployment}: {text}", file=sys.stderr),
    )
    return deployment_printers.print_operation(done, format_)
