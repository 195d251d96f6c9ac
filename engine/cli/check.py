"""`engine check`: applies the checks, as the spec declares them now, to an existing evaluation or to a dataset.

With `--replay` they are applied to all evaluations of a store, to try bounds before they are declared.
"""

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from engine import spec
from engine.cli.options import Format, Variables, load_project
from engine.outcome import ExitCode


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
    replay: Annotated[
        bool, typer.Option("--replay", help="Apply the checks to all evaluations of the store, and record nothing.")
    ] = False,
    tried: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="CHECK.KEY=VALUE",
            help="With --replay: try another value for a key of a check. Can be repeated.",
        ),
    ] = None,
    format_: Format = "text",
) -> int:
    """Apply the current checks again and record the results. Takes an evaluation or a dataset."""
    if tried and not replay:
        raise typer.BadParameter("needs --replay: a value that is tried is not recorded", param_hint="--set")
    declared = load_project(path, var)
    if replay:
        if evaluation is not None or format_ == "github":
            what = "takes no EVALUATION" if evaluation is not None else "has no --format github"
            raise typer.BadParameter(f"{what}: it is about all evaluations of the store", param_hint="--replay")
        return _replay(declared, target, tried or [], format_)

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


def _replay(declared: spec.ProjectSpec, target: str, tried: list[str], format_: Literal["text", "json"]) -> int:
    """Print what the checks, as declared and with the values that are tried, would have said of all evaluations."""
    from engine.api import Project
    from engine.cli import printers

    settings: dict[str, object] = {}
    for text in tried:
        name, equals, value = text.rpartition("=")
        if not name or not equals:
            raise typer.BadParameter(f"{text!r} is not CHECK.KEY=VALUE", param_hint="--set")
        settings[name.strip()] = value
    store = Project(declared, os.environ).store(target)
    found = store.replay(settings)
    printers.print_replay(target, found, store.replay() if settings else None, format_)
    return ExitCode.OK
