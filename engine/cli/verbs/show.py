"""`engine show`: prints stored results, from an overview down to one evaluation or the log of one run."""

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

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
from engine.errors import UsageError
from engine.formatting.lists import join_some
from engine.formatting.moments import format_minute
from engine.outcome import ExitCode

if TYPE_CHECKING:
    from engine.api import EvaluationStore, Project
    from engine.api.result_table import ResultTable

MOST_METRIC_COLUMNS = 10
"""Metrics that a table for people shows as columns; more become its rows."""

RECENT_ROWS = 5
"""Rows of each table of the overview."""


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
            help="A metric to show instead of those of `display:`; drift.* is the drift of every column. Can be "
            "repeated."
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
        typer.Option(min=1, metavar="ROWS", help="Show only this many rows, the newest; by default 20 as text."),
    ] = None,
    superseded: Annotated[
        bool,
        typer.Option("--superseded", help="Show those of STORE too that a later evaluation of their time supersedes."),
    ] = False,
    origin: Annotated[
        str | None,
        typer.Option(
            metavar="DEPLOYMENT",
            help="Show only evaluations of STORE that engine pull has brought from this deployment.",
            show_default=False,
        ),
    ] = None,
    checks: Annotated[bool, typer.Option("--checks", help="Show all results of the checks of STORE.")] = False,
    runs: Annotated[bool, typer.Option("--runs", help="Show the runs.")] = False,
    outbox: Annotated[
        bool, typer.Option("--outbox", help="Show the messages that were not sent: undelivered, refused or dropped.")
    ] = False,
    triggers: Annotated[
        bool, typer.Option("--triggers", help="Show what starts the scenarios, whether it does, and its next times.")
    ] = False,
    fires: Annotated[
        bool, typer.Option("--fires", help="Show what was due by triggers, and what has become of it.")
    ] = False,
    reporters: Annotated[
        bool, typer.Option("--reporters", help="Show what reporters with only_on_change or cooldown have last told.")
    ] = False,
    run: Annotated[
        str | None, typer.Option(metavar="ID", help="Show a run and its log; the last part of its id is enough.")
    ] = None,
    var: Variables = None,
    on: On = None,
    as_of: AsOf = None,
    format_: TableFormat = "text",
) -> int:
    """Show stored results: stores, evaluations, checks, runs, triggers and undelivered messages."""
    tables = checks or runs or outbox or reporters or triggers or fires
    whole_table = store is not None and evaluation is None and not tables and run is None
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
    if run is not None:
        from engine.cli.printers import run_printers

        run_printers.print_run(project, run, format_)
    elif outbox:
        table_printers.print_table(
            "outbox", project.tables.outbox(), table_printers.OUTBOX_HEADERS, format_, sort=sort, last=last
        )
    elif triggers:
        from engine.cli.printers import trigger_printers

        trigger_printers.print_triggers(project, format_)
    elif fires:
        from engine.cli.printers import trigger_printers

        trigger_printers.print_fires(project, format_, sort, last)
    elif reporters:
        table_printers.print_table(
            "reporters",
            project.tables.reporter_states(),
            table_printers.REPORTER_HEADERS,
            format_,
            sort=sort,
            last=last,
        )
    elif runs:
        shown = last or (table_printers.DEFAULT_ROWS if format_ == "text" else None)
        total = project.tables.count_runs() if format_ == "text" else None
        table_printers.print_table(
            "runs", project.tables.runs(shown), table_printers.RUN_HEADERS, format_, sort=sort, last=last, total=total
        )
    elif checks and store is not None:
        from engine.cli.printers import check_printers

        found = project.tables.checks(store, evaluation)
        check_printers.print_check_history(f"{store}: results of the checks", found, format_, sort=sort, last=last)
    elif store is None:
        _print_overview(project, format_)
    elif evaluation is None:
        labels = parse_pairs(label, "--label", "KEY=VALUE")
        mutes = project.tables.tell_mutes(store)
        _print_store_table(project.store(store), metric, labels, sort, last, superseded, origin, format_, mutes)
    else:
        from engine.cli.printers import evaluation_printers

        one = project.store(store)
        evaluation_printers.print_evaluation(one.evaluation(evaluation), one.latest_checks(evaluation), format_)
    return ExitCode.OK


def _print_store_table(
    store: "EvaluationStore",
    metrics: list[str] | None,
    labels: dict[str, str],
    sort: str | None,
    last: int | None,
    superseded: bool,
    origin: str | None,
    format_: TableFormat,
    mutes: list[str],
) -> None:
    """Print the table of a store's evaluations, filtered by labels, with remarks about removals and muted checks."""
    from engine.api.lookup import unknown_name
    from engine.cli.printers import table_printers
    from engine.formatting.hints import find_similar
    from engine.spec.metrics.catalogue import list_statistics

    # Which evaluations have a label is known only when all are read; else the newest are enough.
    most = None if labels else last or (table_printers.DEFAULT_ROWS if format_ == "text" else None)
    total = store.count(superseded=superseded, origin=origin) if most and format_ == "text" else None
    wide = metrics is not None
    found = store.tabulate_evaluations(metrics, most, intervals=wide, superseded=superseded, origin=origin)
    # a metric that is not shown is shown too if it is sorted by
    if sort is not None and table_printers.find_sort_column(sort, found) is None:
        try:
            wanted_too = [*(metrics or store.displayed), sort.removeprefix("-")]
            found = store.tabulate_evaluations(wanted_too, most, superseded=superseded, origin=origin)
        except UsageError:
            wanted, known = sort.removeprefix("-"), [*found.columns, *list_statistics("store")]
            near = find_similar(wanted, known)
            help_ = f'did you mean "{near}"?' if near else f"the columns are {', '.join(found.columns)}"
            raise UsageError(f"--sort: there is no column or metric {wanted!r}; {help_}") from None
    for key, value in labels.items():
        if f"labels.{key}" not in found.columns:
            keys = [name.removeprefix("labels.") for name in found.columns if name.startswith("labels.")]
            raise unknown_name("label", key, keys)
        found = replace(found, rows=[row for row in found.rows if row.get(f"labels.{key}") == value])
    remarks = [*_explain_empty_metrics(store, found, metrics), *_describe_removals(store), *mutes]
    if format_ == "text":
        remarks = [*_describe_times(store, found, most), *remarks]
    title = table_printers.format_store_title(store)
    shown = table_printers.list_metric_columns(found)
    if format_ == "text" and len(shown) > MOST_METRIC_COLUMNS:
        table_printers.print_metric_rows(title, found, shown, sort=sort, last=last, total=total, remarks=remarks)
        return
    columns = table_printers.select_columns(found, store)
    table_printers.print_table(title, found, columns, format_, sort=sort, last=last, total=total, remarks=remarks)


