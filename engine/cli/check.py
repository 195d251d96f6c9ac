"""`engine check`: applies the checks, as the spec declares them now, to an existing evaluation or to a dataset."""

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from engine.cli.options import Format, Variables, load_project


def command(
    path: Annotated[Path, typer.Argument(metavar="SPEC", help="The spec file.", show_default=False)],
    target: Annotated[
        str, typer.Argument(metavar="TARGET", help="An evaluation store or a dataset.", show_default=False)
    ],
    evaluation: Annotated[
        str | None,
        typer.Argument(
            metavar="EVALUATION", help="The evaluation's name or id; by default the newest.", show_default=False
        ),
    ] = None,
    var: Variables = None,
    fail_on: Annotated[
        Literal["warning", "error", "never"], typer.Option(help="The least severe outcome that gives exit code 1.")
    ] = "error",
    format_: Format = "text",
) -> int:
    """Apply the current checks again and record the results. Takes an evaluation or a dataset."""
    declared = load_project(path, var)

    from engine.api import Project
    from engine.cli import output, printers
    from engine.scenarios.result import checks_exit_code

    with output.show_progress(verbose=False) as listen:
        found = Project(declared, os.environ, (listen,)).check(target, evaluation)
    if format_ == "github":
        print(output.render_annotations(found))
    elif not found and format_ == "text":
        print(f"{target} has no checks; declare some under its key checks:")
    else:
        printers.print_checks(target, found, format_)
    return checks_exit_code(found, fail_on)
