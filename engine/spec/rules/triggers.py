"""Rules of triggers: their names and times, their watched resources, and the variables that they set."""

from collections.abc import Callable, Iterator, Mapping
from datetime import date, timedelta, tzinfo
from functools import partial

from engine.errors import Position
from engine.formatting.lists import join_some
from engine.formatting.numbers import format_seconds
from engine.spec import sql
from engine.spec.dataset_inputs import list_read_datasets
from engine.spec.diagnostics import Findings
from engine.spec.resources.datasets import PythonDataset
from engine.spec.resources.triggers import (
    AnyTrigger,
    CronTrigger,
    DatasetChangedTrigger,
    IntervalTrigger,
    QueryChangedTrigger,
    ScheduledTrigger,
)
from engine.spec.rules.draft import Draft, report_problem
from engine.spec.rules.messages import CHILD_PREFIX, STARTERS
from engine.spec.stored_data import find_file_dataset, find_spark_data, find_table
from engine.spec.times.clock_changes import describe_cron_clock_changes, describe_interval_clock_changes
from engine.spec.times.cron_texts import find_cron_problem, find_cron_surprises
from engine.spec.times.declared_times import YEARS
from engine.spec.validation.validator import SpecPath, SpecText
from engine.spec.variables.moment import FIRE_NAMES, MOMENT_NAMES, SAMPLE_FIRE_VALUES, find_time_zone
from engine.spec.variables.references import (
    Value,
    VariableReference,
    fill_references,
    find_only_reference,
    find_references,
    quote_value,
    report_shift,
    report_undeclared_variable,
)
from engine.spec.variables.resolver import VARIABLE_TYPES, VariableType
from engine.spec.yaml.yaml_tree import ScalarNode

SHORTEST_INTERVAL = timedelta(seconds=10)

_INTERVAL_HELP = "use kind: interval, every: 1h instead: each run then finds out whether the data have changed"


def iterate_triggers(draft: Draft) -> Iterator[tuple[SpecPath, AnyTrigger]]:
    """Yield each trigger of a scenario with its path."""
    for scenario, spec in draft.spec.scenarios.items():
        for i, trigger in enumerate(spec.triggers):
            yield ("scenarios", scenario, "triggers", i), trigger


def check_trigger_names(draft: Draft, findings: Findings) -> None:
    """Check that no trigger has the name of another starter of runs: conditions could not distinguish them."""
    for path, trigger in iterate_triggers(draft):
        if trigger.name in STARTERS or trigger.name.startswith(CHILD_PREFIX):
            other = {"manual": "a user starts", "watch": "engine watch starts"}.get(
                trigger.name, "another scenario starts"
            )
            message = f'"{trigger.name[:60]}" is reserved in conditions and messages for runs that {other}'
            findings.error(draft.value_position(*path, "name"), "reserved-name", message, "rename the trigger")


def check_crons(draft: Draft, findings: Findings) -> None:
    """Check that each cron expression is legal, and warn of what many would not expect of it."""
    for text in draft.texts_read_as("cron"):
        if problem := find_cron_problem(text.value):
            report_problem(findings, text, problem)
            continue
        for surprise in find_cron_surprises(text.value):
            at = text.node.position
            if text.value == text.node.text:
                at = text.node.position_of(surprise.offset, surprise.length)
            findings.warning(at, surprise.code, surprise.message, surprise.help)


def check_trigger_times(draft: Draft, findings: Findings) -> None:
    """Check the time zones of triggers, and their times, distances and beginnings."""
    for path, trigger in iterate_triggers(draft):
        if not isinstance(trigger, ScheduledTrigger):
            continue
        zone = _find_zone(draft, findings, trigger, path)
        if isinstance(trigger, CronTrigger):
            if zone and trigger.active and not find_cron_problem(trigger.cron):
                describe = partial(describe_cron_clock_changes, trigger.cron, zone)
                _warn_about_clock_changes(draft, findings, trigger, describe, (*path, "cron"))
            continue
        every = trigger.every
        if isinstance(every, timedelta) and every < SHORTEST_INTERVAL:
            at = draft.value_position(*path, "every")
            message = f"a run every {format_seconds(every.total_seconds())}: only its start takes about a second"
            findings.warning(at, "interval", message, "times that are due during a run are combined into one run")
        _check_since(draft, findings, trigger, path)
        if zone and trigger.active and trigger.since is not None and trigger.since.year in YEARS:
            describe = partial(describe_interval_clock_changes, trigger.since, every, zone)
            _warn_about_clock_changes(draft, findings, trigger, describe, (*path, "since"))


