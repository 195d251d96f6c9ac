"""Export of evaluations from the state that made them, so that another state can pull them.

An evaluation keeps its id, so a transfer can be interrupted at any point: the receiver lists all evaluations and
fetches those that it does not have. A whole evaluation is about a thousand times as large as its entry in the list, and
its files are about a hundred times larger again.

Received data are not trusted: their form is checked here, and their content in `pulled_state.py`.
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
"""The files of an evaluation that are transferred."""

LARGEST_FACTS = 64 * 2**20
LARGEST_FILE = 2 * 2**30
MOST_ROWS = 2**63 - 1
EVALUATION_ID = "[0-9A-Za-z-]{1,80}"


class _Travelling(BaseModel):
    # Numbers that JSON cannot represent, such as an infinite maximum of a column, are sent as text.
    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_inf_nan="strings", defer_build=True)


_BOUNDS: TypeAdapter[CheckBounds | None] = TypeAdapter(
    CheckBounds | None, config=ConfigDict(revalidate_instances="always", defer_build=True)
)


class EvaluationEntry(_Travelling):
    """The entry of an evaluation in the list of a state."""

    number: int = Field(ge=1, le=MOST_ROWS, description="Its position in the order of creation.")
    id: str = Field(pattern=f"^{EVALUATION_ID}$")
    store: str
    moment: AwareDatetime = Field(description="The start of its time, or the time of its creation without one.")
    superseded_by: str | None = Field(description="The evaluation of the same time that supersedes it.")
    checked: AwareDatetime | None = Field(description="When its checks were last applied.")


class EvaluationPage(_Travelling):
    """A page of the list of a deployment's evaluations, in the order in which they were made."""

    project: str
    deployment: str
    evaluations: list[EvaluationEntry] = Field(max_length=ENTRIES_PER_PAGE)
    next: int | None = Field(description="The number for the request of the next page; null if there is none.")
    newest: int = Field(description="The number of the newest evaluation when this was answered; 0 if there is none.")


class TravellingCheck(_Travelling):
    """A check result, with its run and time."""

    run: str | None
    created: AwareDatetime
    result: CheckResult

    @field_validator("result")
    @classmethod
    def _check_bounds(cls, result: CheckResult) -> CheckResult:
        """Validate the parts of the bounds."""
        _BOUNDS.validate_python(result.bounds)
        return result


class TravellingFile(_Travelling):
    """The size of a file in bytes, and the digest of its content."""

    bytes: int = Field(ge=0, le=LARGEST_FILE)
    digest: str = Field(pattern="^[0-9a-f]{32}$")


class TravellingEvaluation(_Travelling):
    """An evaluation with its check results, and a description of its files."""

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
    """Return a page of the evaluations made in a state with a number greater than `after`.

    `of_store` and `since` limit them to a store and to times from a moment on.
    """
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
    """Return when the checks of evaluations were last applied, by id, without evaluations that were never checked."""
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
    """Return the evaluation with this id for a transfer; None if it was not made in this state."""
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
    except FileNotFoundError:  # it never existed, or retention has just removed it
        return None


def find_file(store: Store, id_: str, name: str) -> Path | None:
    """Return the path of a file of an evaluation made in this state; None if there is no such file."""
    if name not in TRANSFERRED_FILES or store.evaluations.find_made(id_) is None:
        return None
    path = store.evaluations.folder_of(id_) / name
    return path if path.is_file() else None


def read_evaluation(text: bytes, id_: str) -> TravellingEvaluation:
    """Parse the JSON of an evaluation; raise StoreError if it is not valid."""
    try:
        return TravellingEvaluation.model_validate_json(text)
    except ValidationError as problem:
        first = problem.errors(include_input=False, include_url=False)[0]
        found = single_line(f"{'.'.join(map(str, first['loc']))}: {first['msg']}", limit=200)
    except (KeyError, TypeError, AttributeError):  # raised for invalid bounds of a check
        found = "the results of its checks are not as they must be"
    raise StoreError(f"the evaluation {id_} cannot be read: {found}")
