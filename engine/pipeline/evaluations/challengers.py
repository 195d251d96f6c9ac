"""The challenger of an evaluation store: it is built like the model, and compared with it on rows new to both.

A model knows the rows that it was trained on, so nothing that it predicts for them tells how good it is. Rows of the
batch that are equal to such rows, in all columns that the batch shares with the training data, are left out of the
comparison. What cannot be known of a model is told: which rows it was trained on if the engine did not train it or its
training data are not there, as in a deployment; and where rows of these data are so often equal that they cannot be
told apart.
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
"""Share of the rows of the training data that may have an equal one, if equal rows are to count as the same row."""


@dataclass(frozen=True, slots=True)
class SeenRows:
    """The rows of a batch that a model was trained on, shape (rows,), and what must be said of them; None: no row."""

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
    """Return what was measured of a batch with the metrics of the challenger.

    Nothing that goes wrong with the challenger prevents the evaluation of the champion: the metrics of the comparison
    then have no value, and their checks are ERROR.

    Parameters
    ----------
    handles
        The champion, loaded as `champion`, and the challenger.
    table
        The batch, as it was measured.
    known
        What the reference knows of the columns.
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
    """Return the metrics of the challenger and the notes on it, for a batch whose other numbers are known.

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
    """The rows that a model was trained on, with its held-out rows, and what tells them in a batch.

    Attributes
    ----------
    name
        That of the model.
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
    """Return the rows of a batch that one of the models was trained on.

    Raises
    ------
    DataError
        The data that a model was trained on cannot be read.
    """
    known = [one.name for one in trained]
    unknown = [one.name for one in handles if one.name not in known]
    notes = []
    if unknown:
        who = f"model {unknown[0]} was" if len(unknown) == 1 else f"models {join_words(unknown)} were"
        notes.append(f"the engine does not know which rows {who} trained on: they may be among those compared")
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
    """Tell for each row of the training data whether it was held out, shape (rows,), from the hashes of both.

    Held-out rows are kept with the columns of the model alone. If more rows are equal in these than were held out, all
    of them count as trained on.
    """
    known, place, times = np.unique(rows, return_inverse=True, return_counts=True)
    kept, times_kept = np.unique(held, return_counts=True)
    at = np.minimum(np.searchsorted(kept, known), max(len(kept) - 1, 0))
    is_held = (kept[at] == known) & (times_kept[at] >= times) if len(kept) else np.zeros(len(known), bool)
    return np.asarray(is_held[place])


def _describe_known_entities(
    model: TrainingRows, entities: Sequence[Hashes], batch: RivalScores, seen: npt.NDArray[np.bool_]
) -> tuple[str, ...]:
    """Return how many of the other rows belong to entities of which a model has seen rows; nothing if none does."""
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