def _find_zone(draft: Draft, findings: Findings, trigger: ScheduledTrigger, path: SpecPath) -> tzinfo | None:
    """Return the zone of a trigger's times; None if an unknown zone was reported."""
    try:
        return find_time_zone(trigger.timezone or draft.spec.timezone)
    except ValueError as problem:
        if trigger.timezone is not None:  # that of the project is reported by itself
            message = f'"timezone" must be the name of a time zone, found "{trigger.timezone[:60]}"'
            findings.error(draft.value_position(*path, "timezone"), "wrong-value", message, str(problem))
    return None


def _warn_about_clock_changes(
    draft: Draft, findings: Findings, trigger: ScheduledTrigger, describe: Callable[[int], str | None], path: SpecPath
) -> None:
    """Warn of effects on a trigger in the coming years, according to `describe`."""
    now = draft.variables.names["as_of"]
    if isinstance(now, date) and (changes := describe(now.year)):
        name = trigger.timezone or draft.spec.timezone
        message = f"the clocks of {name} change at this time of day: {changes}"
        at = draft.value_position(*path)
        findings.warning(at, "clock-change", message, "choose another hour, or add timezone: UTC")


def _check_since(draft: Draft, findings: Findings, trigger: IntervalTrigger, path: SpecPath) -> None:
    at = draft.value_position(*path, "since")
    written = draft.scalar_text(*path, "since") or ""
    if moving := [one.parts[0] for one in find_references(written) if one.parts and one.parts[0] in MOMENT_NAMES]:
        message = f"since must be a fixed date, but ${{{moving[0]}}} changes every day"
        findings.error(at, "since", message, "write a date")
    elif trigger.since is not None and trigger.since.year not in YEARS:
        message = f"since must be in one of the years {YEARS[0]} to {YEARS[-1]}, found {trigger.since.year}"
        findings.error(at, "since", message, "write a date such as 2026-01-06")


def check_watched_data(draft: Draft, findings: Findings) -> None:
    """Check that the resources of a trigger can be watched, and are named once."""
    for path, trigger in iterate_triggers(draft):
        if isinstance(trigger, DatasetChangedTrigger):
            _check_watched_datasets(draft, findings, trigger, path)
        elif (
            isinstance(trigger, QueryChangedTrigger)
            and trigger.connection is None
            and sql.list_columns(trigger.sql)
            and not sql.list_tables(trigger.sql)
        ):
            at = draft.value_position(*path, "sql")
            findings.warning(at, "watched", "this query reads no dataset, so its result never changes")


def _check_watched_datasets(draft: Draft, findings: Findings, trigger: DatasetChangedTrigger, path: SpecPath) -> None:
    for j, name in enumerate(trigger.datasets):
        at = draft.value_position(*path, "dataset", *([j] if isinstance(trigger.dataset, list) else []))
        if (first := trigger.datasets.index(name)) != j:
            also = draft.value_position(*path, "dataset", first)
            findings.error(at, "duplicate-name", f'"{name[:60]}" is already listed', "remove it", also=also)
        elif name in draft.spec.datasets:
            _check_watched_dataset(draft, findings, name, at)
    if trigger.all and len(set(trigger.datasets)) == 1:
        message = "all: true needs several datasets, but this trigger watches only one"
        findings.warning(draft.key_position(*path, "all"), "watched", message, "remove it, or list more datasets")


