"""Compares the challenger of an evaluation store with the model, on rows that neither was trained on.

Predictions for training rows do not show the quality of a model. So rows of the batch that equal training rows, in all
columns that the batch shares with the training data, are left out of the comparison. Notes report what is unknown: the
training rows, if the engine did not train the model or its training data are missing, as in a deployment; or that too
many training rows are equal to tell them apart.
"""

from __future__ import annotations  # keeps annotations with types of drift unevaluated: drift loads them lazily

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from engine import drift
from engine.data import Table, explain_read_errors, hash_table_rows, list_shared_columns
from engine.errors import ModelError
from engine.evaluation.advantages import RivalScores, compare_on_rows, fail_advantage, score_by_both
from engine.evaluation.observation import Observation, score_rows
from engine.evaluation.record import Evaluation, MetricValue
from engine.evaluation.snapshots.snapshot import load_snapshot_of
from engine.formatting.lists import join_words
from engine.models import FittedModel
from engine.models.spark_pairs import Columns
from engine.pipeline.context import BuildContext
from engine.pipeline.models import ModelHandle

Hashes = npt.NDArray[np.uint64]

MOST_REPEATED = 0.1
"""Largest share of duplicate training rows at which equal rows still count as the same row."""


@dataclass(frozen=True, slots=True)
class SeenRows:
    """The training rows in a batch, shape (rows,), and notes on them; None if there are none."""

    rows: npt.NDArray[np.bool_] | None = None
    notes: tuple[str, ...] = ()


def add_advantage(
    observed: Observation,
    champion: FittedModel,
    handles: tuple[ModelHandle, ModelHandle],
    table: Table,
    known: Mapping[str, drift.KnownColumn],
    confidence: float,
    context: BuildContext,
) -> Observation:
    """Return the measurements of a batch with the metrics of the challenger.

    Failures of the challenger do not prevent the evaluation of the champion: the metrics of the comparison then have no
    value, and their checks are ERROR.

    Parameters
    ----------
    handles
        The champion, loaded as `champion`, and the challenger.
    table
        The measured batch.
    known
        The known types and roles of the reference's columns.
    """
    _, challenger = handles
    if observed.snapshot.unscored:
        why = f"{champion.name} has not scored the rows: {observed.snapshot.unscored}"
        return replace(observed, advantage=fail_advantage(champion.task, why))
    labelled = bool(observed.snapshot.performance["labelled_share"].value)  # without a label, nothing is compared
    trained = _list_training_rows(table, handles) if labelled else []
    hashed = dict.fromkeys(columns for one in trained for columns in (one.shared, *one.entity))
    try:
        model = challenger.load(table, context, champion.known_classes)
        both = score_by_both(champion, model, table, observed.scored, known, list(hashed))
        seen = find_seen_rows(handles, trained, both) if labelled else SeenRows()
        metrics, notes = compare_on_rows(
            champion,
            model,
            table,
            both.scored,
            seen=seen.rows,
            cost_matrix=context.project.models[champion.name].cost_matrix,
            confidence=confidence,
        )
    except ModelError as error:
        why = f"challenger {challenger.name} cannot be compared: {error}"
        return replace(observed, advantage=fail_advantage(champion.task, why), notes=(*observed.notes, why))
    return replace(observed, advantage=metrics, notes=(*observed.notes, *notes, *seen.notes))


def measure_challenger(
    evaluated: Evaluation,
    champion: FittedModel,
    handles: tuple[ModelHandle, ModelHandle],
    table: Table,
    known: Mapping[str, drift.KnownColumn],
    confidence: float,
    context: BuildContext,
) -> tuple[Mapping[str, MetricValue], Sequence[str]]:
    """Return the metrics and notes of the challenger, for a batch whose other numbers are known.

    Parameters
    ----------
    evaluated
        The evaluation of the same batch without a challenger.
    handles, table, known
        See `add_advantage`.
    """
    snapshot = load_snapshot_of(evaluated, context.store.evaluations.folder_of(evaluated.id))
    scored = None
    if table.spark is None:
        with explain_read_errors(table):
            alignment = drift.align_columns(table.frame, known, side=f"dataset {table.name!r}")
            scored, _ = score_rows(champion, table, alignment)
    measured = Observation(evaluated.rows_read, snapshot, scored)
    measured = add_advantage(measured, champion, handles, table, known, confidence, context)
    return measured.advantage, measured.notes


