"""`engine schema`: writes the JSON Schema that editors use, and the reference page of the spec language."""

from pathlib import Path
from typing import Annotated

import typer

from engine.outcome import ExitCode


def command(
    folder: Annotated[Path, typer.Argument(help="The folder to write to.")] = Path("schemas"),
) -> int:
    """Write the JSON Schema and the reference page of the spec language."""
    from engine.spec import schema

    for written in schema.write(folder):
        print(written)
    return ExitCode.OK
