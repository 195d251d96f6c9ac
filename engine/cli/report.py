"""`engine report`: one evaluation as a page to send around."""

import os
from pathlib import Path
from typing import Annotated

import typer

from engine import spec
from engine.cli.options import Vars, values
from engine.outcome import ExitCode


def command(
    path: Annotated[Path, typer.Argument(metavar="SPEC", help="The spec file.", show_default=False)],
    store: Annotated[
        str | None,
        typer.Argument(metavar="[STORE]", help="An evaluation store; the only one if left out.", show_default=False),
    ] = None,
    evaluation: Annotated[
        str | None,
        typer.Argument(
            metavar="[EVALUATION]", help="An evaluation's name or id; the newest if left out.", show_default=False
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Where to write it; a chart where it ends in .png. If left out, STORE-EVALUATION.html here.",
            show_default=False,
        ),
    ] = None,
    var: Vars = None,
) -> int:
    """Write an evaluation as one HTML file that needs nothing else."""
    declared = spec.load(path, values(var))
    known = list(declared.evaluation_stores)
    if store is None and len(known) != 1:
        raise typer.BadParameter(f"say which: {', '.join(known) or 'the spec declares none'}", param_hint="STORE")

    # Here and not above: what reads the state loads polars, which a spec that is wrong need not wait for.
    from engine.api import Project
    from engine.scenarios.steps import report

    project = Project(declared, os.environ)
    one = project.store(store or known[0]).evaluation(evaluation)
    with project.opened() as context:
        facts = report.facts_of(one, context)
        output = output or Path(f"{facts.file_name}.html")
        report.write(facts, output, context)
    print(output)
    return ExitCode.OK
