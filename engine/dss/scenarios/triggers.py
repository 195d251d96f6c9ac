"""Import the triggers of scenarios: times of every frequency, changes of data, ends of other scenarios."""

from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from engine.dss.connections import find_database
from engine.dss.import_state import ImportState, may_hold_password
from engine.dss.json_objects import JsonObject
from engine.dss.names import make_name
from engine.dss.report import ObjectLine
from engine.dss.spec_writing import Part
from engine.dss.sql_texts import fill_sql
from engine.spec.rules.placeholders import PLACEHOLDER

_DAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
_NTH_WEEK = {"FIRST_WEEK": 1, "SECOND_WEEK": 2, "THIRD_WEEK": 3, "FOURTH_WEEK": 4}
Keys = dict[str, Any]


def import_triggers(state: ImportState, scenario: JsonObject, target: str, zone: str) -> list[Part]:
    """Return the triggers of a scenario.

    Parameters
    ----------
    target
        The place of the scenario in the spec, for the report.
    zone
        The time zone that replaces that of the server.
    """
    found: list[Part] = []
    names: list[str] = []
    for one in scenario.get_objects("triggers"):
        type_ = one.get_text("type")
        label = one.get_text("name") or type_ or "trigger"
        line = state.report.add("trigger", label, one.place, f"{target}.triggers")
        active = None if one.get_flag("active", default=True) else False
        for keys in _translate_trigger(state, one, type_, zone, line):
            name = make_name(label, names, "trigger")
            names.append(name)
            line.note_name(name, label)
            part = Part(one.place, {"name": name, **keys, "active": keys.get("active", active)})
            if line.reason is not None:
                part.add_todo(f"{line.reason}; an interval that is switched off stands for it")
            if keys.get("timezone") == zone != one.get_object("params").get_text("timezone"):
                part.add_todo(f"{zone} is assumed: write the time zone of the DSS server, which is in no file")
            found.append(part)
            line.target = f"{target}.triggers.{name}"
    return found


def _translate_trigger(state: ImportState, one: JsonObject, type_: str, zone: str, line: ObjectLine) -> list[Keys]:
    params, delay = one.get_object("params"), one.get_whole("delay")
    if type_ == "temporal":
        return _translate_times(params, zone, line)
    grace = one.get_object("graceDelaySettings")
    wait, repeated = grace.get_whole("delay"), grace.get_flag("checkAgainAfterGraceDelay", default=False)
    if wait and type_ == "ds_modified":
        again = " and looks again" if repeated else ""
        line.note(f"DSS waits {wait} s after a change{again}; here settle: of the dataset says how long, 30 s for CSV")
    every = {"every": f"{delay}s"} if delay and 0 < delay < 10**8 else {}
    if type_ == "ds_modified":
        return [_watch_datasets(state, params, line) | every]
    if type_ == "sql_query":
        return [_watch_query(state, params, line) | every]
    if type_ == "follow_scenariorun":
        return [_follow_scenario(state, params, line)]
    params.read_whole()
    what = "Python code" if type_ == "custom_python" else f"a trigger of the type {type_[:60] or '(none)'}"
    line.leave_out(f"{what} decides when it starts, which nothing here does: let a program start it by engine run")
    return [{"kind": "interval", "every": every.get("every", "1h"), "active": False}]


def _watch_datasets(state: ImportState, params: JsonObject, line: ObjectLine) -> Keys:
    watched = [item.get_text("itemId") for item in params.get_objects("watches")]
    names = {item: state.names.find_target(item, "datasets") for item in watched}
    for item in (item for item, name in names.items() if name is None):
        line.note(f"{item[:60] or '(none)'} is not watched: it is not a dataset of the spec")
    kept = list(dict.fromkeys(name for name in names.values() if name))
    if not kept:
        line.note("TODO it is switched off: it watches no dataset of the spec, name one or remove the trigger")
        return {"kind": "dataset_changed", "dataset": PLACEHOLDER, "active": False}
    both = True if params.get_flag("triggerWhenAllFire", default=False) and len(kept) > 1 else None
    return {"kind": "dataset_changed", "dataset": kept[0] if len(kept) == 1 else kept, "all": both}


