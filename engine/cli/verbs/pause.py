"""`engine pause`: stops the triggers of a scenario for a time; or lists the pauses."""

import os
from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli.options import (
    On,
    SpecFile,
    TableFormat,
    Variables,
    find_node_of,
    load_project,
    parse_end,
    refuse_on_node,
)
from engine.formatting.moments import format_minute
from engine.outcome import ExitCode

if TYPE_CHECKING:
    from engine.service.deployments.node.client.client import NodeClient


def command(
    path: SpecFile,
    scenario: Annotated[
        str | None,
        typer.Argument(metavar="SCENARIO", help="The scenario whose triggers are paused.", show_default=False),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="End of the pause: 2026-12-01 (start of the day) or 2026-12-01T08:00, in the project's time zone, or "
            "a time from now, such as 2h or 3d. By default until engine resume.",
        ),
    ] = None,
    reason: Annotated[str | None, typer.Option(metavar="TEXT", help="The reason, visible to everybody.")] = None,
    list_: Annotated[bool, typer.Option("--list", help="List the pauses, including past ones.")] = False,
    var: Variables = None,
    on: On = None,
    format_: TableFormat = "text",
) -> int:
    """Pause the triggers of a scenario, so that engine serve starts no runs of it. Records the user."""
    if list_ and (scenario or until or reason):
        raise typer.BadParameter("--list takes no SCENARIO, --until or --reason")
    if format_ != "text" and not list_:
        raise typer.BadParameter("--format is for --list")
    if not list_ and not scenario:
        raise typer.BadParameter("give the scenario: engine pause SPEC SCENARIO, or use --list")
    if on is not None and (node := find_node_of(path, on)) is not None:
        refuse_on_node({"--list": list_, "--var": var})
        return _pause_on_node(node, on, scenario or "", until, reason)
    declared = load_project(path, var, on=on)

    from engine.api import Project
    from engine.cli.output import print_warning

    project = Project(declared, os.environ, (print_warning,))
    if list_:
        from engine.cli.printers import table_printers

        table_printers.print_table("pauses", project.tables.pauses(), table_printers.PAUSE_HEADERS, format_)
    elif scenario:
        end = None if until is None else parse_end(until)
        print(f"{scenario}: {project.pause(scenario, until=end, reason=reason or '')}")
    return ExitCode.OK


def _pause_on_node(node: "NodeClient", deployment: str, scenario: str, until: str | None, reason: str | None) -> int:
    from engine.service.deployments.node.client.runs import pause_on_node

    if until is not None:
        parse_end(until)
    if not reason or not reason.strip():
        raise typer.BadParameter("a pause on a node needs a reason, which everybody sees", param_hint="--reason")
    done = pause_on_node(node, deployment, scenario, until, reason)
    end = f"until {format_minute(done.until)}" if done.until else "until somebody resumes it"
    print(f"{done.paused}: paused {end} by {done.by}: {reason}")
    return ExitCode.OK
