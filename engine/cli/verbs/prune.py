"""`engine prune`: removes from the state what `retention:` does not keep, as `engine serve` does every hour."""

import os
from typing import Annotated

import typer

from engine.cli.options import On, SpecFile, Variables, load_project
from engine.outcome import ExitCode


def command(
    path: SpecFile,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be removed.")] = False,
    vacuum: Annotated[
        bool,
        typer.Option(
            "--vacuum",
            help="Also compact the database, to free the disk space of removed rows. Not possible during runs.",
        ),
    ] = False,
    var: Variables = None,
    on: On = None,
) -> int:
    """Remove results beyond the limits of `retention:` from the state, and print what was removed."""
    if dry_run and vacuum:
        raise typer.BadParameter("--vacuum changes the state, --dry-run does not: use one of them")
    declared = load_project(path, var, on=on)

    from engine.api import Project
    from engine.cli.output import print_warning
    from engine.formatting.numbers import format_bytes
    from engine.service.retention import describe_pruned, describe_state_size

    project = Project(declared, os.environ, (print_warning,))
    if declared.resources.retention is None:
        print(f"{project.name}: nothing is removed, because the spec has no `retention:`")
        print(f"  the state has {describe_state_size(project.state_size())}")
    else:
        pruned = project.prune(dry=dry_run)
        verb = "would be removed" if dry_run else "removed"
        what = "nothing exceeds the retention" if pruned.is_empty else f"{verb}: {describe_pruned(pruned)}"
        print(f"{project.name}: {what}")
        for name in pruned.busy:
            print(f"  evaluation store {name} was not changed, because a run is writing to it: run this again later")
        if pruned.free_bytes and not dry_run and not vacuum:
            room = format_bytes(pruned.free_bytes)
            print(f"  {room} of state.db are unused now: new rows will use them, and --vacuum frees them on the disk")
    if vacuum:
        before, after = project.vacuum()
        print(f"  the database was compacted: {format_bytes(before)} before, {format_bytes(after)} now")
    return ExitCode.OK
