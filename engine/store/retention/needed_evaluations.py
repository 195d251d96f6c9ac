"""Finds the evaluations that a project still needs, because later batches are compared with them.

Checks that use earlier evaluations need their rows; references need rows and files. The newest evaluations are kept in
any case, because people and alerts use them.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, select

from engine.spec import ProjectSpec
from engine.spec.resources.checks import find_past_window
from engine.spec.resources.evaluation_stores import (
    EvaluationReference,
    EvaluationStoreSpec,
    RollingReference,
    SamePeriodReference,
)
from engine.spec.times.declared_times import find_moment, find_zone, go_back
from engine.store.evaluation_filter import HISTORY_ORDER
from engine.store.tables import evaluation_details, evaluations, runs

MODELS_KEPT = 2
"""Number of models per store whose newest evaluation is kept: the current model, and the one before, for a rollback."""


@dataclass(slots=True)
class NeededEvaluations:
    """The ids of the evaluations whose rows must stay (`rows`), and of those whose files must stay too (`files`)."""

    rows: set[str] = field(default_factory=set)
    files: set[str] = field(default_factory=set)

    def add(self, id_: str) -> None:
        """Add the id of an evaluation whose rows and files must stay."""
        self.rows.add(id_)
        self.files.add(id_)


def find_needed_evaluations(connection: Connection, project: ProjectSpec) -> NeededEvaluations:
    """Return the evaluations of all stores that must stay, including those of running runs."""
    needed = NeededEvaluations()
    running = select(evaluations.c.id).join(runs, runs.c.id == evaluations.c.run).where(runs.c.outcome.is_(None))
    for id_ in connection.scalars(running):
        needed.add(id_)
    for store in connection.scalars(select(evaluations.c.store).distinct()).all():
        _add_needed_of_store(connection, store, project, needed)
    return needed


def _add_needed_of_store(connection: Connection, store: str, project: ProjectSpec, needed: NeededEvaluations) -> None:
    models = _find_newest_models(connection, store)
    if not models:  # all are superseded
        return
    for newest in models:
        needed.add(newest.id)
    spec = project.evaluation_stores.get(store)
    if spec is None:
        return
    histories = [None] if spec.continues_across_models else [one.model_fingerprint for one in models]
    window = find_past_window(spec.checks.values())
    for model in histories:
        # The next evaluation may replace the newest one, and is then compared with that one's past. Without a declared
        # time, it may have the data of an earlier batch, and evaluations of the same data are then skipped.
        place, newer, passed_over = 0, None, Counter[str]()
        for row in _walk_history(connection, store, model):
            # of consecutive evaluations of unchanged data only the last one counts, unless they have declared times
            if newer is not None and not newer.timed and newer.dataset_fingerprint == row.dataset_fingerprint:
                continue
            age, content = models[0].time_start - row.time_start, "" if row.timed else row.dataset_fingerprint
            if newer is not None and not window.includes(place - max(passed_over.values()), age):
                break
            most = max((count for data, count in passed_over.items() if row.timed or data != content), default=0)
            if newer is None or window.includes(place - most, age):
                needed.rows.add(row.id)
            passed_over[content] = 1 if row.timed else passed_over[content] + 1
            place, newer = place + 1, row
    _add_references(connection, store, spec, project, histories, models[0], needed)


def _add_references(
    connection: Connection,
    store: str,
    spec: EvaluationStoreSpec,
    project: ProjectSpec,
    histories: list[str | None],
    newest: Any,
    needed: NeededEvaluations,
) -> None:
    """Add the evaluations that are references of the next batches of a store."""
    reference = spec.reference
    # a name in the spec may contain a variable that each run sets: the name used last is needed too
    names = _read_reference_names(connection, newest.number)
    if isinstance(reference, EvaluationReference):
        names.add(reference.name)
    if isinstance(reference, RollingReference):
        names = set()
        for model in histories:
            for row in _take_rolling(_walk_history(connection, store, model), reference.last, remade=newest.timed):
                needed.add(row.id)
    if isinstance(reference, SamePeriodReference) and newest.timed:
        names = set()
        zone = find_zone(project.resources)
        first = find_moment(go_back(newest.time_start.astimezone(zone), reference.every, reference.last, zone), zone)
        for row in _walk_history(connection, store, None):
            if not row.timed or row.time_start < first:
                break
            needed.add(row.id)
    of = evaluations.c
    made_here = (of.store == store) & of.origin.is_(None)
    named = select(of.id).where(made_here, of.name.in_(names), of.superseded_by.is_(None))
    for id_ in connection.scalars(named):
        needed.add(id_)


def _walk_history(connection: Connection, store: str, model: str | None) -> Iterator[Any]:
    """Yield the evaluations of a store, or of one of its models, newest first, reading rows lazily.

    Pulled evaluations are left out, because they are not references.
    """
    of = evaluations.c
    columns = (of.number, of.id, of.model_fingerprint, of.dataset_fingerprint, of.timed, of.time_start, of.rows_read)
    query = select(*columns).where(of.store == store, of.origin.is_(None), of.superseded_by.is_(None))
    if model is not None:
        query = query.where(of.model_fingerprint == model)
    yield from connection.execute(query.order_by(*(column.desc() for column in HISTORY_ORDER)))


def _find_newest_models(connection: Connection, store: str) -> list[Any]:
    """Return the newest evaluation of each of the last models of a store, newest first."""
    found: dict[str, Any] = {}
    for row in _walk_history(connection, store, None):
        found.setdefault(row.model_fingerprint, row)
        if len(found) == MODELS_KEPT:
            break
    return list(found.values())


def _take_rolling(history: Iterator[Any], last: int, *, remade: bool) -> Iterator[Any]:
    """Yield the evaluations that can be among the `last` usable ones with other data than the next batch.

    Of evaluations with the same data, the latest counts. With `remade`, the next batch may replace the newest one,
    which is therefore not counted.
    """
    counted: set[str] = set()
    for place, row in enumerate(history):
        if not row.rows_read:
            continue
        if row.dataset_fingerprint not in counted:
            yield row
        if place or not remade:
            counted.add(row.dataset_fingerprint)
        if len(counted) > last:
            return


def _read_reference_names(connection: Connection, number: int) -> set[str]:
    """Return the names of the evaluations that an evaluation was compared with."""
    facts = connection.scalar(select(evaluation_details.c.facts).where(evaluation_details.c.evaluation == number))
    reference = (facts or {}).get("reference")
    return set(reference.get("evaluations", ())) if isinstance(reference, Mapping) else set()
