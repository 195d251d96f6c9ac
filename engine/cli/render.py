"""`engine render`: prints the resolved project: includes merged, variables filled in, secrets masked."""

from pathlib import Path
from typing import Annotated

import typer

from engine.cli.options import AsOf, Variables, load_project
from engine.outcome import ExitCode


def command(
    path: Annotated[Path, typer.Argument(metavar="SPEC", help="The spec file.", show_default=False)],
    var: Variables = None,
    as_of: AsOf = None,
) -> int:
    """Print the resolved project as YAML, with secrets masked."""
    print(load_project(path, var, as_of).render(), end="")
    return ExitCode.OK
