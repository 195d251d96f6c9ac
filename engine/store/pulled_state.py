"""Stores evaluations that are pulled from a deployment, beside those made in this state.

Pulled data come from another machine and are not trusted: they are checked before anything is written, and each group
is written in one transaction.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection, delete, select, update

from engine.digests import digest_file
from engine.errors import StoreError
from engine.evaluation.snapshots.files import FACTS_FILE, verify_files
from engine.formatting.control_characters import remove_controls, single_line
from engine.store.checks import insert_check_results
from engine.store.evaluations import insert_evaluation
from engine.store.folders import safe_name
from engine.store.records.evaluations import CheckPoint
from engine.store.store import Store
from engine.store.tables import check_results, evaluations, removals
from engine.store.transfer import (
    LARGEST_FACTS,
    MOST_ROWS,
    TRANSFERRED_FILES,
    EvaluationEntry,
    TravellingEvaluation,
    find_last_checked,
)

LONGEST_NAME = 1000


@dataclass(frozen=True, slots=True)
class Arrival:
    """An evaluation that was received; its files are in `folder`, which is empty if it has none."""

    entry: EvaluationEntry
    found: TravellingEvaluation
    folder: Path


class PulledState:
    """The evaluations of a deployment that a state has already.

    Parameters
    ----------
    origin, infrastructure
        The name of the deployment and of its infrastructure.
    """

    def __init__(self, store: Store, origin: str, infrastructure: str) -> None:
        self._store, self._origin, self._infrastructure = store, origin, infrastructure
        of = evaluations.c
        with store.database.begin_read() as connection:
            rows = connection.execute(select(of.id, of.origin, of.superseded_by)).all()
            removed = connection.scalars(select(removals.c.evaluations)).all()
        self._others = {row.id for row in rows if row.origin != origin}
        self._superseded: dict[str, str | None] = {row.id: row.superseded_by for row in rows if row.origin == origin}
        self._checked = find_last_checked(store, list(self._superseded))
        self.followed: set[str] = set()
        """The ids of known evaluations whose `superseded_by` was changed."""
        self.removed = {id_ for ids in removed for id_ in ids} - self._superseded.keys()

    def knows(self, id_: str) -> bool:
        """Return whether an evaluation was pulled from the deployment before."""
        return id_ in self._superseded

    def list_gone(self, entries: Iterable[EvaluationEntry], of_store: str | None, since: datetime | None) -> list[str]:
        """Return the ids of pulled evaluations that the deployment does not list any more.

        `entries` is the deployment's list for the same store and the same moment.
        """
        of = evaluations.c
        query = select(of.id).where(of.origin == self._origin)
        if of_store is not None:
            query = query.where(of.store == of_store)
        if since is not None:
            query = query.where(of.time_start >= since)
        listed = {one.id for one in entries}
        with self._store.database.begin_read() as connection:
            return [id_ for id_ in connection.scalars(query) if id_ not in listed]

    def is_foreign(self, id_: str) -> bool:
        """Return whether the state has an evaluation with this id that is not from this deployment."""
        return id_ in self._others

    def is_behind(self, entry: EvaluationEntry) -> bool:
        """Return whether the deployment has applied the checks of a known evaluation again."""
        known = self._checked.get(entry.id)
        return entry.checked is not None and (known is None or known < entry.checked)

    def resolve_superseded(self, entries: Iterable[EvaluationEntry]) -> dict[str, str | None]:
        """Return, per listed evaluation, the one that supersedes it, skipping those removed from this state."""
        listed = {one.id: one.superseded_by for one in entries}

        def find_newer(id_: str) -> str | None:
            newer, seen = listed[id_], {id_}
            while newer is not None and newer in self.removed and newer not in seen:
                seen.add(newer)
                newer = listed.get(newer)
            return newer if newer not in seen and (newer in listed or newer in self._superseded) else None

        return {id_: find_newer(id_) for id_ in listed}

    def add(self, arrived: Sequence[Arrival], superseded_by: Mapping[str, str | None]) -> None:
        """Store evaluations with their files and the results of their checks, in one transaction.

        For an evaluation that the state has already, only its check results are replaced.

        Parameters
        ----------
        superseded_by
            The id of the superseding evaluation, by evaluation id.

        Raises
        ------
        StoreError
            An evaluation is not valid; nothing was written.
        """
        for one in arrived:
            if problem := find_problem(one):
                raise StoreError(f"the evaluation {one.entry.id} cannot be stored: {problem}")
        with_files = [one for one in arrived if not self.knows(one.entry.id) and any(one.folder.iterdir())]
        folders = {f"evaluations/{safe_name(one.entry.id)}": one.folder for one in with_files}
        try:
            with self._store.folders.adopt_all(folders) as connection:
                for one in arrived:
                    self._insert(connection, one, superseded_by[one.entry.id])
                changed = self._record_superseded(connection, superseded_by, {one.entry.id for one in arrived})
        except (OverflowError, ValueError) as fault:  # a number or a text that the database does not accept
            problem = single_line(f"{type(fault).__name__}: {fault}", limit=200)
            raise StoreError(f"what has arrived cannot be stored: {problem}") from fault
        self._superseded |= {one.entry.id: superseded_by[one.entry.id] for one in arrived} | changed
        self.followed |= changed.keys()

    def _insert(self, connection: Connection, one: Arrival, superseded_by: str | None) -> None:
        evaluation = one.found.evaluation
        if self.knows(evaluation.id):
            connection.execute(delete(check_results).where(check_results.c.evaluation == evaluation.id))
        else:
            marked = replace(evaluation, origin=self._origin, infrastructure=self._infrastructure)
            insert_evaluation(connection, replace(marked, superseded_by=superseded_by))
        points = [CheckPoint(check.run, check.created, check.result) for check in one.found.checks]
        insert_check_results(connection, points)

    def follow(self, superseded_by: Mapping[str, str | None]) -> None:
        """Record changes of `superseded_by` at the deployment for evaluations that were pulled before."""
        with self._store.database.begin_write() as connection:
            changed = self._record_superseded(connection, superseded_by, set())
        self._superseded |= changed
        self.followed |= changed.keys()

    def _record_superseded(
        self, connection: Connection, superseded_by: Mapping[str, str | None], new: set[str]
    ) -> dict[str, str | None]:
        """Record what supersedes known evaluations, if the superseding one is known or `new`; return the changes.

        If the superseding evaluation does not exist at the deployment any more, the order of the two is reversed.
        """
        here = {None, *new, *self._superseded}
        changed = {
            id_: newer
            for id_, newer in superseded_by.items()
            if self.knows(id_) and self._superseded[id_] != newer and newer in here
        }
        for id_, newer in list(changed.items()):
            gone = self._superseded[id_]
            if gone is not None and gone not in superseded_by and self.knows(gone):
                changed[gone] = newer or id_
        for id_, newer in changed.items():
            mine = (evaluations.c.id == id_) & (evaluations.c.origin == self._origin)
            connection.execute(update(evaluations).where(mine).values(superseded_by=newer))
        return changed


def find_problem(arrived: Arrival) -> str:
    """Return why a received evaluation cannot be stored; empty if it can."""
    entry, evaluation, time = arrived.entry, arrived.found.evaluation, arrived.found.evaluation.time
    if (evaluation.id, evaluation.store, evaluation.moment) != (entry.id, entry.store, entry.moment):
        return "it is not the one that is in the list"
    names = [evaluation.store, evaluation.name, *evaluation.labels.keys(), *evaluation.labels.values()]
    names += filter(None, (evaluation.model, evaluation.model_version, evaluation.run, evaluation.release))
    if any(remove_controls(name) != name or len(name) > LONGEST_NAME for name in (*names, time.text if time else "")):
        return "a name of it is too long or has control characters"
    if evaluation.origin is not None:
        return "it was pulled from elsewhere itself"
    if any((one.result.evaluation, one.result.target) != (entry.id, entry.store) for one in arrived.found.checks):
        return "it has results of checks of another one"
    mutes = [one.result.mute.until for one in arrived.found.checks if one.result.mute is not None]
    moments = [evaluation.created, evaluation.files_removed, *((time.start, time.end) if time else ()), *mutes]
    if any(moment is not None and moment.tzinfo is None for moment in moments):
        return "a time of it has no time zone"
    counts = (evaluation.rows_read, evaluation.rows_used, evaluation.reference_rows, evaluation.revision or 0)
    if not all(0 <= count <= MOST_ROWS for count in counts) or (evaluation.revision or 0) >= 2**31:
        return "its number of rows, or its revision, is not possible"
    return _find_problem_of_files(arrived)


def _find_problem_of_files(arrived: Arrival) -> str:
    """Return what is wrong with the received files; empty if nothing is."""
    expected = arrived.found.files
    if unknown := expected.keys() - set(TRANSFERRED_FILES):
        return f"a file {single_line(min(unknown), limit=100)!r} belongs to no evaluation"
    there = {path.name: path for path in arrived.folder.iterdir()}
    if there.keys() != expected.keys():
        return "its files are not all there"
    for name, path in there.items():
        if (path.stat().st_size, digest_file(path)) != (expected[name].bytes, expected[name].digest):
            return f"its file {name} was damaged on the way"
    if not there:
        return ""
    facts = there.get(FACTS_FILE)
    if facts is None or facts.stat().st_size > LARGEST_FACTS:
        return f"its file {FACTS_FILE} is missing, or too large"
    try:
        verify_files(json.loads(facts.read_bytes()), arrived.folder)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as fault:
        return f"its files do not belong together: {single_line(str(fault), limit=200)}"
    return ""
