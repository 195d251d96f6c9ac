"""`engine compare`: what moved between an evaluation and another reference, computed now; nothing is stored."""

import os
from pathlib import Path
from typing import Annotated

import typer

from engine import spec
from engine.cli.options import TableFormat, Vars, values
from engine.outcome import ExitCode


def command(
    path: Annotated[Path, typer.Argument(metavar="SPEC", help="The spec file.", show_default=False)],
    store: Annotated[str, typer.Argument(metavar="STORE", help="The evaluation store.", show_default=False)],
    evaluation: Annotated[
        str | None,
        typer.Argument(metavar="[EVALUATION]", help="Its name or id; the newest if left out.", show_default=False),
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option(
            metavar="REFERENCE",
            help="Another evaluation, dataset:NAME, or model_test; the evaluation before it if left out.",
        ),
    ] = None,
    var: Vars = None,
    format_: TableFormat = "text",
) -> int:
    """Compare an evaluation with another one, a dataset or the model's held-out rows. Stores nothing."""
    declared = spec.load(path, values(var))

    # Here and not above: what compares loads polars and numba, which a spec that is wrong need not wait for.
    from engine.api import Project
    from engine.cli import output, pages

    with output.progress(verbose=False) as listen:
        one = Project(declared, os.environ, (listen,)).store(store)
        against = reference or one.before(evaluation).name
        found = one.compare(evaluation, reference)
    pages.compared(found, against, format_)
    return ExitCode.OK
