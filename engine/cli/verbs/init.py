"""`engine init`: writes a folder with a first spec, proposed from the user's data, or the hello example."""

import os
import re
import shlex
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.atomic_files import replace_file
from engine.cli.argument_mistakes import report_write_errors
from engine.cli.column_choices import ColumnChoices
from engine.cli.example import Example, write_example
from engine.formatting.control_characters import escape_controls
from engine.outcome import ExitCode

if TYPE_CHECKING:
    from engine.cli.proposal import Source

SPEC_NAME = "project.yaml"


class Period(StrEnum):
    """The lengths of a period."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"


def command(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder to write to.", show_default=False)],
    data: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE",
            help="Your data: a file (Parquet, CSV, NDJSON or Arrow), a folder, or a pattern in quotes. Repeat --data "
            "for several files of one dataset. Nothing is copied.",
        ),
    ] = None,
    target: Annotated[str | None, typer.Option(metavar="COLUMN", help="The column to predict.")] = None,
    prediction: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="The column with a model's predictions of the target; without it, a model is trained. Columns with "
            "class probabilities, such as y_pred_proba_<class>, are found by their names.",
        ),
    ] = None,
    time: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="The column with the time of a row. Earlier rows become the reference, later rows the batch.",
        ),
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="The data to compare with, if it is in a separate file, folder or pattern."),
    ] = None,
    period: Annotated[
        Period | None, typer.Option(help="The length of a batch, with --time.", show_default="detected from the data")
    ] = None,
    example: Annotated[
        Example | None,
        typer.Option(help="Write an example instead of a spec for your data.", show_default="hello, without --data"),
    ] = None,
) -> int:
    """Write a first spec for your data, or an example. The spec has comments; existing files are not overwritten."""
    spec = folder / SPEC_NAME
    if spec.exists() or (folder.exists() and not folder.is_dir()):
        what = f"{spec} exists already" if folder.is_dir() else f"{folder} is a file, not a folder"
        raise typer.BadParameter(what, param_hint="FOLDER")
    if prediction is not None and target is None:
        raise typer.BadParameter("needs --target too, the column that was predicted", param_hint="--prediction")
    if period is not None and time is None:
        raise typer.BadParameter("needs --time too, the column with the time of a row", param_hint="--period")
    if data:
        if example is not None:
            raise typer.BadParameter("is without --data: it has data of its own", param_hint="--example")
        given = ColumnChoices(target, prediction, time, period and period.value)
        _write_proposal(spec, data, reference, given)
    else:
        options = {"--target": target, "--time": time, "--reference": reference}
        for option in (name for name, value in options.items() if value is not None):
            raise typer.BadParameter("needs --data FILE too", param_hint=option)
        with report_write_errors(folder, "FOLDER"):
            write_example(example or Example.HELLO, folder, SPEC_NAME)
    print(f"{spec}\nNext: engine run {shlex.quote(str(spec))}")
    return ExitCode.OK


def _write_proposal(spec: Path, data: Sequence[str], reference: str | None, given: ColumnChoices) -> None:
    """Write a spec proposed from files."""
    from engine.cli.proposal import describe_data, list_remarks, propose_spec
    from engine.cli.proposal.file_patterns import unite_paths

    sources = [_inspect_source(unite_paths(files), spec) for files in ([data, [reference]] if reference else [data])]
    text = propose_spec(
        sources[0],
        given,
        project=re.sub(r"\W+", "_", spec.absolute().parent.name).strip("_") or "project",
        spec=SPEC_NAME,
        reference=sources[1] if reference else None,
    )
    with report_write_errors(spec.parent, "FOLDER"):
        spec.parent.mkdir(parents=True, exist_ok=True)
        with replace_file(spec) as part:
            part.write_text(text, encoding="utf-8")
    for name, source in zip([" ".join(data), reference], sources, strict=False):
        print(f"{name}: {describe_data(source.seen)}")
        for remark in list_remarks(source.seen):
            print(f"  {escape_controls(remark)}")


def _inspect_source(path: Path, spec: Path) -> "Source":
    """Inspect files; their path is written relative to the spec's folder."""
    from engine.cli.proposal import Source
    from engine.data.inspection import inspect_file

    return Source(inspect_file(path), Path(os.path.relpath(path, spec.absolute().parent)).as_posix())
