"""`engine show`: what the project remembers, from an overview down to one evaluation or the log of one run."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine import spec
from engine.cli.options import TableFormat, Vars, pairs, values
from engine.outcome import ExitCode

if TYPE_CHECKING:
    from engine.api import EvaluationStore, Project

RECENT = 5
"""Rows of each table of the overview."""


def command(
    path: Annotated[Path, typer.Argument(metavar="SPEC", help="The spec file.", show_default=False)],
    store: Annotated[
        str | None,
        typer.Argument(
            metavar="[STORE]", help="An evaluation store; with --checks also a dataset.", show_default=False
        ),
    ] = None,
    evaluation: Annotated[
        str | None, typer.Argument(metavar="[EVALUATION]", help="An evaluation's name or id.", show_default=False)
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(help="Show this metric instead of those of display:; drift.* is every column's. Repeatable."),
    ] = None,
    label: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="Only evaluations with this label. Repeatable.")
    ] = None,
    sort: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="Sort the table by a column or metric; -COLUMN: largest first.")
    ] = None,
    last: Annotated[
        int | None, typer.Option(min=1, help="Only so many rows, the newest; as text 20 if left out.")
    ] = None,
    checks: Annotated[bool, typer.Option("--checks", help="What the checks of STORE found, each time.")] = False,
    runs: Annotated[bool, typer.Option("--runs", help="The runs.")] = False,
    run: Annotated[
        str | None, typer.Option(metavar="ID", help="A run and its log; the id's last part will do.")
    ] = None,
    var: Vars = None,
    format_: TableFormat = "text",
) -> int:
    """Show what is remembered: everything, a store, an evaluation, checks, runs."""
    whole_table = store is not None and evaluation is None and not checks and not runs and run is None
    if (metric or label) and not whole_table:
        raise typer.BadParameter("--metric and --label belong to the table of a store: engine show SPEC STORE")
    if (sort or last) and (run is not None or (evaluation is not None and not checks) or (store is None and not runs)):
        raise typer.BadParameter("--sort and --last belong to a table: a store's, --checks or --runs")
    if checks and store is None:
        raise typer.BadParameter("say whose: engine show SPEC STORE --checks")
    declared = spec.load(path, values(var))

    # Here and not above: what reads the state loads polars, which a spec that is wrong need not wait for.
    from engine.api import Project
    from engine.cli import pages

    project = Project(declared, os.environ)
    if run is not None:
        pages.run(project, run, format_)
    elif runs:
        pages.table("runs", project.runs(), pages.RUNS, format_, sort=sort, last=last)
    elif checks and store is not None:
        found = project.checks(store) if evaluation is None else project.store(store).checks(evaluation)
        pages.table(f"{store}: what the checks found", found, pages.CHECKS, format_, sort=sort, last=last)
    elif store is None:
        _overview(project, format_)
    elif evaluation is None:
        _store(project.store(store), metric, pairs(label, "--label", "KEY=VALUE"), sort, last, format_)
    else:
        one = project.store(store)
        pages.evaluation(one.evaluation(evaluation), one.checks(evaluation), format_)
    return ExitCode.OK


def _store(
    store: "EvaluationStore",
    metrics: list[str] | None,
    labels: dict[str, str],
    sort: str | None,
    last: int | None,
    format_: TableFormat,
) -> None:
    from engine.api.asking import no_such
    from engine.cli import pages

    frame = store.evaluations(metrics)
    if sort is not None and pages.column(sort, frame) is None:
        frame = store.evaluations([*(metrics or store.displayed), sort.removeprefix("-")])
    for key, value in labels.items():
        if f"labels.{key}" not in frame.columns:
            known = [name.removeprefix("labels.") for name in frame.columns if name.startswith("labels.")]
            raise no_such("label", key, known)
        frame = frame.filter(frame[f"labels.{key}"] == value)
    pages.table(
        pages.heading(store),
        frame,
        pages.columns_of(frame, store),
        format_,
        sort=sort,
        last=last,
        remarks=[
            f"{removed.name} was removed by {removed.by} on {removed.at:%Y-%m-%d %H:%M} UTC"
            for removed in store.removals()
        ],
    )


def _overview(project: "Project", format_: TableFormat) -> None:
    from engine.cli import pages, tables

    stores = {name: project.store(name).evaluations() for name in project.stores}
    runs = project.runs(last=RECENT)
    if format_ == "csv":
        raise typer.BadParameter("csv is one table: say which STORE, or --runs")
    if format_ == "json":
        recent = {name: tables.records(frame.tail(RECENT)) for name, frame in stores.items()}
        print(tables.as_json({"project": project.name, "evaluation_stores": recent, "runs": tables.records(runs)}))
        return
    page = tables.Page()
    page.title(f"{project.name}  {project.spec.spec.description or ''}".rstrip())
    for name, frame in stores.items():
        store = project.store(name)
        page.title(pages.heading(store))
        page.table(frame.tail(RECENT), pages.columns_of(frame, store), empty="nothing yet")
        if frame.height > RECENT:
            page.line(f"{frame.height - RECENT} earlier: engine show {project.spec.path} {name}", style="dim")
    page.title("runs")
    page.table(pages.short(runs), pages.RUNS, empty="nothing yet")
    page.print()
