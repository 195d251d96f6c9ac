"""`engine init`: writes a folder with a first spec, proposed from the user's data, or the hello example."""

import os
import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from engine.formatting.control_characters import escape_controls
from engine.outcome import ExitCode

SPEC_NAME = "project.yaml"


def command(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder to write to.", show_default=False)],
    data: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Your data: Parquet, CSV, NDJSON or Arrow. The file is not copied."),
    ] = None,
    target: Annotated[str | None, typer.Option(metavar="COLUMN", help="The column to predict.")] = None,
    prediction: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="A model's predictions of the target; without it, a model is trained."),
    ] = None,
    time: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="The time of a row: earlier rows are the reference, later ones the batch."),
    ] = None,
) -> int:
    """Write a first spec for your data, or an example. The spec has comments; existing files are not overwritten."""
    spec = folder / SPEC_NAME
    if spec.exists() or (folder.exists() and not folder.is_dir()):
        what = f"{spec} exists already" if folder.is_dir() else f"{folder} is a file, not a folder"
        raise typer.BadParameter(what, param_hint="FOLDER")
    if prediction is not None and target is None:
        raise typer.BadParameter("needs --target too, the column that was predicted", param_hint="--prediction")
    if data is None:
        if target is not None or time is not None:
            raise typer.BadParameter("needs --data FILE too", param_hint="--target" if target else "--time")
        from engine.cli import example

        with _report_write_errors(folder):
            example.write_example(folder, spec)
    else:
        _write_proposal(spec, data, (target, prediction, time))
    print(f"{spec}\nNext: engine run {shlex.quote(str(spec))}")
    return ExitCode.OK


def _write_proposal(spec: Path, data: str, columns: tuple[str | None, str | None, str | None]) -> None:
    """Write a spec proposed from a file; `columns` are target, prediction and time."""
    from engine.cli.proposal import ColumnChoices, describe_data, list_remarks, propose_spec
    from engine.data.inspection import inspect_file

    path = Path(data).absolute()
    seen = inspect_file(path)
    text = propose_spec(
        seen,
        ColumnChoices(*columns),
        project=re.sub(r"\W+", "_", spec.absolute().parent.name).strip("_") or "project",
        path=Path(os.path.relpath(path, spec.absolute().parent)).as_posix(),
        spec=SPEC_NAME,
    )
    with _report_write_errors(spec.parent):
        spec.parent.mkdir(parents=True, exist_ok=True)
        with spec.open("x", encoding="utf-8") as file:
            file.write(text)
    print(f"{data}: {describe_data(seen)}")
    for remark in list_remarks(seen):
        print(f"  {escape_controls(remark)}")


@contextmanager
def _report_write_errors(folder: Path) -> Iterator[None]:
    """Turn an OSError into an error of the argument FOLDER."""
    try:
        yield
    except OSError as error:
        what = error.filename or folder
        raise typer.BadParameter(f"{what} cannot be written: {error.strerror}", param_hint="FOLDER") from error