def _watch_query(state: ImportState, params: JsonObject, line: ObjectLine) -> Keys:
    sql = params.get_text("sql", "query")
    connection = find_database(state, params.get_text("connection"), params.place, line)
    keys: Keys = {"kind": "query_changed", "connection": connection or PLACEHOLDER}
    if params.get_flag("hasLimit", default=False):
        line.note(f"DSS compares its first {params.get_whole('limit') or 0:,} rows, and here all count")
    if may_hold_password(sql) or not sql:
        line.note("TODO it is switched off: it has no query, or one that may hold a password. Write it in sql")
        return {**keys, "sql": "SELECT 1", "active": False}
    keys["sql"] = fill_sql(state, sql, state.names.variables, line)
    if not connection:
        line.note("TODO it is switched off: its database is not PostgreSQL. Name a connection, or remove the trigger")
        keys["active"] = False
    return keys


def _follow_scenario(state: ImportState, params: JsonObject, line: ObjectLine) -> Keys:
    own = state.names.is_own(params.get_text("projectKey"))
    other = state.names.find_scenario(params.get_text("scenarioId")) if own else None
    keys: Keys = {"kind": "scenario_finished", "scenario": other, "outcomes": _read_outcomes(params, line)}
    if other is None:
        line.note("TODO it is switched off: the scenario that it follows is not part of the project. Name another")
        keys |= {"scenario": PLACEHOLDER, "active": False}
    return keys


def _read_outcomes(params: JsonObject, line: ObjectLine) -> list[str] | None:
    """Return the outcomes that start it: a list, or a single one as text; None for the default."""
    given = params.get_value("outcomeFilter")
    words = [given] if isinstance(given, str) else params.get_texts("outcomeFilter")
    known: list[str] = [word for word in ("SUCCESS", "WARNING", "FAILED", "ABORTED") if word in words]
    if words and not known:
        line.note("its filter of outcomes is not known: SUCCESS and WARNING count")
    return known or None


def _translate_times(params: JsonObject, zone: str, line: ObjectLine) -> list[Keys]:
    """Return the triggers for a time trigger: a cron expression if possible, else intervals from its start."""
    frequency = params.get_text("frequency").lower()
    count = params.get_whole("count")  # older versions have it for every frequency; it counts minutes
    repeat = params.get_whole("repeatFrequency") or (count if frequency == "minutely" else None) or 1
    for key in ("daysOfWeek", "monthlyRunOn", "dayOfMonth"):
        params.get_value(key)  # all frequencies have these keys, but each uses only one
    minute, hour = params.get_whole("minute") or 0, params.get_whole("hour") or 0
    if not (0 <= minute < 60 and 0 <= hour < 24 and 0 < repeat <= 10_000):
        line.leave_out("its time is not one of a day, or its distance is not between 1 and 10,000")
        return []
    start = _read_start(params.get_text("startingFrom"), line)
    timezone = _read_zone(params.get_text("timezone"), zone, line)
    if frequency == "minutely":
        keys = [_build_interval(f"{repeat}m", start, 0, 0, line)]
    elif frequency == "hourly":
        keys = (
            [{"cron": f"{minute} * * * *"}] if repeat == 1 else [_build_interval(f"{repeat}h", start, 0, minute, line)]
        )
    elif frequency == "daily":
        daily = {"cron": f"{minute} {hour} * * *"}
        keys = [daily] if repeat == 1 else [_build_interval(f"{repeat}d", start, hour, minute, line)]
    elif frequency == "weekly":
        keys = _translate_weeks(params, repeat, start, hour, minute, line)
    elif frequency == "monthly":
        keys = _translate_months(params, repeat, start, hour, minute, line)
    else:
        line.leave_out(f"the frequency {frequency[:40] or '(none)'} is not known")
        keys = []
    return [{**({"kind": "interval"} if "every" in one else {}), **one, "timezone": timezone} for one in keys]


