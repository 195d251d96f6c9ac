"""`engine render`: prints the resolved project: includes merged, variables filled in, secrets masked."""

from pathlib import Path
from typing import Annotated

import typer

from engine import spec
from engine.cli.options import Variables, parse_variables
from engine.outcome import ExitCode


def command(
    path: Annotated[Path, typer.Argument(metavar="SPEC", help="The spec file.", show_default=False)],
    var: Variables = None,
) -> int:
    """Print the resolved project as YAML, with secrets masked."""
    print(spec.load(path, parse_variables(var)).render(), end="")
    return ExitCode.OK
