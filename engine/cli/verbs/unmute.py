"""`engine unmute`: ends the mute of a check early."""

import os
from typing import Annotated

import typer

from engine.cli.options import On, SpecFile, Variables, load_project
from engine.outcome import ExitCode


def command(
    path: SpecFile,
    target: Annotated[
        str, typer.Argument(metavar="STORE", help="An evaluation store or a dataset.", show_default=False)
    ],
    check: Annotated[str, typer.Argument(metavar="CHECK", help="The name of the muted check.", show_default=False)],
    var: Variables = None,
    on: On = None,
) -> int:
    """End the mute of a check now, so that it counts again. Records the user."""
    declared = load_project(path, var, on=on)

    from engine.api import Project
    from engine.cli.output import print_warning

    Project(declared, os.environ, (print_warning,)).unmute(target, check)
    print(f"{target}: check {check!r} counts again")
    return ExitCode.OK
