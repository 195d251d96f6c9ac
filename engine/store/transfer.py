"""Evaluations as they leave the state that has made them, to be pulled into another one.

An evaluation keeps its id on the way. So what has come before is known by it, and nothing depends on how far an earlier
transfer came: whoever pulls lists what there is, and asks for what is new. A whole evaluation is a thousand times as
large as its entry in the list, and its files are a hundred times as large again.

What arrives is read as untrusted: its form is checked here, and `pulled_state.py` checks what it says.
"""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator
from sqlalchemy import func, select

from engine.digests import digest_file
from engine.errors import StoreError
from engine.evaluation.bounds import CheckBounds
from engine.evaluation.record import CheckResult, Evaluation
from engine.evaluation.snapshots.files import FACTS_FILE, FILES
from engine.formatting.control_characters import single_line
from engine.store.databases.database import split_rows
from engine.store.store import Store
from engine.store.tables import check_results, evaluations

ENTRIES_PER_PAGE = 1000
TRANSFERRED_FILES = (FACTS_FILE, *FILES)
"""The files that an evaluation may have; those of other names do not travel."""

LARGEST_FACTS = 64 * 2**20
LARGEST_FILE = 2 * 2**30
MOST_ROWS = 2**63 - 1
EVALUATION_ID = "[0-9A-Za-z-]{1,80}"


class _Travelling(BaseModel):
    # Numbers that JSON does not have, such as the infinite maximum of a column, travel as text.
    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_inf_nan="strings", defer_build=True)


_BOUNDS: TypeAdapter[CheckBounds | None] = TypeAdapter(
    CheckBounds | None, config=ConfigDict(revalidate_instances="always", defer_build=True)
)


class EvaluationEntry(_Travelling):
    """An evaluation in the list of those that a state has."""

    number: int = Field(ge=1, le=MOST_ROWS, description="Its place in the order in which they were made.")
    id: str = Field(pattern=f"^{EVALUATION_ID}$")
    store: str
    moment: AwareDatetime = Field(description="The start of its time, else when it was made.")
    superseded_by: str | None = Field(description="The evaluation of the same time that has taken its place.")
    checked: AwareDatetime | None = Field(description="When its checks were last applied.")


class EvaluationPage(_Travelling):
    """A part of the evaluations that a deployment has made, in the order in which they were made."""

    project: str
    deployment: str
    evaluations: list[EvaluationEntry] = Field(max_length=ENTRIES_PER_PAGE)
    next: int | None = Field(description="The number to ask for to get those after these; null: there are none.")
    newest: int = Field(description="The number of the newest evaluation when this was answered; 0 if there is none.")


class TravellingCheck(_Travelling):
    """The result of a check, with the run that has applied it and the time."""

    run: str | None
    created: AwareDatetime
    result: CheckResult

    @field_validator("result")
    @classmethod
    def _check_bounds(cls, result: CheckResult) -> CheckResult:
        """Check the parts of the bounds, which are read by their keys alone."""
        _BOUNDS.validate_python(result.bounds)
        return result


class TravellingFile(_Travelling):
    """The size of a file, and the digest of its bytes."""

    bytes: int = Field(ge=0, le=LARGEST_FILE)
    digest: str = Field(pattern="^[0-9a-f]{32}$")


class TravellingEvaluation(_Travelling):
    """An evaluation with the results of its checks, and what there is of its files."""

    evaluation: Evaluation
    checks: list[TravellingCheck]
    files: dict[str, TravellingFile]


def list_evaluations(
    store: Store,
    project: str,
    deployment: str,
    *,
    after: int = 0,
    of_store: str | None = None,
    since: datetime | None = None,
) -> EvaluationPage:
    """Return the evaluations that a state has made itself, those after a number, of a store and since a moment."""
    of = evaluations.c
    query = select(of.number, of.id, of.store, of.time_start, of.superseded_by)
    chosen = query.where(of.number > after, of.origin.is_(None)).order_by(of.number).limit(ENTRIES_PER_PAGE)
    if of_store is not None:
        chosen = chosen.where(of.store == of_store)
    if since is not None:
        chosen = chosen.where(of.time_start >= since)
    with store.database.begin_read() as connection:
        rows = connection.execute(chosen).all()
        newest = connection.scalar(select(func.max(of.number)).where(of.origin.is_(None))) or 0
    checked = find_last_checked(store, [row.id for row in rows])
    entries = [
        EvaluationEntry(
            number=row.number,
            id=row.id,
            store=row.store,
            moment=row.time_start,
            superseded_by=row.superseded_by,
            checked=checked.get(row.id),
        )
        for row in rows
    ]
    following = rows[-1].number if len(rows) == ENTRIES_PER_PAGE else None
    return EvaluationPage(project=project, deployment=deployment, evaluations=entries, next=following, newest=newest)


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


def pack_evaluation(store: Store, id_: str) -> TravellingEvaluation | None:
    """Return an evaluation that the state has made itself; None if there is none of that id."""
    if not (found := store.evaluations.find_made(id_)):
        return None
    points = store.checks.history(found.store, evaluation=id_)
    folder = store.evaluations.folder_of(id_)
    return TravellingEvaluation(
        evaluation=found,
        checks=[TravellingCheck(run=one.run, created=one.created, result=one.result) for one in points],
        files={name: file for name in TRANSFERRED_FILES if (file := _describe_file(folder / name)) is not None},
    )


def _describe_file(path: Path) -> TravellingFile | None:
    try:
        return TravellingFile(bytes=path.stat().st_size, digest=digest_file(path))
    except FileNotFoundError:  # there was none, or retention has just removed it
        return None


def find_file(store: Store, id_: str, name: str) -> Path | None:
    """Return the path of a file of an evaluation that the state has made itself; None if there is no such file."""
    if name not in TRANSFERRED_FILES or store.evaluations.find_made(id_) is None:
        return None
    path = store.evaluations.folder_of(id_) / name
    return path if path.is_file() else None


def read_evaluation(text: bytes, id_: str) -> TravellingEvaluation:
    """Return the evaluation of an id from its JSON; raises StoreError if it is none."""
    try:
        return TravellingEvaluation.model_validate_json(text)
    except ValidationError as problem:
        first = problem.errors(include_input=False, include_url=False)[0]
        told = single_line(f"{'.'.join(map(str, first['loc']))}: {first['msg']}", limit=200)
    except (KeyError, TypeError, AttributeError):  # of the bounds of a check
        told = "the results of its checks are not as they must be"
    raise StoreError(f"the evaluation {id_} cannot be read: {told}")