@dataclass(frozen=True, slots=True)
class TrainingRows:
    """The training rows of a model, its held-out rows, and the columns that identify them in a batch.

    Attributes
    ----------
    name
        The name of the model.
    shared
        The columns that the batch has too.
    entity
        The entity of the batch, as the only column; empty if the training data do not have it.
    """

    name: str
    training: Table
    test: Table
    shared: Columns
    entity: tuple[Columns, ...]


def _list_training_rows(batch: Table, handles: Sequence[ModelHandle]) -> list[TrainingRows]:
    found = []
    for handle in handles:
        training = handle.training.table if handle.training else None
        if training is not None and handle.test is not None:
            shared = tuple(list_shared_columns(batch, training))
            entity = ((batch.entity,),) if batch.entity in shared and batch.entity else ()
            found.append(TrainingRows(handle.name, training, handle.test, shared, entity))
    return found


def find_seen_rows(handles: Sequence[ModelHandle], trained: Sequence[TrainingRows], batch: RivalScores) -> SeenRows:
    """Return the rows of a batch on which one of the models was trained.

    Raises
    ------
    DataError
        The training data of a model cannot be read.
    """
    known = [one.name for one in trained]
    unknown = [one.name for one in handles if one.name not in known]
    notes = []
    if unknown:
        who = f"model {unknown[0]} was" if len(unknown) == 1 else f"models {join_words(unknown)} were"
        notes.append(f"it is unknown which rows {who} trained on: they may be among those compared")
    rows: npt.NDArray[np.bool_] | None = None
    for one in trained:
        found = _find_rows_seen_by(one, batch)
        notes += found.notes
        if found.rows is not None:
            rows = found.rows if rows is None else rows | found.rows
    return SeenRows(rows, tuple(notes))


def _find_rows_seen_by(model: TrainingRows, batch: RivalScores) -> SeenRows:
    columns_of_test = list_shared_columns(model.test, model.training)
    hashes, tested, *of_entity = hash_table_rows(model.training, model.shared, columns_of_test, *model.entity)
    trained = ~_find_held_out(tested, *hash_table_rows(model.test, columns_of_test))
    _, times = np.unique(hashes, return_counts=True)
    repeated = 1 - int((times == 1).sum()) / max(len(hashes), 1)
    seen = np.isin(batch.hashes[model.shared], hashes[trained])
    entities = [one[trained] for one in of_entity]
    if not seen.any():
        return SeenRows(notes=_describe_known_entities(model, entities, batch, seen))
    if repeated > MOST_REPEATED:
        note = (
            f"{int(seen.sum()):,} of {len(seen):,} rows are equal to rows that model {model.name} was trained on, but "
            "so many rows of its data are equal that this does not show them to be the same: they are compared; a "
            "column that identifies a row, such as a number or a time, would tell"
        )
        return SeenRows(notes=(note,))
    return SeenRows(seen, _describe_known_entities(model, entities, batch, seen))


def _find_held_out(rows: Hashes, held: Hashes) -> npt.NDArray[np.bool_]:
    """Return for each row of the training data whether it was held out, shape (rows,), from the hashes of both.

    Held-out rows are kept with only the columns of the model. If more rows equal them than were held out, all of these
    count as training rows.
    """
    known, place, times = np.unique(rows, return_inverse=True, return_counts=True)
    kept, times_kept = np.unique(held, return_counts=True)
    at = np.minimum(np.searchsorted(kept, known), max(len(kept) - 1, 0))
    is_held = (kept[at] == known) & (times_kept[at] >= times) if len(kept) else np.zeros(len(known), bool)
    return np.asarray(is_held[place])


def _describe_known_entities(
    model: TrainingRows, entities: Sequence[Hashes], batch: RivalScores, seen: npt.NDArray[np.bool_]
) -> tuple[str, ...]:
    """Return a note on how many other rows belong to entities in the training data; nothing if there are none."""
    for (entity,), of_training in zip(model.entity, entities, strict=True):
        named = batch.scored[0][entity].is_not_null().to_numpy()
        known = int((np.isin(batch.hashes[entity,], of_training) & named & ~seen).sum())
        if known:
            note = (
                f"{known:,} of {len(seen):,} rows are new to model {model.name}, but it was trained on other rows of "
                f"the same {entity}: it may look better than on others"
            )
            return (note,)
    return ()
