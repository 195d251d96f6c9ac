"""The views of `engine show`, and the options that each of them takes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

from engine.cli.options import TableFormat, parse_pairs
from engine.formatting.lists import join_words

if TYPE_CHECKING:
    from engine.api import Project

ROW_OPTIONS = ("--sort", "--last")


@dataclass(frozen=True, slots=True, kw_only=True)
class ShowRequest:
    """The arguments of `engine show` that select what a view shows; `store` and `run` may be empty."""

    store: str
    evaluation: str | None
    run: str
    metrics: list[str] | None
    labels: list[str] | None
    sort: str | None
    last: int | None
    superseded: bool
    origin: str | None
    format: TableFormat

    def check_options(self, form: str) -> None:
        """Check that a view takes all given options; raise typer.BadParameter if it does not take one of them."""
        given = {
            "--metric": self.metrics,
            "--label": self.labels,
            "--sort": self.sort,
            "--last": self.last,
            "--superseded": self.superseded,
            "--origin": self.origin,
        }
        for option, value in given.items():
            if value and option not in VIEWS[form].options:
                others = join_words((other for other, view in VIEWS.items() if option in view.options), "or")
                shown = f"engine show SPEC {form}".rstrip()
                raise typer.BadParameter(f"{option} does not apply to {shown}, only to engine show SPEC {others}")


@dataclass(frozen=True, slots=True)
class View:
    """A view: the function that prints it, and the options that select and sort its rows."""

    print: Callable[["Project", ShowRequest], None]
    options: tuple[str, ...] = ()


def choose_view(store: str | None, evaluation: str | None, flags: Mapping[str, bool]) -> str:
    """Return the form of the view that is asked for, a key of `VIEWS`; `flags` are the options that choose a view.

    Raises
    ------
    typer.BadParameter
        The arguments ask for several views, or for the checks of nothing.
    """
    chosen = [flag for flag, is_given in flags.items() if is_given]
    if len(chosen) > 1:
        raise typer.BadParameter(f"{' and '.join(chosen)} show different things: give one of them at a time")
    if chosen == ["--checks"]:
        if store is None:
            raise typer.BadParameter("--checks needs an evaluation store or a dataset: engine show SPEC STORE --checks")
        return "STORE --checks"
    if chosen:
        if store is not None:
            raise typer.BadParameter(f"{chosen[0]} is about the whole project: leave out {store}")
        return chosen[0]
    if store is None:
        return ""
    return "STORE" if evaluation is None else "STORE EVALUATION"


def _print_overview(project: "Project", request: ShowRequest) -> None:
    from engine.cli.printers import store_printers

    store_printers.print_overview(project, request.format)


def _print_store(project: "Project", request: ShowRequest) -> None:
    from engine.cli.printers import store_printers

    shown = store_printers.ShownRows(
        request.metrics,
        parse_pairs(request.labels, "--label", "KEY=VALUE"),
        request.sort,
        request.last,
        superseded=request.superseded,
        origin=request.origin,
    )
    mutes = project.tables.describe_mutes(request.store)
    store_printers.print_store(project.store(request.store), shown, request.format, mutes)


def _print_evaluation(project: "Project", request: ShowRequest) -> None:
    from engine.cli.printers import evaluation_printers

    store = project.store(request.store)
    name = request.evaluation or ""
    evaluation_printers.print_evaluation(store.evaluation(name), store.latest_checks(name), request.format)


def _print_checks(project: "Project", request: ShowRequest) -> None:
    from engine.cli.printers import check_printers

    found = project.tables.checks(request.store, request.evaluation)
    title = f"{request.store}: results of the checks"
    check_printers.print_check_history(title, found, request.format, sort=request.sort, last=request.last)


def _print_runs(project: "Project", request: ShowRequest) -> None:
    from engine.cli.printers import table_printers

    is_text = request.format == "text"
    runs = project.tables.runs(request.last or (table_printers.DEFAULT_ROWS if is_text else None))
    total = project.tables.count_runs() if is_text else None
    headers = table_printers.RUN_HEADERS
    table_printers.print_table("runs", runs, headers, request.format, sort=request.sort, last=request.last, total=total)


def _print_run(project: "Project", request: ShowRequest) -> None:
    from engine.cli.printers import run_printers

    run_printers.print_run(project, request.run, request.format)


def _print_outbox(project: "Project", request: ShowRequest) -> None:
    from engine.cli.printers import table_printers

    messages, headers = project.tables.outbox(), table_printers.OUTBOX_HEADERS
    table_printers.print_table("outbox", messages, headers, request.format, sort=request.sort, last=request.last)


def _print_triggers(project: "Project", request: ShowRequest) -> None:
    from engine.cli.printers import trigger_printers

    trigger_printers.print_triggers(project, request.format)


def _print_fires(project: "Project", request: ShowRequest) -> None:
    from engine.cli.printers import trigger_printers

    trigger_printers.print_fires(project, request.format, request.sort, request.last)


def _print_reporters(project: "Project", request: ShowRequest) -> None:
    from engine.cli.printers import table_printers

    states, headers = project.tables.reporter_states(), table_printers.REPORTER_HEADERS
    table_printers.print_table("reporters", states, headers, request.format, sort=request.sort, last=request.last)


VIEWS: Mapping[str, View] = {
    "": View(_print_overview),
    "STORE": View(_print_store, (*ROW_OPTIONS, "--metric", "--label", "--superseded", "--origin")),
    "STORE EVALUATION": View(_print_evaluation),
    "STORE --checks": View(_print_checks, ROW_OPTIONS),
    "--runs": View(_print_runs, ROW_OPTIONS),
    "--run": View(_print_run),
    "--outbox": View(_print_outbox, ROW_OPTIONS),
    "--triggers": View(_print_triggers),
    "--fires": View(_print_fires, ROW_OPTIONS),
    "--reporters": View(_print_reporters, ROW_OPTIONS),
}
"""The views by their form on the command line, after `engine show SPEC`. An EVALUATION may follow STORE in a view of
checks."""
