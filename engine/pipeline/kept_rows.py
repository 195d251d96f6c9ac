"""Keeps the rows of datasets with `materialize`: writes them if their inputs have changed, otherwise reads them."""

from typing import Any

from engine.data import Table
from engine.data.kept_rows import FORCED, KeptState
from engine.pipeline.actions import Action
from engine.pipeline.changes import ChangeReason, explain_change
from engine.pipeline.context import BuildContext
from engine.pipeline.decision import Decision, list_sources
from engine.store import KeptRows, PastFacts


def keep_rows(table: Table, context: BuildContext) -> bool:
    """Write the rows of a table with `materialize` unless they are current; return whether they were written.

    Raises
    ------
    DataError
        The table has values that cannot be kept, or the target cannot be written.
    """
    if table.kept is None:
        return False
    if table.kept.current or table.kept.supposed:
        reason = _describe_current(table.name, table.kept)
        if context.logged.add(reason):  # otherwise it was logged in this run
            action = Action(kind="write", target=table.kept.place.name, because="reused", reason=reason)
            context.journal.actions.append(action)
            context.log.info(reason)
        return False
    # One writer at a time: a second run waits here, and then writes the same rows once more.
    with context.lock(f"rows of dataset {table.name}"):
        return _plan_writing(table, table.kept, context).apply(context)


def _describe_current(name: str, kept: KeptState) -> str:
    return f"the rows of dataset {name} in {kept.place.name} are up to date"


def _plan_writing(table: Table, kept: KeptState, context: BuildContext) -> Decision[bool]:
    name, place = table.name, kept.place
    place.check_rows(table, known=kept.record is not None)
    facts = context.secrets.redact_values({"datasets": table.provenance()})
    reason = _explain_writing(name, kept, facts, context)
    action = Action(
        kind="write",
        target=place.name,
        because=reason.cause,
        reason=f"dataset {name}{f': {reason.reason}' if reason.reason else ''}",
        changes=reason.changes,
        reads=list_sources(table, context),
    )

    def note() -> None:
        context.datasets.note_written_rows(name)
        context.logged.add(_describe_current(name, kept))

    def suppose() -> bool:
        supposed = KeptRows(kept.made_of, "", table.fingerprint, 0, facts)
        context.store.kept_rows.replace(name, place.name, supposed, context.run)
        note()
        return False

    def execute() -> bool:
        if context.mode != "run":
            context.log.info(f"dataset {name}: a {context.mode} does not write {place.name}")
            return suppose()
        content, rows = place.write_rows(table, context.datasets.files.verify)
        written = KeptRows(kept.made_of, content, table.fingerprint, rows, facts)
        context.store.kept_rows.replace(name, place.name, written, context.run)
        note()
        context.log.info(f"dataset {name}: wrote {rows:,} rows into {place.name}")
        return True

    return Decision(action, execute, suppose)


def _explain_writing(name: str, kept: KeptState, facts: dict[str, Any], context: BuildContext) -> ChangeReason:
    """Return why rows are written."""
    if kept.problem == FORCED:
        return ChangeReason("forced", FORCED, [])
    if kept.record is None:
        return ChangeReason("new", "its rows were never written", [])
    if kept.record.made_of == kept.made_of:
        return ChangeReason("changed", kept.problem, [])
    earlier = [PastFacts(name, kept.record.facts)]
    return explain_change(facts, earlier, {}, context.project, never="", since="")
