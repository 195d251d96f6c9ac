"""`engine schema`: writes the JSON Schema that editors use, and the reference page of the spec language."""

from pathlib import Path
from typing import Annotated

import typer

from engine.outcome import ExitCode


def command(
    folder: Annotated[Path, typer.Argument(help="The folder to write to.")] = Path("schemas"),
) -> int:
    """Write the JSON Schema and the reference page of the spec language."""
    from engine.spec import json_schema

    for written in json_schema.write_schema_files(folder):
        print(written)
    return ExitCode.OK
