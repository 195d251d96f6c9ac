"""`engine show`: prints stored results, from an overview down to one evaluation or the log of one run."""

import os
from functools import partial
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
    parse_pairs,
    refuse_on_node,
)
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
    kinds = {
        "--checks": checks,
        "--runs": runs,
        "--outbox": outbox,
        "--triggers": triggers,
        "--fires": fires,
        "--reporters": reporters,
        "--run": run is not None,
    }
    chosen = [option for option, given in kinds.items() if given]
    if len(chosen) > 1:
        raise typer.BadParameter(f"{' and '.join(chosen)} show different things: give one of them at a time")
    if store is not None and chosen and not checks:
        raise typer.BadParameter(f"{chosen[0]} is about the whole project: leave out {store}")
    whole_table = store is not None and evaluation is None and not chosen
    if (metric or label or superseded or origin) and not whole_table:
        raise typer.BadParameter(
            "--metric, --label, --superseded and --origin apply only to the table of a store: engine show SPEC STORE"
        )
    whole_project = triggers or (store is None and not runs and not outbox and not reporters and not fires)
    if (sort or last) and (run is not None or (evaluation is not None and not checks) or whole_project):
        raise typer.BadParameter("--sort and --last apply only to tables: a STORE's, --checks, --runs, --fires …")
    if checks and store is None:
        raise typer.BadParameter("--checks needs an evaluation store or a dataset: engine show SPEC STORE --checks")
    if on is not None and (runs or run is not None) and (node := find_node_of(path, on)) is not None:
        from engine.cli.printers.node_printers import print_run_of_node, print_runs_of_node

        refuse_on_node({"--var": var, "--as-of": as_of})
        if run is not None:
            print_run_of_node(node, on, run, format_)
        else:
            print_runs_of_node(node, on, format_, sort, last)
        return ExitCode.OK
    declared = load_project(path, var, as_of, on=on)

    from engine.api import Project
    from engine.cli.output import print_warning
    from engine.cli.printers import table_printers

    project = Project(declared, os.environ, (print_warning,))
    print_rows = partial(table_printers.print_table, format_=format_, sort=sort, last=last)
    if run is not None:
        from engine.cli.printers import run_printers

        run_printers.print_run(project, run, format_)
    elif outbox:
        print_rows("outbox", project.tables.outbox(), table_printers.OUTBOX_HEADERS)
    elif triggers:
        from engine.cli.printers import trigger_printers

        trigger_printers.print_triggers(project, format_)
    elif fires:
        from engine.cli.printers import trigger_printers

        trigger_printers.print_fires(project, format_, sort, last)
    elif reporters:
        print_rows("reporters", project.tables.reporter_states(), table_printers.REPORTER_HEADERS)
    elif runs:
        shown = last or (table_printers.DEFAULT_ROWS if format_ == "text" else None)
        total = project.tables.count_runs() if format_ == "text" else None
        print_rows("runs", project.tables.runs(shown), table_printers.RUN_HEADERS, total=total)
    elif checks and store is not None:
        from engine.cli.printers import check_printers

        found = project.tables.checks(store, evaluation)
        check_printers.print_check_history(f"{store}: results of the checks", found, format_, sort=sort, last=last)
    elif store is None:
        from engine.cli.printers import store_printers

        store_printers.print_overview(project, format_)
    elif evaluation is None:
        from engine.cli.printers import store_printers

        labels = parse_pairs(label, "--label", "KEY=VALUE")
        shown_rows = store_printers.ShownRows(metric, labels, sort, last, superseded=superseded, origin=origin)
        store_printers.print_store(project.store(store), shown_rows, format_, project.tables.describe_mutes(store))
    else:
        from engine.cli.printers import evaluation_printers

        one = project.store(store)
        evaluation_printers.print_evaluation(one.evaluation(evaluation), one.latest_checks(evaluation), format_)
    return ExitCode.OK
