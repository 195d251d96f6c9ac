"""Print the evaluations of stores: the table of one store, and an overview of the newest of all."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import typer

from engine.api import EvaluationStore, Project
from engine.api.lookup import unknown_name
from engine.api.result_table import ResultTable
from engine.cli.json_output import print_json
from engine.cli.options import TableFormat
from engine.cli.printers.table_printers import (
    DEFAULT_ROWS,
    RUN_HEADERS,
    add_short_ids,
    find_sort_column,
    format_store_title,
    list_metric_columns,
    print_metric_rows,
    print_table,
    select_columns,
)
from engine.cli.tables import Page, render_json, to_records
from engine.errors import UsageError
from engine.formatting.hints import find_similar, suggest_name
from engine.formatting.lists import join_some
from engine.formatting.moments import format_minute
from engine.spec.metrics.catalogue import list_statistics
from engine.spec.metrics.names import normalize_metric_name

MOST_METRIC_COLUMNS = 10
"""Maximum number of metric columns in a table for people; more metrics become rows."""

RECENT_ROWS = 5
"""Number of rows of each table in the overview."""


@dataclass(frozen=True, slots=True)
class ShownRows:
    """Which evaluations of a store to show, with which metrics, in which order.

    Attributes
    ----------
    metrics
        None for the metrics that the store displays.
    labels
        The required labels of an evaluation.
    sort
        The column to sort by, with - for the largest first; None for the oldest first.
    last
        The number of newest evaluations; None for as many as the format shows.
    superseded
        Whether to include evaluations that a later one of the same time supersedes.
    origin
        The deployment from which they must come; None for any.
    """

    metrics: Sequence[str] | None
    labels: Mapping[str, str]
    sort: str | None
    last: int | None
    superseded: bool
    origin: str | None


def print_store(store: EvaluationStore, asked: ShownRows, format_: TableFormat, mutes: Sequence[str]) -> None:
    """Print the table of a store's evaluations, with remarks about missing values, removals and muted checks.

    Raises
    ------
    UsageError
        A metric, a label or the column to sort by does not exist.
    """
    sort, last = asked.sort, asked.last
    # To find evaluations by label, all must be read; otherwise the newest are enough.
    most = None if asked.labels else last or (DEFAULT_ROWS if format_ == "text" else None)
    found = _tabulate_evaluations(store, asked, most)
    total = store.count(superseded=asked.superseded, origin=asked.origin) if most and format_ == "text" else None
    remarks = [*_explain_empty_metrics(store, found, asked.metrics), *_describe_removals(store), *mutes]
    if format_ == "text":
        remarks = [*_describe_times(store, found, most), *remarks]
    title = format_store_title(store)
    shown = list_metric_columns(found)
    if format_ == "text" and len(shown) > MOST_METRIC_COLUMNS:
        print_metric_rows(title, found, shown, sort=sort, last=last, total=total, remarks=remarks)
        return
    columns = select_columns(found, store)
    print_table(title, found, columns, format_, sort=sort, last=last, total=total, remarks=remarks)


def _tabulate_evaluations(store: EvaluationStore, asked: ShownRows, most: int | None) -> ResultTable:
    """Return the selected evaluations among at most `most` of the newest."""

    def tabulate(metrics: Sequence[str] | None) -> ResultTable:
        wide = asked.metrics is not None
        return store.tabulate_evaluations(
            metrics, most, intervals=wide, superseded=asked.superseded, origin=asked.origin
        )

    found = tabulate(asked.metrics)
    # a metric by which the rows are sorted is shown as well
    if asked.sort is not None and find_sort_column(asked.sort, found) is None:
        wanted = asked.sort.removeprefix("-")
        try:
            found = tabulate([*(asked.metrics or store.displayed), wanted])
        except UsageError:
            near = find_similar(wanted, [*found.columns, *list_statistics("store")])
            help_ = f'did you mean "{near}"?' if near else f"the columns are {', '.join(found.columns)}"
            raise UsageError(f"--sort: there is no column or metric {wanted!r}; {help_}") from None
    for key, value in asked.labels.items():
        if f"labels.{key}" not in found.columns:
            keys = [name.removeprefix("labels.") for name in found.columns if name.startswith("labels.")]
            raise unknown_name("label", key, keys)
        found = replace(found, rows=[row for row in found.rows if row.get(f"labels.{key}") == value])
    return found


def _explain_empty_metrics(store: EvaluationStore, shown: ResultTable, asked: Sequence[str] | None) -> list[str]:
    """Return the reasons why metrics have no value in any evaluation of a table.

    Raises
    ------
    UsageError
        The newest evaluation lacks a requested metric.
    """
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


def _describe_times(store: EvaluationStore, shown: ResultTable, last: int | None) -> list[str]:
    """Return remarks on the times of a table: evaluations with the same data, and where the history starts anew."""
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


def _describe_removals(store: EvaluationStore) -> list[str]:
    """Return one line for each of the latest removals, with the removed evaluations."""
    at_once: dict[tuple[str, str], list[str]] = {}
    for removed in store.removals():
        at_once.setdefault((removed.by, format_minute(removed.at)), []).append(removed.name)
    lines = [
        f"{join_some(names)} {'was' if len(names) == 1 else 'were'} removed by {by} on {at}"
        for (by, at), names in at_once.items()
    ]
    earlier = [f"there are {len(lines) - RECENT_ROWS} earlier removals"] if len(lines) > RECENT_ROWS else []
    return [*earlier, *lines[-RECENT_ROWS:]]


def print_overview(project: Project, format_: TableFormat) -> None:
    """Print the newest evaluations of each store and the newest runs."""
    stores = {name: project.store(name).tabulate_evaluations(last=RECENT_ROWS) for name in project.stores}
    runs = project.tables.runs(last=RECENT_ROWS)
    if format_ == "csv":
        raise typer.BadParameter("--format csv prints a single table: give a STORE, or use --runs")
    if format_ == "json":
        recent = {name: to_records(found) for name, found in stores.items()}
        everything = {"project": project.name, "evaluation_stores": recent, "runs": to_records(runs)}
        print_json(render_json(everything))
        return
    page = Page()
    page.add_title(f"{project.name}  {project.spec.resources.description or ''}".rstrip())
    for name, found in stores.items():
        store = project.store(name)
        page.add_title(format_store_title(store))
        page.add_table(add_short_ids(found), select_columns(found, store), empty="nothing yet")
        if earlier := store.count() - len(found.rows):
            page.add_line(f"{earlier} earlier: engine show {project.spec.path} {name}", style="dim")
    for line in (*project.tables.describe_mutes(), *project.tables.describe_pauses()):
        page.add_line(line)
    page.add_title("runs")
    page.add_table(add_short_ids(runs), RUN_HEADERS, empty="nothing yet")
    page.print()