def _translate_weeks(
    params: JsonObject, repeat: int, start: date | None, hour: int, minute: int, line: ObjectLine
) -> list[Keys]:
    given = [day[:3].upper() for day in params.get_texts("daysOfWeek")]
    days = [day for day in _DAYS if day in given] or ([_DAYS[start.weekday()]] if start else [])
    if not days:
        line.leave_out("it names no day of the week")
        return []
    if repeat == 1:
        return [{"cron": f"{minute} {hour} * * {','.join(days)}"}]
    if start is None:
        line.leave_out(f"every {repeat} weeks: the week from which they count is missing")
        return []
    if len(days) > 1:
        line.note("one trigger for each day of the week")
    monday = start - timedelta(days=start.weekday())
    since = [monday + timedelta(days=_DAYS.index(day)) for day in days]
    line.note(f"every {repeat} weeks, counted from the week of {start}")
    return [_build_interval(f"{7 * repeat}d", day, hour, minute, line) for day in since]


def _translate_months(
    params: JsonObject, repeat: int, start: date | None, hour: int, minute: int, line: ObjectLine
) -> list[Keys]:
    if 12 % repeat:
        line.note(
            f"TODO it is switched off, and monthly: every {repeat} months are not the same months of each year, which "
            "nothing here says"
        )
        return [{**one, "active": False} for one in _translate_months(params, 1, start, hour, minute, line)]
    if repeat != 1 and start is None:
        line.leave_out(f"every {repeat} months: the month from which they count is missing")
        return []
    first = start.month if start else 1
    months = "*" if repeat == 1 else ",".join(map(str, sorted((first - 1 + n) % 12 + 1 for n in range(0, 12, repeat))))
    on = params.get_text("monthlyRunOn") or "ON_THE_DAY"
    given = [day[:3].upper() for day in params.get_texts("daysOfWeek")]
    weekday = next((day for day in _DAYS if day in given), _DAYS[start.weekday()] if start else "")
    if on == "LAST_DAY_OF_THE_MONTH":
        return [{"cron": f"{minute} {hour} L {months} *"}]
    if on in _NTH_WEEK and weekday:
        return [{"cron": f"{minute} {hour} * {months} {weekday}#{_NTH_WEEK[on]}"}]
    if on == "LAST_WEEK" and weekday:
        return [{"cron": f"{minute} {hour} * {months} {(_DAYS.index(weekday) + 1) % 7}L"}]
    day = params.get_whole("dayOfMonth") or (start.day if start else None)
    if on != "ON_THE_DAY" or day is None or not 1 <= day <= 31:
        line.leave_out("its day of the month is missing or not known")
        return []
    if day > 28:
        line.note(f"months without a day {day} are passed over")
    return [{"cron": f"{minute} {hour} {day} {months} *"}]


def _build_interval(every: str, start: date | None, hour: int, minute: int, line: ObjectLine) -> Keys:
    if start is None:
        line.note("TODO write since: without it, the distances count from when the trigger is first seen")
        return {"every": every}
    return {"every": every, "since": f"{start.isoformat()}T{hour:02}:{minute:02}:00"}


def _read_start(text: str, line: ObjectLine) -> date | None:
    """Return the day of a start given as a date or an instant."""
    if not text:
        return None
    try:
        return date.fromisoformat(text[:10])
    except ValueError:
        line.note("its start is not a date")
        return None


def _read_zone(text: str, zone: str, line: ObjectLine) -> str:
    if text in ("", "SERVER"):
        line.note(f"TODO its times are those of the DSS server, whose time zone is in no file: {zone} is assumed")
        return zone
    try:
        ZoneInfo(text)
    except (KeyError, ValueError, OSError):
        line.note(f"TODO the time zone {text[:60]} is not known: {zone} is assumed")
        return zone
    return text
