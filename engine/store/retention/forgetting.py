"""Forgets a batch and runs, on a copy of the state: for a drill, in which a disturbed batch takes the place of another.

A state itself forgets nothing in silence: `remove` of evaluations is recorded, and else only retention removes.
"""

import shutil
from collections.abc import Collection

from sqlalchemy import delete, or_, select

from engine.acting_user import describe_acting_user
from engine.store.batch_rows import find_rows_folders
from engine.store.retention.pruning import remove_run_rows
from engine.store.store import Store
from engine.store.tables import check_results, dataset_measurements, evaluations


def forget_evaluations(
    store: Store, evaluation_store: str, fingerprint: str, made: Collection[str], kept: Collection[str]
) -> None:
    """Forget the evaluations of the batch with a fingerprint: those without a declared time, and of others `made`.

    The same data at another declared time is another batch. Evaluations with the names `kept` are kept.
    """
    of_batch = select(evaluations.c.id).where(
        evaluations.c.store == evaluation_store,
        evaluations.c.origin.is_(None),
        evaluations.c.dataset_fingerprint == fingerprint,
        or_(~evaluations.c.timed, evaluations.c.id.in_(list(made))),
        evaluations.c.name.not_in(list(kept)),
    )
    with store.database.begin_read() as connection:
        ids = list(connection.scalars(of_batch))
    store.evaluations.remove_ids(evaluation_store, ids, describe_acting_user())


def forget_measurements(store: Store, dataset: str, fingerprint: str) -> None:
    """Forget the metrics and the counted rows of the batch of a dataset with a fingerprint."""
    measured = select(dataset_measurements.c.number, dataset_measurements.c.facts).where(
        dataset_measurements.c.dataset == dataset
    )
    with store.database.begin_write() as connection:
        numbers = [
            number
            for number, facts in connection.execute(measured)
            if facts.get("datasets", {}).get(dataset, {}).get("fingerprint") == fingerprint
        ]
        connection.execute(delete(dataset_measurements).where(dataset_measurements.c.number.in_(numbers)))
    for folder in find_rows_folders(store.folder, dataset, fingerprint):
        shutil.rmtree(folder)


def forget_runs(store: Store, ids: Collection[str]) -> None:
    """Forget runs that have ended, with what they have measured and checked; what they have built is kept."""
    with store.database.begin_write() as connection:
        connection.execute(delete(check_results).where(check_results.c.run.in_(list(ids))))
        remove_run_rows(connection, ids)
