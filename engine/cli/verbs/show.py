"""`engine show`: prints stored results, from an overview down to one evaluation or the log of one run."""

import os
from typing import Annotated

import typer

from engine.cli.options import (
    AsOf,
    On,
    SpecFile,
    TableFormat,
    Variables,
    find_node_of,
    load_project,
    refuse_on_node,
)
from engine.cli.show_views import VIEWS, ShowRequest, choose_view
from engine.outcome import ExitCode


def command(
    path: SpecFile,
    store: Annotated[
        str | None,
        typer.Argument(metavar="STORE", help="An evaluation store; with --checks also a dataset.", show_default=False),
    ] = None,
    evaluation: Annotated[
        str | None, typer.Argument(metavar="EVALUATION", help="The evaluation's name or id.", show_default=False)
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            metavar="METRIC",
            help="A metric to show instead of those in `display:`; drift.* is the drift of every column. Can be "
            "repeated.",
        ),
    ] = None,
    label: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="Show only evaluations with this label. Can be repeated."),
    ] = None,
    sort: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Sort by a column or metric, smallest first; -COLUMN: largest first."),
    ] = None,
    last: Annotated[
        int | None,
        typer.Option(min=1, metavar="ROWS", help="Show only this many of the newest rows; by default 20 as text."),
    ] = None,
    superseded: Annotated[
        bool,
        typer.Option(
            "--superseded", help="Include evaluations of STORE that were superseded by later ones of the same time."
        ),
    ] = False,
    origin: Annotated[
        str | None,
        typer.Option(
            metavar="DEPLOYMENT",
            help="Show only evaluations of STORE copied from this deployment by engine pull.",
            show_default=False,
        ),
    ] = None,
    checks: Annotated[bool, typer.Option("--checks", help="Show all check results of STORE.")] = False,
    runs: Annotated[bool, typer.Option("--runs", help="Show the runs.")] = False,
    outbox: Annotated[
        bool, typer.Option("--outbox", help="Show messages that were not sent: undelivered, refused or dropped.")
    ] = False,
    triggers: Annotated[
        bool, typer.Option("--triggers", help="Show the triggers of the scenarios with their states and next times.")
    ] = False,
    fires: Annotated[bool, typer.Option("--fires", help="Show when triggers fired, and the result of each.")] = False,
    reporters: Annotated[
        bool, typer.Option("--reporters", help="Show the last messages of reporters with only_on_change or cooldown.")
    ] = False,
    run: Annotated[
        str | None, typer.Option(metavar="ID", help="Show a run and its log, by the run's id or its last part.")
    ] = None,
    var: Variables = None,
    on: On = None,
    as_of: AsOf = None,
    format_: TableFormat = "text",
) -> int:
    """Show stored results: stores, evaluations, checks, runs, triggers and undelivered messages."""
    flags = {
        "--checks": checks,
        "--runs": runs,
        "--outbox": outbox,
        "--triggers": triggers,
        "--fires": fires,
        "--reporters": reporters,
        "--run": run is not None,
    }
    form = choose_view(store, evaluation, flags)
    request = ShowRequest(
        store=store or "",
        evaluation=evaluation,
        run=run or "",
        metrics=metric,
        labels=label,
        sort=sort,
        last=last,
        superseded=superseded,
        origin=origin,
        format=format_,
    )
    request.check_options(form)
    if on is not None and form in ("--runs", "--run") and (node := find_node_of(path, on)) is not None:
        from engine.cli.printers.node_printers import print_run_of_node, print_runs_of_node

        refuse_on_node({"--var": var, "--as-of": as_of})
        if run is not None:
            print_run_of_node(node, on, run, format_)
        else:
            print_runs_of_node(node, on, format_, sort, last)
        return ExitCode.OK
    declared = load_project(path, var, as_of, on=on)

    from engine.api import Project
    from engine.cli.output import print_warnings_once

    VIEWS[form].print(Project(declared, os.environ, (print_warnings_once(),)), request)
    return ExitCode.OK