def _check_watched_dataset(draft: Draft, findings: Findings, name: str, at: Position) -> None:
    """Check that a dataset comes from files; the rows of a function change without anything that could be watched.

    So do those of Spark, which is not started for a check.
    """
    read = list_read_datasets(name, draft.spec)
    of_functions = [one for one in read if isinstance(draft.spec.datasets[one], PythonDataset)]
    of_spark = [one for one in read if find_spark_data(draft.spec.datasets[one], draft.spec.connections)]
    files = [one for one in read if find_file_dataset(draft.spec.datasets[one], draft.spec.connections)]
    files += [one for one in read if find_table(draft.spec.datasets[one], draft.spec.connections)]
    also = draft.key_position("datasets", (of_functions + of_spark)[0]) if of_functions or of_spark else None
    if of_spark and not files:
        message = f'"{name[:60]}" is read by Spark, in which triggers do not look for changes: {join_some(of_spark)}'
        findings.error(at, "watched", message, _INTERVAL_HELP, also=also)
        return
    if of_spark:
        message = f'"{name[:60]}" also reads {join_some(of_spark)}, which is not watched: Spark reads it'
        findings.warning(at, "watched", message, "only changes of files and tables start a run")
    if of_functions == [name]:
        message = f'"{name[:60]}" is returned by a Python function, so changes are visible only by calling it'
        findings.error(at, "watched", message, _INTERVAL_HELP, also=also)
    elif of_functions and not files:
        message = f'"{name[:60]}" reads only datasets that Python functions return: {join_some(of_functions)}'
        findings.error(at, "watched", message, _INTERVAL_HELP, also=also)
    elif of_functions:
        message = f'"{name[:60]}" also reads {join_some(of_functions)}, which is not watched: a function returns it'
        findings.warning(at, "watched", message, "only changes of files and tables start a run")


def check_trigger_variables(draft: Draft, findings: Findings) -> None:
    """Check the texts that a trigger assigns to variables: their names and resulting types."""
    known: Mapping[str, Value] = {**draft.variables.names, **SAMPLE_FIRE_VALUES}
    for text in draft.texts_read_as("trigger"):
        references = find_references(text.node.text)
        draft.variables.used_names.update(one.parts[0] for one in references if one.parts)
        for reference in references:
            _check_reference(draft, findings, text.node, reference, known)
        if references and all(len(one.parts) == 1 and one.parts[0] in known for one in references):
            _check_type_at_fire(draft, findings, text, known)


def _check_reference(
    draft: Draft, findings: Findings, node: ScalarNode, reference: VariableReference, known: Mapping[str, Value]
) -> None:
    match reference.parts:
        case ("secret" | "env", *_):
            at = node.position_of(reference.offset, reference.length)
            message = "the variables of a trigger cannot contain secrets or environment variables"
            findings.error(at, "secret-here", message, "declare a variable with the value, and write its name here")
        case (name,) if name in known:
            report_shift(node, reference, known[name], findings)
        case (name,) if name in draft.variables.declarations:
            pass  # its value has been reported
        case _:
            names = {**draft.variables.declarations, **FIRE_NAMES}
            report_undeclared_variable(node, reference, names, findings)


def _check_type_at_fire(draft: Draft, findings: Findings, text: SpecText, known: Mapping[str, Value]) -> None:
    """Check that a text has the type of its variable, whatever values its names have at a fire."""
    name, written = str(text.path[-1]), text.node.text
    if name not in draft.variables.types:
        return
    try:
        filled = fill_references(written, known)
    except ValueError:
        return  # days added to what is not a date: reported
    try:
        draft.variables.types[name].convert(filled)
    except ValueError as problem:
        message = f'variable "{name[:60]}": {str(problem).partition(", found")[0]}, found {quote_value(written)}'
        only = find_only_reference(written)
        kind = VariableType.infer(known[only.parts[0]]).name if only else None
        help_ = f"{written} is {VARIABLE_TYPES[kind]}" if kind else None
        findings.error(text.node.position, "variable-value", message, help_, also=draft.key_position("variables", name))
