"""`engine remove`: removes evaluations from a store, after a confirmation, and records the user and the time."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from engine.cli.options import Variables, load_project
from engine.outcome import ExitCode


def command(
    path: Annotated[Path, typer.Argument(metavar="SPEC", help="The spec file.", show_default=False)],
    store: Annotated[str, typer.Argument(metavar="STORE", help="The evaluation store.", show_default=False)],
    evaluations: Annotated[
        list[str], typer.Argument(metavar="EVALUATION", help="The names of the evaluations.", show_default=False)
    ],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    var: Variables = None,
) -> int:
    """Remove evaluations from a store, with their files. Asks for confirmation."""
    declared = load_project(path, var)

    from engine.api import Project
    from engine.api.lookup import unknown_name

    one = Project(declared, os.environ).store(store)
    existing = one.evaluations([])["name"].to_list()
    for name in evaluations:
        if name not in existing:
            raise unknown_name("evaluation", name, existing[::-1])
    if not yes:
        if not sys.stdin.isatty():
            raise typer.BadParameter("cannot ask for confirmation without a terminal; use --yes to remove without it")
        names = ", ".join(
            f"{name} ({existing.count(name)} evaluations)" if existing.count(name) > 1 else name for name in evaluations
        )
        if not typer.confirm(f"Remove {names} from {store}?", err=True):
            print("nothing was removed")
            return ExitCode.OK
    for name in dict.fromkeys(evaluations):
        removed = one.remove(name)
        print(f"{store}: removed {name}, {len(removed)} {'evaluation' if len(removed) == 1 else 'evaluations'}")
    return ExitCode.OK
