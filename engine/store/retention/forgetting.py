"""Removes a batch and its runs from a copy of a state, for drills, which replace the batch by a disturbed one.

A real state loses nothing silently: the removal of evaluations is recorded, and everything else is removed only by
retention.
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
    """Remove the evaluations of the batch with this fingerprint that have no declared time or whose id is in `made`.

    The same data with another declared time is another batch. Evaluations with the names `kept` are kept.
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
    """Remove the metrics and the counted rows of the batch of a dataset with this fingerprint."""
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
    """Remove ended runs with their measurements and check results; models and evaluations are kept."""
    with store.database.begin_write() as connection:
        connection.execute(delete(check_results).where(check_results.c.run.in_(list(ids))))
        remove_run_rows(connection, ids)
