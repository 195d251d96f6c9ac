"""Print the triggers of a project with their next times, and the fires with their results."""

from collections.abc import Iterable, Mapping

from engine.api import Project, tabulation
from engine.api.result_table import ResultTable
from engine.cli.options import TableFormat
from engine.cli.printers.table_printers import DEFAULT_ROWS, FIRE_HEADERS, print_table
from engine.cli.tables import Page, print_data
from engine.formatting.numbers import format_duration
from engine.store import shorten_id
from engine.views.trigger_view import TriggerView, format_local_time, format_utc_time, have_seconds

TRIGGER_HEADERS = {name: name for name in ("trigger", "starts", "state", "last fire")}
TIME_HEADERS = {name: name for name in ("trigger", "next in its zone", "UTC", "zone")}


def print_triggers(project: Project, format_: TableFormat) -> None:
    """Print the triggers of each scenario: what starts them, their state, last fire and next times."""
    found = project.tables.list_triggers()
    if format_ != "text":
        results = tabulation.tabulate_triggers(found)
        if format_ == "csv":
            texts = [" ".join(f"{one:%Y-%m-%dT%H:%M:%SZ}" for one in times) for times in results.values("next_times")]
            results = results.with_column("next_times", str, texts)
        print_data(results, format_)
        return
    page = Page()
    page.add_title(f"{project.name}: triggers")
    for line in project.tables.describe_late_triggers():
        page.add_line(line)
    if not found:
        page.add_line("no scenario has triggers: they are declared by `triggers:` of a scenario", style="dim")
    for scenario in dict.fromkeys(one.scenario for one in found):
        of_scenario = [one for one in found if one.scenario == scenario]
        page.add_title(scenario)
        page.add_table(_tabulate_texts(TRIGGER_HEADERS, map(_describe_trigger_row, of_scenario)), TRIGGER_HEADERS)
        seconds = have_seconds(moment for one in of_scenario for moment in one.next_times)
        times = [row for one in of_scenario for row in _list_next_rows(one, seconds)]
        if times:
            page.add_line("")
            page.add_table(_tabulate_texts(TIME_HEADERS, times), TIME_HEADERS)
    page.print()


def print_fires(project: Project, format_: TableFormat, sort: str | None, last: int | None) -> None:
    """Print the newest fires."""
    shown = last or (DEFAULT_ROWS if format_ == "text" else None)
    tables = project.tables
    fires, total = tables.fires(shown), tables.count_fires() if format_ == "text" else None
    if format_ == "text":
        late = [None if late is None else format_duration(late) for late in fires.values("late")]
        scheduled = fires.values("scheduled")
        seconds = have_seconds(scheduled)
        fires = fires.with_column("late", str, late)
        fires = fires.with_column("scheduled", str, [format_utc_time(one, seconds=seconds) for one in scheduled])
    print_table("fires", fires, FIRE_HEADERS, format_, sort=sort, last=last, total=total)


def _tabulate_texts(headers: Mapping[str, str], rows: Iterable[Mapping[str, str]]) -> ResultTable:
    return ResultTable(dict.fromkeys(headers, str), list(rows))


def _describe_trigger_row(one: TriggerView) -> dict[str, str]:
    last = "none yet"
    if one.last:
        run = f", run {shorten_id(one.last.run)}" if one.last.run else ""
        why = f": {one.last.reason}" if one.last.reason else ""
        scheduled = format_utc_time(one.last.scheduled, seconds=have_seconds([one.last.scheduled]))
        last = f"{scheduled} UTC {one.last.state}{run}{why}"
    return {"trigger": one.name, "starts": one.starts, "state": one.state, "last fire": last}


def _list_next_rows(one: TriggerView, seconds: bool) -> list[dict[str, str]]:
    return [
        {
            "trigger": one.name,
            "next in its zone": format_local_time(moment, one.zone, seconds=seconds),
            "UTC": format_utc_time(moment, seconds=seconds),
            "zone": one.zone,
        }
        for moment in one.next_times
    ]
