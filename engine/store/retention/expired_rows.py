"""Finds the rows of a state that exceed the limits of its retention and that nothing needs; removes nothing."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, exists, func, or_, select

from engine.spec.resources.project import RetentionLimits
from engine.store.databases.database import split_rows
from engine.store.evaluation_filter import HISTORY_ORDER, EvaluationFilter
from engine.store.outbox import JOINED
from engine.store.records.messages import MessageState
from engine.store.records.triggers import OPEN_STATES, RUN_END
from engine.store.tables import attachments, evaluations, fires, outbox, run_ends, runs, trigger_states

LEAST_FIRE_DAYS = 8
"""Days that every fire is kept, so that a clock that is set back does not fire again."""

FIRE_DAYS = 90
"""Days that a fire without a run is kept if the retention of runs has no limit in days."""


class ExpiredEvaluation(NamedTuple):
    """An evaluation that exceeds the limits."""

    id: str
    store: str


def find_expired_runs(connection: Connection, limits: RetentionLimits, now: datetime) -> list[str]:
    """Return the ids of the runs that exceed the limits of their scenario, oldest first.

    Never included: running runs and their child runs, the newest run of each scenario, runs with a pending or refused
    message, and runs of open fires.
    """
    of = runs.c
    found: dict[str, int] = {}
    for scenario in connection.scalars(select(of.scenario).distinct()).all():
        mine = of.scenario == scenario
        beyond = []
        if limits.keep is not None:
            newest = select(of.number).where(mine).order_by(of.number.desc()).offset(limits.keep - 1).limit(1)
            beyond.append(of.number < newest.scalar_subquery())
        if limits.days is not None:
            beyond.append(of.ended < now - timedelta(days=limits.days))
        if not beyond:
            return []
        last_ended = select(func.max(of.number)).where(mine, of.outcome.is_not(None)).scalar_subquery()
        chosen = select(of.id, of.number).where(mine, or_(*beyond), of.outcome.is_not(None), of.number < last_ended)
        found |= {row.id: row.number for row in connection.execute(chosen)}
    kept = _find_needed_runs(connection)
    return sorted(found.keys() - kept, key=lambda id_: found[id_])


def _find_needed_runs(connection: Connection) -> set[str]:
    """Return the ids of runs that are running or have running ancestors, unsent messages or open fires."""
    waiting = outbox.c.state.in_([MessageState.PENDING, MessageState.REFUSED])
    ids = connection.scalars(select(outbox.c.id).where(waiting)).all()
    joined = [JOINED + id_ for id_ in ids]
    needed = set(connection.scalars(select(outbox.c.run).where(waiting, outbox.c.run.is_not(None))))
    for some in split_rows(joined):
        was_joined = (outbox.c.state == MessageState.DROPPED) & outbox.c.last_error.in_(some)
        needed |= set(connection.scalars(select(outbox.c.run).where(was_joined, outbox.c.run.is_not(None))))
    open_fires = select(fires.c.run).where(fires.c.state.in_(OPEN_STATES), fires.c.run.is_not(None))
    needed |= set(connection.scalars(open_fires))
    running = select(runs.c.id).where(runs.c.outcome.is_(None)).cte("running", recursive=True)
    family = running.union(select(runs.c.id).join(running, runs.c.parent == running.c.id))
    return needed | set(connection.scalars(select(family.c.id)))


def find_expired_evaluations(
    connection: Connection, limits: RetentionLimits, now: datetime, needed: Collection[str], *, files: bool = False
) -> list[ExpiredEvaluation]:
    """Return the evaluations that exceed the limits of their store, in the order in which they can be removed.

    The limits apply separately to the evaluations made in this state and to those pulled from each deployment. The
    limit on their number follows the order of the history and does not count superseded ones; the limit in days begins
    when they were made. A superseded evaluation comes before the one that supersedes it, because it would otherwise be
    in the history again. With `files`, only evaluations whose files have not been removed are returned.
    """
    of = evaluations.c
    found: list[ExpiredEvaluation] = []
    for store, origin in connection.execute(select(of.store, of.origin).distinct()).all():
        mine = (of.store == store) & (of.origin.is_(None) if origin is None else of.origin == origin)
        beyond: list[ColumnElement[bool]] = []
        if limits.keep is not None:
            current = select(of.id).where(mine, of.superseded_by.is_(None))
            newest_first = (column.desc() for column in HISTORY_ORDER)
            last_kept = connection.scalar(current.order_by(*newest_first).offset(limits.keep - 1).limit(1))
            if last_kept is not None:
                beyond += EvaluationFilter(before=last_kept, superseded=True, any_origin=True).build_conditions(store)
        if limits.days is not None:
            beyond.append(of.created < now - timedelta(days=limits.days))
        if not beyond:
            continue
        chosen = select(of.id, of.store, of.superseded_by).where(mine, or_(*beyond))
        if files:
            chosen = chosen.where(of.files_removed.is_(None))
        rows = connection.execute(chosen.order_by(*HISTORY_ORDER)).all()
        found += [ExpiredEvaluation(row.id, store) for row in rows if row.id not in needed]
    return found if files else _add_superseded(connection, found)


def _add_superseded(connection: Connection, found: Sequence[ExpiredEvaluation]) -> list[ExpiredEvaluation]:
    """Return evaluations, preceded by those that they have superseded directly or indirectly."""
    known = {one.id for one in found}
    new = list(found)
    whole = new
    while new:
        superseded = evaluations.c.superseded_by
        columns = select(evaluations.c.id, evaluations.c.store)
        new = [
            ExpiredEvaluation(*row)
            for some in split_rows([one.id for one in new])
            for row in connection.execute(columns.where(superseded.in_(some)))
            if row.id not in known
        ]
        known |= {one.id for one in new}
        whole = new + whole
    return whole


def find_expired_fires(
    connection: Connection, limits: RetentionLimits, now: datetime, removed: Collection[str]
) -> list[int]:
    """Return the numbers of the fires that are not open and whose run is among `removed` or is not stored.

    Never included: the newest fire of each trigger, and those of the last 8 days.
    """
    of = fires.c
    newest = select(func.max(of.number)).group_by(of.scenario, of.trigger)
    old = of.seen_at < now - timedelta(days=LEAST_FIRE_DAYS)
    over = select(of.number, of.run, of.seen_at, runs.c.number.label("stored")).join(
        runs, runs.c.id == of.run, isouter=True
    )
    chosen = over.where(old, of.state.not_in(OPEN_STATES), of.number.not_in(newest)).order_by(of.number)
    limit = now - timedelta(days=max(limits.days or FIRE_DAYS, LEAST_FIRE_DAYS))
    return [
        row.number
        for row in connection.execute(chosen)
        if (row.seen_at < limit if row.run is None else row.stored is None or row.run in removed)
    ]


def find_expired_attachments(connection: Connection, limits: RetentionLimits, now: datetime) -> list[int]:
    """Return the numbers of the messages whose attachments exceed the limits; pending messages are never included."""
    having = exists().where(attachments.c.message == outbox.c.number)
    settled = select(outbox.c.number).where(outbox.c.state != MessageState.PENDING, having)
    beyond: list[ColumnElement[bool]] = []
    if limits.keep is not None:
        newest = settled.order_by(outbox.c.number.desc()).offset(limits.keep - 1).limit(1)
        beyond.append(outbox.c.number < newest.scalar_subquery())
    if limits.days is not None:
        beyond.append(outbox.c.created < now - timedelta(days=limits.days))
    return list(connection.scalars(settled.where(or_(*beyond)).order_by(outbox.c.number))) if beyond else []


def find_expired_run_ends(connection: Connection, removed: Collection[str]) -> list[int]:
    """Return the numbers of the ends of runs that are among `removed` or are not stored.

    Never included: ends that a trigger has not seen yet, and the newest end, whose number would be used again.
    """
    ends = select(run_ends.c.number, run_ends.c.run, runs.c.number.label("stored"))
    seen = [state[RUN_END] for state in connection.scalars(select(trigger_states.c.seen)) if RUN_END in state]
    newest = connection.scalar(select(func.max(run_ends.c.number))) or 0
    chosen = ends.join(runs, runs.c.id == run_ends.c.run, isouter=True).order_by(run_ends.c.number)
    limit = min([newest - 1, *seen])
    return [
        row.number
        for row in connection.execute(chosen.where(run_ends.c.number <= limit))
        if row.stored is None or row.run in removed
    ]
