"""`engine compare`: compares an evaluation with another reference, without storing the result."""

import os
from typing import Annotated

import typer

from engine.cli.options import AsOf, On, SpecFile, TableFormat, Variables, load_project
from engine.outcome import ExitCode


def command(
    path: SpecFile,
    store: Annotated[str, typer.Argument(metavar="STORE", help="The evaluation store.", show_default=False)],
    evaluation: Annotated[
        str | None,
        typer.Argument(
            metavar="EVALUATION", help="The evaluation's name or id; by default the newest.", show_default=False
        ),
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option(
            metavar="REFERENCE",
            help="Another evaluation, dataset:NAME, or model_test (the model's held-out rows); by default the previous "
            "evaluation.",
        ),
    ] = None,
    var: Variables = None,
    on: On = None,
    as_of: AsOf = None,
    format_: TableFormat = "text",
) -> int:
    """Compare an evaluation with another reference. Nothing is stored."""
    declared = load_project(path, var, as_of, on=on)

    from engine.api import Project
    from engine.cli import output
    from engine.cli.printers import evaluation_printers

    with output.show_progress(verbose=False) as listen:
        one = Project(declared, os.environ, (listen,)).store(store)
        against = reference or one.before(evaluation).name
        found = one.compare(evaluation, reference)
    evaluation_printers.print_comparison(found, against, format_)
    return ExitCode.OK