def _explain_empty_metrics(store: "EvaluationStore", shown: "ResultTable", asked: list[str] | None) -> list[str]:
    """Return why metrics have no value in any evaluation of a table.

    Raises
    ------
    UsageError
        The newest evaluation does not have a metric that was asked for.
    """
    from engine.formatting.hints import suggest_name
    from engine.spec.metrics.names import normalize_metric_name

    names = [normalize_metric_name(metric) for metric in asked or store.displayed]
    columns = {name: [one for one in shown.columns if _matches(one, name)] for name in names}
    known = {one for one in shown.columns if any(value is not None for value in shown.values(one))}
    empty = [name for name, found in columns.items() if known.isdisjoint(found)]
    if not shown.rows or not empty:
        return []
    newest = store.evaluation(shown.values("id")[-1]).metrics
    remarks: dict[str, list[str]] = {}
    for name in empty:
        having = [one for one in newest if _matches(one, name)]
        if not having and asked:
            same = [one for one in newest if one.startswith(f"{name.partition('.')[0]}.")]
            hint = suggest_name(name, same or list(newest))
            raise UsageError(f"--metric: {store.name} has not measured {name}{hint}")
        reason = next((newest[one].reason for one in having if newest[one].reason), "it was not measured")
        remarks.setdefault(str(reason), []).append(name)
    return [f"{join_some(same)} {'has' if len(same) == 1 else 'have'} no value: {why}" for why, same in remarks.items()]


def _describe_times(store: "EvaluationStore", shown: "ResultTable", last: int | None) -> list[str]:
    """Return what to know of the times of a table: which have the same data, and where the history starts anew."""
    anew = [
        f"another model since {one.name}: its evaluations are not compared with those before"
        for one in store.starts_anew(last)
    ]
    if "same_data_as" not in shown.columns:
        return anew
    pairs = zip(shown.values("name"), shown.values("same_data_as"), strict=True)
    repeated = [name for name, other in pairs if other is not None]
    have = "has" if len(repeated) == 1 else "have"
    return [*anew, *([f"{join_some(repeated)} {have} exactly the same data as another time"] if repeated else [])]


def _matches(metric: str, wanted: str) -> bool:
    return metric.startswith(wanted.removesuffix("*")) if wanted.endswith(".*") else metric == wanted


def _describe_removals(store: "EvaluationStore") -> list[str]:
    """Return one line for each of the latest removals, with the evaluations that it removed."""
    at_once: dict[tuple[str, str], list[str]] = {}
    for removed in store.removals():
        at_once.setdefault((removed.by, format_minute(removed.at)), []).append(removed.name)
    lines = [
        f"{join_some(names)} {'was' if len(names) == 1 else 'were'} removed by {by} on {at}"
        for (by, at), names in at_once.items()
    ]
    earlier = [f"there are {len(lines) - RECENT_ROWS} earlier removals"] if len(lines) > RECENT_ROWS else []
    return [*earlier, *lines[-RECENT_ROWS:]]


def _print_overview(project: "Project", format_: TableFormat) -> None:
    """Print the newest evaluations of each store and the newest runs."""
    from engine.cli import tables
    from engine.cli.json_output import print_json
    from engine.cli.printers import table_printers

    stores = {name: project.store(name).tabulate_evaluations(last=RECENT_ROWS) for name in project.stores}
    runs = project.tables.runs(last=RECENT_ROWS)
    if format_ == "csv":
        raise typer.BadParameter("--format csv prints a single table: name a STORE, or use --runs")
    if format_ == "json":
        recent = {name: tables.to_records(found) for name, found in stores.items()}
        everything = {"project": project.name, "evaluation_stores": recent, "runs": tables.to_records(runs)}
        print_json(tables.render_json(everything))
        return
    page = tables.Page()
    page.add_title(f"{project.name}  {project.spec.resources.description or ''}".rstrip())
    for name, found in stores.items():
        store = project.store(name)
        page.add_title(table_printers.format_store_title(store))
        page.add_table(
            table_printers.add_short_ids(found), table_printers.select_columns(found, store), empty="nothing yet"
        )
        if earlier := store.count() - len(found.rows):
            page.add_line(f"{earlier} earlier: engine show {project.spec.path} {name}", style="dim")
    for line in (*project.tables.tell_mutes(), *project.tables.tell_pauses()):
        page.add_line(line)
    page.add_title("runs")
    page.add_table(table_printers.add_short_ids(runs), table_printers.RUN_HEADERS, empty="nothing yet")
    page.print()
