"""`engine mute`: makes a check not count for a time, with a visible reason; or lists the mutes."""

import os
from typing import Annotated

import typer

from engine.cli.options import On, SpecFile, TableFormat, Variables, load_project, parse_end
from engine.outcome import ExitCode


def command(
    path: SpecFile,
    target: Annotated[
        str | None, typer.Argument(metavar="STORE", help="An evaluation store or a dataset.", show_default=False)
    ] = None,
    check: Annotated[
        str | None, typer.Argument(metavar="CHECK", help="The name of one of its checks.", show_default=False)
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="End of the mute: 2026-12-01 (start of the day) or 2026-12-01T09:30, in the project's time zone, or a "
            "time from now, such as 12h or 7d.",
        ),
    ] = None,
    reason: Annotated[str | None, typer.Option(metavar="TEXT", help="The reason, visible to everybody.")] = None,
    list_: Annotated[bool, typer.Option("--list", help="List the mutes, including past ones.")] = False,
    var: Variables = None,
    on: On = None,
    format_: TableFormat = "text",
) -> int:
    """Mute a check for a time: it is still applied and stored, but counts as OK and alerts nobody. Records the user."""
    if list_ and (target or check or until or reason):
        raise typer.BadParameter("--list takes no STORE, CHECK, --until or --reason")
    if format_ != "text" and not list_:
        raise typer.BadParameter("--format is for --list")
    if not list_ and not (target and check):
        raise typer.BadParameter("give the store and the check: engine mute SPEC STORE CHECK, or use --list")
    if not list_ and not (until and reason and reason.strip()):
        raise typer.BadParameter("--until and --reason are needed")
    declared = load_project(path, var, on=on)

    from engine.api import Project
    from engine.cli.output import print_warning
    from engine.cli.printers import table_printers

    project = Project(declared, os.environ, (print_warning,))
    if list_:
        table_printers.print_table("mutes", project.tables.mutes(), table_printers.MUTE_HEADERS, format_)
    elif target and check and until and reason:
        print(f"{target}: {project.mute(target, check, until=parse_end(until), reason=reason)}")
    return ExitCode.OK
