"""`engine report`: writes one evaluation as an HTML page or a chart, or all pages as files."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli.options import AsOf, On, SpecFile, Variables, load_project
from engine.outcome import ExitCode

if TYPE_CHECKING:
    from engine.spec import ProjectSpec

ENDINGS = (".html", ".htm", ".png")
"""The allowed endings of a report's name."""


def command(
    path: SpecFile,
    store: Annotated[
        str | None,
        typer.Argument(
            metavar="STORE", help="The evaluation store; optional if there is only one.", show_default=False
        ),
    ] = None,
    evaluation: Annotated[
        str | None,
        typer.Argument(
            metavar="EVALUATION", help="The evaluation's name or id; by default the newest.", show_default=False
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="The file to write: a page if it ends in .html, a chart if in .png. By default STORE-EVALUATION.html "
            "in this folder. With --all, the folder, by default `site`.",
            show_default=False,
        ),
    ] = None,
    every: Annotated[
        bool,
        typer.Option("--all", help="Write the pages of engine serve as files, for use without a server."),
    ] = False,
    var: Variables = None,
    on: On = None,
    as_of: AsOf = None,
) -> int:
    """Write an evaluation as one self-contained HTML file, or all pages as files."""
    if every:
        if store is not None:
            raise typer.BadParameter("--all writes the pages of all stores, so it takes no name", param_hint="STORE")
        return _write_all_pages(load_project(path, var, as_of, on=on), output or Path("site"))
    if output is not None:
        _require_writable_form(output)
    declared = load_project(path, var, as_of, on=on)
    stores = list(declared.evaluation_stores)
    if store is None and len(stores) != 1:
        message = (
            f"give an evaluation store: {', '.join(stores)}" if stores else "the spec declares no evaluation store"
        )
        raise typer.BadParameter(message, param_hint="STORE")

    from engine.api import Project
    from engine.cli.output import print_warning

    project = Project(declared, os.environ, (print_warning,))
    print(project.store(store or stores[0]).report(output, evaluation))
    return ExitCode.OK


def _write_all_pages(declared: "ProjectSpec", folder: Path) -> int:
    from engine.api import Project
    from engine.cli.output import print_warning
    from engine.server.page_copy import INDEX, copy_pages

    with Project(declared, os.environ, (print_warning,)).open_session() as context:
        copied = copy_pages(declared, context.store, folder)
    print(folder / INDEX)
    if copied.left_out:
        note = f"{copied.left_out:,} links lead to pages beyond the {len(copied.files):,} files that are written"
        print(f"warning: {note}", file=sys.stderr)
    return ExitCode.OK


def _require_writable_form(output: Path) -> None:
    """Raise typer.BadParameter for a folder, or for a file with an unsupported ending."""
    if output.is_dir():
        raise typer.BadParameter(
            f"{str(output)!r} is a folder; give a file in it, such as {output / 'report.html'}", param_hint="--output"
        )
    if output.suffix.lower() not in ENDINGS:
        found = f"not {output.suffix}" if output.suffix else "and this has no ending"
        raise typer.BadParameter(
            f"{str(output)!r}: a report is written as .html (or .htm), a chart of it as .png, {found}",
            param_hint="--output",
        )
