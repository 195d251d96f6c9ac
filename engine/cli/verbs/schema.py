"""`engine schema`: writes the JSON Schemas of specs and messages, the reference page, and the node API document."""

from pathlib import Path
from typing import Annotated

import typer

from engine.atomic_files import replace_files
from engine.cli.argument_mistakes import report_write_errors
from engine.outcome import ExitCode


def command(
    folder: Annotated[Path, typer.Argument(help="The folder to write to.")] = Path("schemas"),
) -> int:
    """Write the JSON Schemas, the reference page of the spec language, and the OpenAPI document of a node."""
    from engine.notifications import write_message_schema
    from engine.server.node_api.openapi import write_api_document
    from engine.spec.reference import json_schema

    with report_write_errors(folder, "FOLDER"), replace_files(folder) as new:
        files = (*json_schema.write_schema_files(new), write_message_schema(new), write_api_document(new))
    for written in files:
        print(folder / written.name)
    return ExitCode.OK
