"""`engine validate`: checks spec files and files of nodes, without reading data and without importing user code."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from engine.cli.options import AsOf, Format, Variables, load_project
from engine.errors import Diagnostic, SpecError
from engine.outcome import ExitCode
from engine.spec import diagnostics
from engine.spec.channel_urls import check_channel_urls
from engine.spec.node_file import load_node, names_node
from engine.spec.rules.switched_off import list_inactive


def command(
    specs: Annotated[
        list[Path],
        typer.Argument(metavar="SPEC", help="Spec files, and files of nodes (node.yaml).", show_default=False),
    ],
    var: Variables = None,
    as_of: AsOf = None,
    format_: Format = "text",
) -> int:
    """Check spec files and show every problem with its position. Reads no data."""
    found: list[Diagnostic] = []
    inactive: list[str] = []
    wrong = False
    for path in specs:
        try:
            if names_node(path):
                found += load_node(path).warnings
                continue
            project = load_project(path, var, as_of)
            found += project.warnings
            inactive += list_inactive(project.resources)
            if urls := check_channel_urls(project, os.environ):
                raise SpecError(tuple(urls))
        except SpecError as error:
            wrong = True
            found += error.diagnostics
    if format_ == "json" or found:
        print(
            diagnostics.render_diagnostics(found, format_, colour=sys.stdout.isatty() and "NO_COLOR" not in os.environ)
        )
    if format_ == "text" and not wrong:
        off = f"; switched off: {', '.join(inactive)}" if inactive else ""
        print(f"{', '.join(str(path) for path in specs)}: valid{off}")
    return ExitCode.USAGE if wrong else ExitCode.OK
