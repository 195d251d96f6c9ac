"""`engine validate`: checks spec files and files of nodes, without reading data and without importing user code."""

from pathlib import Path
from typing import Annotated

import typer

from engine.cli.options import AsOf, Format, Variables, parse_as_of, parse_variables
from engine.cli.verdicts import answer_validate


def command(
    specs: Annotated[
        list[Path],
        typer.Argument(metavar="SPEC", help="Spec files, and files of nodes (node.yaml).", show_default=False),
    ],
    var: Variables = None,
    as_of: AsOf = None,
    format_: Format = "text",
) -> int:
    """Check spec files and show every problem with its position, without reading data."""
    return answer_validate(specs, parse_variables(var), parse_as_of(as_of), format_)
