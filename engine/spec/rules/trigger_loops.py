"""Rules of loops: no scenario may be started, directly or through others, by its own runs.

A scenario leads to another in three ways: a step runs it, its end starts it (the end of a child run counts too), or it
writes files or tables that a trigger of the other one watches. A cycle of these with a trigger would never end.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from engine.discovery.path_patterns import names_file
from engine.spec import sql
from engine.spec.dataset_inputs import list_inputs
from engine.spec.diagnostics import Findings
from engine.spec.resources.channels import AppriseChannel, DatasetChannel, FileChannel, MailChannel, WebhookChannel
from engine.spec.resources.scenarios import ClearStep, ExportStep, ReportStep, RunScenarioStep
from engine.spec.resources.triggers import (
    AnyTrigger,
    DatasetChangedTrigger,
    QueryChangedTrigger,
    ScenarioFinishedTrigger,
)
from engine.spec.rules.draft import Draft, locate_path
from engine.spec.rules.references import find_cycles, list_iterated_children
from engine.spec.rules.triggers import iterate_triggers
from engine.spec.stored_data import DatabaseTable, find_table
from engine.spec.validation.validator import SpecPath

_LETTER = "20260101T000000Z-letter.eml"
"""A file as a channel of kind file writes them."""


class Lead(NamedTuple):
    """How one scenario leads to another: as text, and the path of the trigger's key; None for a step that runs it."""

    text: str
    trigger: SpecPath | None = None


def check_trigger_loops(draft: Draft, findings: Findings) -> None:
    """Check that no cycle of scenarios is endless."""
    leads = _find_leads(draft)
    needs: dict[str, dict[str, SpecPath]] = {name: {} for name in draft.spec.scenarios}
    for (one, other), lead in leads.items():
        needs[one][other] = lead.trigger or ()
    for _, chain in find_cycles(needs):
        found = [leads[pair] for pair in pairwise(chain)]
        places = [lead.trigger for lead in found if lead.trigger]
        if not places:
            continue  # a scenario that runs itself is reported as that
        who = "this scenario starts itself" if len(found) == 1 else "these scenarios start each other"
        message = f"{who} again and again: {'; '.join(lead.text for lead in found)}"
        help_ = "write to another place, remove one of the triggers, or let it watch other data"
        findings.error(draft.value_position(*places[-1]), "trigger-loop", message, help_)


def _find_leads(draft: Draft) -> dict[tuple[str, str], Lead]:
    """Return how scenarios lead to each other; with several ways between two, one with a trigger."""
    found = {(name, child): Lead(f'"{name}" runs "{child}"') for name, child in _list_child_runs(draft)}
    written = [(name, *what) for name in draft.spec.scenarios for what in _list_written_files(draft, name)]
    for path, trigger in iterate_triggers(draft):
        if trigger.active:
            owner = str(path[1])
            found |= {(name, owner): lead for name, lead in _list_leads_to(draft, path, trigger, written)}
    return {pair: lead for pair, lead in found.items() if set(pair) <= draft.spec.scenarios.keys()}


def _list_child_runs(draft: Draft) -> Iterator[tuple[str, str]]:
    """Yield each scenario that runs another one by a step, with that other one."""
    for name, scenario in draft.spec.scenarios.items():
        for i, step in enumerate(scenario.steps):
            if isinstance(step, RunScenarioStep) and step.active:
                yield from ((name, child) for child in (step.scenario, *list_iterated_children(draft, name, i)))


def _list_leads_to(
    draft: Draft, path: SpecPath, trigger: AnyTrigger, written: Sequence[tuple[str, Path, str]]
) -> Iterator[tuple[str, Lead]]:
    """Yield the scenarios that make a trigger fire, with descriptions; `written` are the file changes of scenarios."""
    owner = str(path[1])
    if isinstance(trigger, ScenarioFinishedTrigger):
        text = f'the end of "{trigger.scenario}" starts "{owner}" (trigger "{trigger.name}")'
        yield trigger.scenario, Lead(text, (*path, "scenario"))
    for dataset in _list_watched_datasets(draft, trigger):
        place = draft.locate_dataset(dataset)
        looks = f'"{owner}" watches "{dataset}" (trigger "{trigger.name}")'
        at = (*path, "dataset" if isinstance(trigger, DatasetChangedTrigger) else "sql")
        for name, file, what in written:
            if place and (names_file(place, file) or place == file or names_file(file, place)):
                yield name, Lead(f'"{name}" {what}, and {looks}', at)
        for name, table in _list_written_tables(draft):
            if table == find_table(draft.spec.datasets.get(dataset), draft.spec.connections):
                yield name, Lead(f'"{name}" writes the table {table[1]} of "{table[0]}", and {looks}', at)
    if isinstance(trigger, QueryChangedTrigger) and trigger.connection is not None:
        looks = f'"{owner}" watches it (trigger "{trigger.name}")'
        for name, table in _list_written_tables(draft):
            if table[0] == trigger.connection and sql.reads_stored_table(trigger.sql, table[1]):
                text = f'"{name}" writes the table {table[1]} of "{table[0]}", and {looks}'
                yield name, Lead(text, (*path, "sql"))


def _list_watched_datasets(draft: Draft, trigger: AnyTrigger) -> list[str]:
    """Return the file datasets that a trigger watches, including inputs of queries."""
    named: list[str] = []
    if isinstance(trigger, DatasetChangedTrigger):
        named = trigger.datasets
    elif isinstance(trigger, QueryChangedTrigger) and trigger.connection is None:
        named = sorted(sql.list_tables(trigger.sql))
    return list_inputs(named, draft.spec)


def _list_written_tables(draft: Draft) -> Iterator[tuple[str, DatabaseTable]]:
    """Yield the tables that steps write, with the name of the scenario; those of `sql` steps are unknown."""
    for name, scenario in draft.spec.scenarios.items():
        for step in scenario.steps:
            if isinstance(step, ExportStep) and step.active and step.connection and step.table:
                yield name, (step.connection, step.table)


def _list_written_files(draft: Draft, scenario: str) -> Iterator[tuple[Path, str]]:
    """Yield the files that the steps and the messages of a scenario write or remove, with a description."""
    for step in draft.spec.scenarios[scenario].steps:
        if not step.active:
            continue
        if isinstance(step, ReportStep | ExportStep):
            if file := draft.locate_written_file(scenario, step):
                yield file, f"writes {step.path}"
        elif isinstance(step, ClearStep) and (place := draft.locate_dataset(step.target)):
            yield place, f'removes the files of "{step.target}"'
    for path, content in draft.iterate_messages():
        if path[1] == scenario and content.active:
            yield from _list_message_files(draft, content.channel)


def _list_message_files(draft: Draft, name: str) -> Iterator[tuple[Path, str]]:
    channel = draft.spec.channels.get(name)
    folder = draft.home_of("channels", name)
    if isinstance(channel, DatasetChannel):
        yield locate_path(folder, channel.path), f"writes its messages to {channel.path}"
    if isinstance(channel, MailChannel | AppriseChannel | WebhookChannel):
        channel = channel.fallback
    if isinstance(channel, FileChannel):
        yield locate_path(folder, f"{channel.path}/{_LETTER}"), f"writes its messages to {channel.path}"
