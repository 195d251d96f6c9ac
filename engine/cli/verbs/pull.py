"""`engine pull`: copies the evaluations of deployments into the state of the project that was deployed."""

import os
import sys
from typing import Annotated

import typer

from engine.cli.interruptions import treat_signals_as_interruptions
from engine.cli.options import SpecFile, TextOrJson, Variables, load_project, parse_time
from engine.errors import EngineError, UsageError
from engine.outcome import ExitCode


def command(
    path: SpecFile,
    deployment: Annotated[
        str | None,
        typer.Argument(
            metavar="DEPLOYMENT", help="The deployment; by default all deployments of the spec.", show_default=False
        ),
    ] = None,
    store: Annotated[
        str | None,
        typer.Option(
            metavar="STORE", help="The evaluation store; by default all stores of the spec.", show_default=False
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="DATE",
            help="Only evaluations of this time or later: 2026-11-28 or 2026-11-28T09:30, in UTC unless it has an "
            "offset.",
            show_default=False,
        ),
    ] = None,
    var: Variables = None,
    format_: TextOrJson = "text",
) -> int:
    """Copy the evaluations made by deployments, with their files and checks, and mark them with their origin.

    They form a separate history in this state: nothing here is compared with them, and no check or alert uses them.
    Evaluations that were copied before are skipped, so a new pull continues an interrupted one.
    """
    moment = None if since is None else parse_time(since, "--since")
    declared = load_project(path, var)

    from engine.api import Project
    from engine.cli.printers.deployment_printers import print_pulled

    names = [deployment] if deployment is not None else list(declared.resources.deployments)
    if not names:
        raise UsageError(f"{path} declares no deployments, so there is nothing to pull")
    treat_signals_as_interruptions()
    project = Project(declared, os.environ, (lambda line: print(line.text, file=sys.stderr),))
    found = []
    for name in names:
        try:
            found.append(project.pull(name, store, since=moment))
        except EngineError as problem:  # the other deployments are still pulled
            if len(names) == 1:
                raise
            print(f"engine: error: {problem}", file=sys.stderr)
    print_pulled(found, format_)
    return ExitCode.OK if len(found) == len(names) else ExitCode.COULD_NOT_RUN
