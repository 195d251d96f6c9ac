"""Import projects of other tools."""

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from engine.cli.argument_mistakes import report_write_errors
from engine.outcome import ExitCode

SPEC_NAME, REPORT_NAME = "spec.yaml", "import-report.md"


def import_dss(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SOURCE",
            help="A Dataiku DSS project: its folder (git-synchronized or unpacked), or a zip file (an export or a "
            "bundle).",
            show_default=False,
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", metavar="FOLDER", help="The folder to write to; existing files are not overwritten."
        ),
    ] = Path(),
    with_data: Annotated[
        bool, typer.Option("--with-data", help="Also copy the data files of an export into the folder.")
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with code 1 if anything is left out.")] = False,
) -> int:
    """Write a spec for a Dataiku DSS project, and a report with a line for each object of the project."""
    from engine.atomic_files import replace_files
    from engine.dss.project_import import check_spec, describe_import, import_project
    from engine.dss.source import open_project_files
    from engine.formatting.control_characters import escape_controls

    spec, report = output / SPEC_NAME, output / REPORT_NAME
    for path in (spec, report):
        if path.exists():
            raise typer.BadParameter(f"{path} exists already", param_hint="--output")
    with open_project_files(source) as files:
        imported = import_project(files, with_data=with_data)
        for target in (*imported.copies.values(), *imported.joins):
            if (output / target).exists():
                raise typer.BadParameter(f"{output / target} exists already", param_hint="--output")
        with report_write_errors(output, "--output"), replace_files(output, overwrite=False) as new:
            for file, target in imported.copies.items():
                files.copy_file(file, new / target)
            for target, rows in imported.joins.items():
                rows.write(files, new / target)
            (new / SPEC_NAME).write_text(imported.spec, encoding="utf-8")
            findings, valid = check_spec(new / SPEC_NAME)
            findings = findings.replace(str(new / SPEC_NAME), str(spec))
            text = describe_import(imported, source.name, findings)
            (new / REPORT_NAME).write_text(text, encoding="utf-8")
    print(f"{spec}\n{report}\n{imported.report.summarize()}")
    if imported.report.mistakes:
        print("Mistakes found in the project:")
    for place, what in imported.report.mistakes:
        print(escape_controls(f"  {place}: {what}"))
    for line in imported.report.left_out:
        print(f"left out: {escape_controls(f'{line.kind} {line.name} ({line.place}): {line.reason}')}")
    if imported.report.remarks:
        print(f"{len(imported.report.remarks)} values or files could not be read: see the report")
    what = "" if valid else ", which names what is left to do"
    print(f"Next: engine validate {shlex.quote(str(spec))}{what}")
    return ExitCode.CHECK_ERROR if strict and imported.report.left_out else ExitCode.OK


COMMANDS: dict[str, Callable[..., int]] = {"dss": import_dss}
