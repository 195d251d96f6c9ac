"""Print one run with its log."""

from dataclasses import asdict

from engine.api import Project, tabulation
from engine.api.result_table import ResultTable
from engine.cli.json_output import print_json
from engine.cli.options import TableFormat
from engine.cli.tables import Page, print_data, render_json, to_records
from engine.formatting.moments import format_second
from engine.store.records.runs import event_to_json
from engine.views.run_view import RunView, describe_deliveries, describe_run
from engine.views.trigger_view import format_fire


def print_run(project: Project, id_: str, format_: TableFormat) -> None:
    """Print a run, its steps and its log; as CSV, the log."""
    one, log, fire = project.past_run(id_), project.tables.log(id_), project.tables.fire_of(id_)
    view = describe_run(one, deliveries=describe_deliveries(project.tables.messages_of(id_)))
    if format_ == "csv":
        print_data(log, format_)
        return
    if format_ == "json":
        more = {"events": list(map(event_to_json, one.events)), "log": to_records(log)}
        print_json(
            render_json(
                asdict(one)
                | more
                | {"deliveries": list(map(asdict, view.deliveries))}
                | {"answers": fire and asdict(fire)}
            )
        )
        return
    started_by = format_fire(fire) if fire else "" if one.fire is None else f"{one.fire}, which is no longer stored"
    print_run_page(view, log, one.release, started_by)


def print_run_page(run: RunView, log: ResultTable, release: str | None, fire: str) -> None:
    """Print a run for people, with the fire that started it and its release."""
    page = Page()
    page.add_title(f"{run.scenario} {run.state}")
    page.add_facts(
        {
            "id": run.id,
            "started": f"{format_second(run.started)}, {run.trigger}, by {run.who}",
            "ended": format_second(run.ended) if run.ended else "",
            "as of": format_second(run.as_of) if run.as_of else "",
            "started by": run.parent or "",
            "release": release or "",
            "fire": fire,
            "variables": ", ".join(f"{name} = {value}" for name, value in run.variables.items()),
        }
    )
    page.add_title("steps")
    page.add_table(tabulation.tabulate_steps(run))
    if run.deliveries:
        page.add_title("messages")
        page.add_table(tabulation.tabulate_deliveries(run))
    page.add_title("log")
    for line in to_records(log):
        where = line["scenario"] + (f" [{line['step']}]" if line["step"] else "")
        for text in line["text"].splitlines() or [""]:
            page.add_raw(f"{line['at']:%H:%M:%S} {line['level']:7} {where} {text}")
    page.print()
