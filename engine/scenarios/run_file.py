"""Writes run.json, the file with the result of a run for other programs."""

from pydantic_core import to_json

from engine.atomic_files import replace_file
from engine.scenarios.context import RunContext
from engine.scenarios.result import RunResult
from engine.store.databases.errors import build_store_error, translate_errors


def write_run_file(result: RunResult, context: RunContext) -> None:
    """Write run.json.

    Raises
    ------
    StoreError
        The file, or earlier the log of the run, cannot be written.
    """
    document = context.secrets.redact_values(result.model_dump(mode="json"))
    path = context.store.runs.folder_of(result.id) / "run.json"
    with translate_errors(context.store.folder), replace_file(path) as part:
        part.write_bytes(to_json(document, indent=1))
    if context.log.files and (first := context.log.files.failure):
        cause = f"the log of run {result.id} is not complete, since it could not be written"
        raise build_store_error(
            context.store.folder, cause, "free disk space or give this user write access, then run again", str(first)
        )
