"""`engine remove`: remove evaluations from a store. Asks first; who did it, and when, is recorded."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from engine import spec
from engine.cli.options import Vars, values
from engine.outcome import ExitCode


def command(
    path: Annotated[Path, typer.Argument(metavar="SPEC", help="The spec file.", show_default=False)],
    store: Annotated[str, typer.Argument(metavar="STORE", help="The evaluation store.", show_default=False)],
    evaluations: Annotated[
        list[str], typer.Argument(metavar="EVALUATION...", help="Names of evaluations.", show_default=False)
    ],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    var: Vars = None,
) -> int:
    """Remove evaluations, with their files, from a store. Asks first."""
    declared = spec.load(path, values(var))

    # Here and not above: what opens the state loads polars, which a spec that is wrong need not wait for.
    from engine.api import Project
    from engine.api.asking import no_such

    one = Project(declared, os.environ).store(store)
    there = one.evaluations([])["name"].to_list()
    for name in evaluations:
        if name not in there:
            raise no_such("evaluation", name, there)
    if not yes:
        if not sys.stdin.isatty():
            raise typer.BadParameter("there is no terminal to ask on: say --yes to remove without being asked")
        told = ", ".join(
            f"{name} ({there.count(name)} evaluations)" if there.count(name) > 1 else name for name in evaluations
        )
        if not typer.confirm(f"Remove {told} from {store}?", err=True):
            print("nothing removed")
            return ExitCode.OK
    for name in dict.fromkeys(evaluations):
        removed = one.remove(name)
        print(f"{store}: {name} removed, {len(removed)} {'evaluation' if len(removed) == 1 else 'evaluations'}")
    return ExitCode.OK
