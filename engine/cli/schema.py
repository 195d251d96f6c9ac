"""`engine schema`: writes the JSON Schemas of specs and messages, and the reference page of the spec language."""

from pathlib import Path
from typing import Annotated

import typer

from engine.outcome import ExitCode


def command(
    folder: Annotated[Path, typer.Argument(help="The folder to write to.")] = Path("schemas"),
) -> int:
    """Write the JSON Schema and the reference page of the spec language, and the schema of messages to webhooks."""
    from engine.notifications import write_message_schema
    from engine.spec import json_schema

    for written in (*json_schema.write_schema_files(folder), write_message_schema(folder)):
        print(written)
    return ExitCode.OK
