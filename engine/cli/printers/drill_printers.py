"""Print a drill: the disturbances, the results of checks without and with them, and the messages that would be sent."""

from collections import Counter
from collections.abc import Sequence
from itertools import groupby

from engine.api.result_table import ResultTable
from engine.cli.json_output import print_json
from engine.cli.tables import Page, render_json
from engine.evaluation.evaluation_json import check_to_json
from engine.formatting.lists import join_some, join_words
from engine.formatting.numbers import format_count
from engine.notifications import is_silent
from engine.outcome import ExitCode
from engine.scenarios.drill_result import DrilledCheck, DrillResult
from engine.views.ranges import format_bounds

NOT_APPLIED = "not applied"
HEADERS = {
    "turn": "for_each",
    "check": "check",
    "metric": "metric",
    "bounds": "range",
    "before": "undisturbed",
    "value_before": "value",
    "after": "in the drill",
    "value_after": "value",
    "fires": "fires",
    "reason": "reason",
}


def print_drill(drilled: DrillResult, code: ExitCode, format_: str) -> None:
    """Print a drill as text for people, or as JSON."""
    if format_ == "json":
        print_json(render_json(_drill_to_json(drilled, code)))
        return
    page = Page()
    page.add_title(f"a drill of {drilled.store}: nothing is stored, nothing is sent")
    for _, text in drilled.disturbances:
        page.add_line(text)
    for remark in drilled.remarks:
        page.add_line(remark, style="dim")
    ran = f"{'scenario' if len(drilled.scenarios) == 1 else 'scenarios'} {join_words(drilled.scenarios)}"
    others = f"; not run, see --scenario: {join_some(drilled.others)}" if drilled.others else ""
    page.add_line(f"{ran}{others}", style="dim")
    checks = drilled.compare_checks()
    page.add_title("checks")
    page.add_table(_tabulate_drilled(checks, drilled), HEADERS, empty=f"no check is applied by {ran}")
    failures = drilled.list_failures()
    if failures:
        page.add_title("steps that fail")
    for step in failures:
        page.add_raw(f"  {step.name} {step.outcome}: {step.reason}")
    page.add_title("messages")
    if not drilled.messages:
        page.add_line(f"there is no reporter in {ran}")
    for message in drilled.messages:
        for line in message.splitlines():
            page.add_raw(f"  {line}")
    page.add_title("would you be alerted?")
    for line in _summarize_drill(drilled, checks):
        page.add_line(line)
    page.print()


def _tabulate_drilled(checks: Sequence[DrilledCheck], drilled: DrillResult) -> ResultTable:
    """Return one row per check and metric, firing checks first; silent metrics of a wildcard share a row.

    For targets other than the store and its dataset, only firing checks are shown.
    """
    shown = [check for check in checks if check.fires or check.result.target in (drilled.store, *drilled.datasets)]
    shown.sort(key=lambda check: not check.fires)
    rows = []
    for _, group in groupby(enumerate(shown), lambda pair: _choose_row(pair[1], pair[0])):
        alike = [check for _, check in group]
        rows.append(_describe_row(alike))
    text = ("turn", "check", "metric", "bounds", "before", "after", "fires", "reason")
    return ResultTable({name: str if name in text else float for name in HEADERS}, rows)


def _choose_row(check: DrilledCheck, place: int) -> tuple[object, ...]:
    """Return the key of the row that a check belongs to: a separate row if anything is wrong."""
    if check.fires or check.fired_before or check.muted:
        return (place,)
    outcomes = [None if one is None else one.outcome for one in (check.before, check.after)]
    return (check.turn, check.result.target, check.result.check, *outcomes)


def _describe_row(alike: Sequence[DrilledCheck]) -> dict[str, str | float | None]:
    first = alike[0]
    before, after, result = first.before, first.after, first.result
    single = len(alike) == 1
    return {
        "turn": first.turn or None,
        "check": result.check,
        "metric": result.metric if single else f"{len(alike)} metrics",
        "bounds": format_bounds(result.bounds) or None if len({one.result.bounds for one in alike}) == 1 else None,
        "before": str(before.outcome) if before else NOT_APPLIED,
        "value_before": before.value if before and single else None,
        "after": str(after.outcome) if after else NOT_APPLIED,
        "value_after": after.value if after and single else None,
        "fires": "yes"
        if first.fires
        else "muted"
        if first.muted
        else "as before"
        if first.fired_before and after
        else None,
        "reason": after.explanation or None if after and (first.fires or first.muted) else None,
    }


def _summarize_drill(drilled: DrillResult, checks: Sequence[DrilledCheck]) -> list[str]:
    """Return what would have been noticed, and what stayed silent."""
    lines = []
    failures = drilled.list_failures()
    fired = Counter(check.result.check for check in checks if check.fires)
    applied = dict.fromkeys(check.result.check for check in checks if check.after and check.result.check not in fired)
    same = dict.fromkeys(check.result.check for check in checks if check.fired_before and check.result.check in applied)
    muted = dict.fromkeys(check.result.check for check in checks if check.muted)
    unapplied = dict.fromkeys(check.result.check for check in checks if check.after is None)
    for names, outcome in (
        ([name for name in applied if name not in (*same, *muted)], "silent"),
        (muted, "would fire, but is muted"),
        (same, "as without the disturbance"),
        (unapplied, "not applied, because the run ended before it"),
    ):
        if names:
            lines.append(f"{outcome}: {join_some(names, 20)}")
    if drilled.unchecked:
        lines.append(f"not applied by any step that was run: {join_some(drilled.unchecked, 20)}")
    sent = sum(not is_silent(message) for message in drilled.messages)
    if not drilled.heard:
        return [*lines, "no check would have alerted you"]
    what = [f"{len(fired)} {'check fires' if len(fired) == 1 else 'checks fire'}"] if fired else []
    what += [f"{len(failures)} {'step fails' if len(failures) == 1 else 'steps fail'}"] if failures else []
    heard = f"{format_count(sent, 'message')} would be sent"
    if not sent:
        heard = "but no message would be sent: only those who look at the run would notice"
    return [*lines, f"{', '.join(what)}; {heard}"]


def _drill_to_json(drilled: DrillResult, code: ExitCode) -> dict[str, object]:
    return {
        "schema_version": 1,
        "exit_code": int(code),
        "store": drilled.store,
        "datasets": list(drilled.datasets),
        "scenarios": list(drilled.scenarios),
        "other_scenarios": list(drilled.others),
        "unchecked": list(drilled.unchecked),
        "disturbances": [{"option": one.option, "effect": text} for one, text in drilled.disturbances],
        "remarks": list(drilled.remarks),
        "heard": drilled.heard,
        "checks": [
            {
                "turn": check.turn or None,
                "target": check.result.target,
                "check": check.result.check,
                "metric": check.result.metric,
                "fires": check.fires,
                "muted": check.muted,
                "before": None if check.before is None else check_to_json(check.before),
                "after": None if check.after is None else check_to_json(check.after),
            }
            for check in drilled.compare_checks()
        ],
        "failed_steps": [
            {"step": step.name, "outcome": step.outcome, "reason": step.reason} for step in drilled.list_failures()
        ],
        "runs": [
            {"scenario": before.scenario, "before": before.outcome, "after": after.outcome}
            for before, after in zip(drilled.before, drilled.after, strict=True)
        ],
        "messages": [{"sent": not is_silent(message), "text": message} for message in drilled.messages],
    }
