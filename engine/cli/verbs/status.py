"""`engine status`: shows the state of a spec's deployments; exit code 1 if one is not well."""

import os
from typing import Annotated

import typer

from engine.cli.options import SpecFile, TextOrJson, Variables, load_project
from engine.outcome import ExitCode


def command(
    path: SpecFile,
    deployment: Annotated[
        str | None,
        typer.Argument(
            metavar="DEPLOYMENT", help="The deployment; by default all deployments of the spec.", show_default=False
        ),
    ] = None,
    var: Variables = None,
    format_: TextOrJson = "text",
) -> int:
    """Show four statuses per deployment: deployment, model, execution, data. Exit code 1: one of them is not well.

    For a spec without deployments, they are about the spec itself. Nothing is run or changed.
    """
    project = load_project(path, var)

    import json

    from engine.api import Project
    from engine.cli.json_output import print_json
    from engine.cli.output import print_warning

    found = Project(project, os.environ, (print_warning,)).status(deployment)
    if format_ == "json":
        print_json(json.dumps([one.model_dump(mode="json") for one in found], indent=1))
    else:
        for one in found:
            print(f"{one.name}: {'well' if one.well else 'not well'}")
            for title, answer in one.answers.items():
                print(f"  {title}: {answer.state}{'' if answer.well else '  ←'}")
                for text in answer.told:
                    print(f"    {text}")
    return ExitCode.OK if all(one.well for one in found) else ExitCode.CHECK_ERROR
