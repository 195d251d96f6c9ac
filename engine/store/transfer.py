"""Evaluations on their way from the state of a deployment into another state, where they are marked with their origin.

An evaluation keeps its id on the way. So what has come before, or was removed here, is known by it, and nothing depends
on how far an earlier transfer came: a deployment that began anew with an empty state is no different from another one.
Whoever receives lists what there is, and asks for what is new: a whole evaluation is a thousand times larger than its
entry in the list.

What arrives is read as untrusted: it is checked against the types of the records, and no text with control characters
becomes a name.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError
from sqlalchemy import delete, func, select, update

from engine.errors import StoreError
from engine.evaluation.record import CheckResult, Evaluation
from engine.evaluation.snapshot_files import FACTS_FILE, FILES, verify_files
from engine.formatting.control_characters import remove_controls, single_line
from engine.store.checks import insert_check_results
from engine.store.database import split_rows
from engine.store.evaluations import insert_evaluation
from engine.store.folders import safe_name
from engine.store.records import CheckPoint
from engine.store.store import Store
from engine.store.tables import check_results, evaluations, removals

ENTRIES_PER_PAGE = 5000
TRANSFERRED_FILES = (FACTS_FILE, *FILES)
"""The files that an evaluation may have; those of other names do not travel."""

LARGEST_EVALUATION = 64 * 2**20
LARGEST_FILE = 2 * 2**30
LONGEST_NAME = 1000
MOST_ROWS = 2**63 - 1


class _Travelling(BaseModel):
    # Numbers that JSON does not have, such as the infinite maximum of a column, travel as text.
    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_inf_nan="strings")


class EvaluationEntry(_Travelling):
    """An evaluation in the list of those that a state has."""

    number: int = Field(description="Its place in the order in which they were made.")
    id: str = Field(pattern="^[0-9A-Za-z-]{1,80}$")
    moment: AwareDatetime = Field(description="The start of its time, else when it was made.")
    superseded_by: str | None
    checked: AwareDatetime | None = Field(description="When its checks were last applied.")
    files: bool = Field(description="Whether its files are there.")


class EvaluationList(_Travelling):
    """A part of the evaluations that a state has made, oldest first."""

    evaluations: list[EvaluationEntry]
    next: int | None = Field(description="The number to ask for to get those after these; null: there are none.")


class TravellingCheck(_Travelling):
    """The result of a check, with the run that has applied it and the time."""

    run: str | None
    created: AwareDatetime
    result: CheckResult


class TravellingEvaluation(_Travelling):
    """An evaluation with the results of its checks."""

    evaluation: Evaluation
    checks: list[TravellingCheck]


def list_evaluations(store: Store, after: int = 0) -> EvaluationList:
    """Return the evaluations that a state has made itself, those after a number."""
    of = evaluations.c
    query = select(of.number, of.id, of.store, of.time_start, of.superseded_by, of.files_removed)
    chosen = query.where(of.number > after, of.origin.is_(None)).order_by(of.number).limit(ENTRIES_PER_PAGE)
    with store.database.begin_read() as connection:
        rows = connection.execute(chosen).all()
    checked = find_last_checked(store, [row.id for row in rows])
    entries = [
        EvaluationEntry(
            number=row.number,
            id=row.id,
            moment=row.time_start,
            superseded_by=row.superseded_by,
            checked=checked.get(row.id),
            files=row.files_removed is None and (store.evaluations.folder_of(row.id) / FACTS_FILE).exists(),
        )
        for row in rows
    ]
    return EvaluationList(evaluations=entries, next=rows[-1].number if len(rows) == ENTRIES_PER_PAGE else None)


def find_last_checked(store: Store, ids: Sequence[str]) -> dict[str, datetime]:
    """Return when the checks of evaluations were last applied, by their ids; those never checked are not in it."""
    of, results = evaluations.c, check_results.c
    query = (
        select(results.evaluation, func.max(results.created))
        .join_from(evaluations, check_results, (results.target == of.store) & (results.evaluation == of.id))
        .group_by(results.evaluation)
    )
    with store.database.begin_read() as connection:
        return {
            id_: created
            for some in split_rows(ids)
            for id_, created in connection.execute(query.where(of.id.in_(some)))
        }


def write_evaluation(store: Store, id_: str) -> bytes:
    """Return an evaluation as JSON; raises StoreError if there is none of that id."""
    evaluation = store.evaluations.get(id_)
    points = store.checks.history(evaluation.store, evaluation=id_)
    checks = [TravellingCheck(run=one.run, created=one.created, result=one.result) for one in points]
    return TravellingEvaluation(evaluation=evaluation, checks=checks).model_dump_json().encode()


def find_file(store: Store, id_: str, name: str) -> Path | None:
    """Return the path of a file of an evaluation; None if it has no such file."""
    path = store.evaluations.folder_of(id_) / name
    return path if name in TRANSFERRED_FILES and path.is_file() else None


def read_list(text: bytes) -> EvaluationList:
    """Return a list of evaluations from its JSON; raises StoreError if it is none."""
    try:
        return EvaluationList.model_validate_json(text)
    except ValidationError as problem:
        raise StoreError(f"the list of evaluations cannot be read: {_describe_problem(problem)}") from None


def read_evaluation(text: bytes, id_: str) -> TravellingEvaluation:
    """Return the evaluation of an id from its JSON; raises StoreError if it is none, or cannot be stored."""
    try:
        found = TravellingEvaluation.model_validate_json(text)
    except ValidationError as problem:
        raise StoreError(f"the evaluation {id_} cannot be read: {_describe_problem(problem)}") from None
    except (KeyError, TypeError, AttributeError):  # of the bounds of a check
        raise StoreError(
            f"the evaluation {id_} cannot be read: the results of its checks are not as they must be"
        ) from None
    if problem_text := _find_problem(found, id_):
        raise StoreError(f"the evaluation {id_} cannot be read: {problem_text}")
    return found


def _find_problem(found: TravellingEvaluation, id_: str) -> str:
    """Return why a well-formed evaluation cannot be stored; empty if it can."""
    evaluation, time = found.evaluation, found.evaluation.time
    names = [evaluation.store, evaluation.name, *evaluation.labels.keys(), *evaluation.labels.values()]
    if any(remove_controls(name) != name or len(name) > LONGEST_NAME for name in names):
        return "its name, its store or a label is too long or has control characters"
    if evaluation.id != id_:
        return "it is another one"
    if any((one.result.evaluation, one.result.target) != (id_, evaluation.store) for one in found.checks):
        return "it has results of checks of another one"
    moments = [evaluation.created, evaluation.files_removed, *((time.start, time.end) if time else ())]
    if any(moment is not None and moment.tzinfo is None for moment in moments):
        return "a time of it has no time zone"
    if not all(
        0 <= count <= MOST_ROWS for count in (evaluation.rows_read, evaluation.rows_used, evaluation.reference_rows)
    ):
        return "its number of rows is not possible"
    return ""


def _describe_problem(problem: ValidationError) -> str:
    first = problem.errors(include_input=False, include_url=False)[0]
    where = ".".join(map(str, first["loc"]))
    return single_line(f"{where}: {first['msg']}", limit=200)


class PulledState:
    """What of a deployment is in a state already.

    Parameters
    ----------
    origin
        The name of the deployment.
    """

    def __init__(self, store: Store, origin: str) -> None:
        self._store, self._origin = store, origin
        of = evaluations.c
        with store.database.begin_read() as connection:
            rows = connection.execute(select(of.id, of.origin, of.superseded_by, of.files_removed)).all()
            removed = connection.scalars(select(removals.c.evaluations)).all()
        self._others = {row.id for row in rows if row.origin != origin}
        self._superseded = {row.id: row.superseded_by for row in rows if row.origin == origin}
        self._without_files = {row.id for row in rows if row.files_removed is not None}
        self._checked = find_last_checked(store, list(self._superseded))
        self.removed = {id_ for ids in removed for id_ in ids} - self._superseded.keys()

    def knows(self, id_: str) -> bool:
        """Return whether an evaluation came from the deployment before."""
        return id_ in self._superseded

    def is_foreign(self, id_: str) -> bool:
        """Return whether an evaluation of that id is here, but not from this deployment."""
        return id_ in self._others

    def is_behind(self, entry: EvaluationEntry) -> bool:
        """Return whether the checks of an evaluation that is here were applied again there."""
        known = self._checked.get(entry.id)
        return entry.checked is not None and (known is None or known < entry.checked)

    def lacks_files(self, entry: EvaluationEntry) -> bool:
        """Return whether an evaluation has files there that are not here, and were not removed here by retention."""
        return (
            entry.files
            and entry.id not in self._without_files
            and not self._store.evaluations.folder_of(entry.id).exists()
        )

    def receive(self, found: TravellingEvaluation) -> None:
        """Store an evaluation with the results of its checks; of one that is here, only these, which may be new."""
        evaluation, points = found.evaluation, [CheckPoint(one.run, one.created, one.result) for one in found.checks]
        with self._store.database.begin_write() as connection:
            if self.knows(evaluation.id):
                connection.execute(delete(check_results).where(check_results.c.evaluation == evaluation.id))
            else:
                insert_evaluation(connection, replace(evaluation, origin=self._origin, superseded_by=None))
            insert_check_results(connection, points)
        self._superseded.setdefault(evaluation.id, None)

    def adopt_files(self, id_: str, folder: Path) -> None:
        """Take over the files of an evaluation from a staging folder.

        Raises
        ------
        StoreError
            They are not as they were written.
        """
        try:
            verify_files(json.loads((folder / FACTS_FILE).read_bytes()), folder)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as fault:
            told = single_line(str(fault), limit=200)
            raise StoreError(f"the files of the evaluation {id_} were damaged on the way: {told}") from None
        with self._store.folders.adopt(folder, lambda _: f"evaluations/{safe_name(id_)}"):
            pass  # its row is there already

    def follow(self, entry: EvaluationEntry) -> None:
        """Record what has superseded an evaluation there since it came, or that nothing has any more.

        Something that is not here, because it was removed, supersedes nothing.
        """
        newer = entry.superseded_by
        if self._superseded[entry.id] != newer and (newer is None or self.knows(newer)):
            with self._store.database.begin_write() as connection:
                mine = (evaluations.c.id == entry.id) & (evaluations.c.origin == self._origin)
                connection.execute(update(evaluations).where(mine).values(superseded_by=entry.superseded_by))
            self._superseded[entry.id] = entry.superseded_by
