"""Filters for the evaluations of a store, as conditions of a query."""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, exists, func, or_, select, tuple_

from engine.evaluation.record import Evaluation, EvaluationTime, Fingerprints
from engine.store.tables import evaluation_metrics, evaluations

HISTORY_ORDER = (evaluations.c.timed, evaluations.c.time_start, evaluations.c.number)
"""The order of the history of a store: by time; evaluations without a declared time come first."""


DESCRIPTIONS = {
    "model": "model",
    "version": "model_version",
    "run": "run",
    "release": "release",
    "deployment": "origin",
}
"""The columns that describe an evaluation, by their names in filters; any other name is a label."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationFilter:
    """Selects the evaluations that meet all conditions; a condition that is None is not applied.

    Evaluations that were pulled from a deployment are a separate history: the filter selects one origin, unless
    `any_origin` is set.

    Attributes
    ----------
    name
        The exact name.
    called
        Names and ids; one of them must match.
    fingerprints
        All fingerprints must be equal.
    model, dataset
        The fingerprint of the model, or of the batch.
    part_of_name
        A text that the name contains, without regard to case.
    described
        Required values, by label or by a name of `DESCRIPTIONS`.
    before
        The id of an evaluation; only earlier ones in the history of the store are selected.
    not_before
        The id of an evaluation; only this one and later ones are selected.
    earlier_than
        A declared time; only evaluations that start before its start are selected.
    moment_before, moment_since
        The time must start before this moment, or at it or later.
    at, not_at
        The declared time must be equal to this one, or different.
    other_dataset_than
        The fingerprint of the batch must be different from this one.
    run
        The id of the run that made the evaluation.
    rows
        The number of rows that the batch had.
    usable
        Whether to select only evaluations that can be a reference: the batch has rows, and the files are kept. An
        evaluation without metrics was simulated by a plan and counts as usable.
    superseded
        Whether to include superseded evaluations.
    origin
        The deployment that the evaluation was pulled from; None for evaluations made in this state.
    any_origin
        Whether to include every origin.
    """

    name: str | None = None
    called: Collection[str] | None = None
    fingerprints: Fingerprints | None = None
    model: str | None = None
    dataset: str | None = None
    part_of_name: str | None = None
    described: Mapping[str, str] = field(default_factory=dict)
    before: str | None = None
    not_before: str | None = None
    earlier_than: EvaluationTime | None = None
    moment_before: datetime | None = None
    moment_since: datetime | None = None
    at: EvaluationTime | None = None
    not_at: EvaluationTime | None = None
    other_dataset_than: str | None = None
    run: str | None = None
    rows: int | None = None
    usable: bool = False
    superseded: bool = False
    origin: str | None = None
    any_origin: bool = False

    def build_conditions(self, store: str) -> list[ColumnElement[bool]]:
        """Return the conditions on rows of the table of evaluations, for one store."""
        of = evaluations.c
        found: list[ColumnElement[bool]] = []
        if not self.superseded:
            found.append(of.superseded_by.is_(None))
        has_own_index = (self.name, self.fingerprints, self.dataset) != (None, None, None)
        if not self.any_origin and has_own_index:
            found.append(read_origin() == (self.origin or ""))
        elif not self.any_origin:
            found.append(of.origin.is_(None) if self.origin is None else of.origin == self.origin)
        if self.name is not None:
            found.append(of.name == self.name)
        if self.called is not None:
            # A union, because each of its parts uses an index; with OR, all rows would be read.
            named = select(of.number).where(of.store == store, of.name.in_(self.called))
            found.append(of.number.in_(named.union(select(of.number).where(of.id.in_(self.called)))))
        if self.fingerprints is not None:
            found += [of[f"{part}_fingerprint"] == value for part, value in asdict(self.fingerprints).items()]
        if self.model is not None:
            found.append(of.model_fingerprint == self.model)
        if self.dataset is not None:
            found.append(of.dataset_fingerprint == self.dataset)
        if self.part_of_name is not None:
            found.append(func.lower(of.name).contains(self.part_of_name.lower(), autoescape=True))
        for key, value in self.described.items():
            found.append((of[DESCRIPTIONS[key]] if key in DESCRIPTIONS else of.labels[key].as_string()) == value)
        if self.before is not None:
            found.append(tuple_(*HISTORY_ORDER) < _find_place(self.before))
        if self.not_before is not None:
            found.append(tuple_(*HISTORY_ORDER) >= _find_place(self.not_before))
        if self.earlier_than is not None:
            found.append(or_(~of.timed, of.time_start < self.earlier_than.start))
        if self.moment_before is not None:
            found.append(of.time_start < self.moment_before)
        if self.moment_since is not None:
            found.append(of.time_start >= self.moment_since)
        if self.at is not None:
            found += [of.timed, of.time_start == self.at.start, of.time_end.is_not_distinct_from(self.at.end)]
        if self.not_at is not None:
            same_end = of.time_end.is_not_distinct_from(self.not_at.end)
            found += [of.timed, or_(of.time_start != self.not_at.start, ~same_end)]
        if self.other_dataset_than is not None:
            found.append(of.dataset_fingerprint != self.other_dataset_than)
        if self.run is not None:
            found.append(of.run == self.run)
        if self.rows is not None:
            found.append(of.rows_read == self.rows)
        if self.usable:
            found.append(of.files_removed.is_(None))
            found.append(or_(of.rows_read > 0, ~exists().where(evaluation_metrics.c.evaluation == of.number)))
        return found

    def accepts(self, evaluation: Evaluation) -> bool:
        """Return whether an evaluation that is not stored meets the conditions.

        Its place in the history is not known, so it never meets `before` or `not_before`.
        """
        time = evaluation.time
        return (
            self.before is None
            and self.not_before is None
            and (self.part_of_name or "").lower() in evaluation.name.lower()
            and all(_read_description(evaluation, key) == value for key, value in self.described.items())
            and (self.any_origin or self.origin == evaluation.origin)
            and self.name in (None, evaluation.name)
            and self.model in (None, evaluation.fingerprints.model)
            and self.dataset in (None, evaluation.fingerprints.dataset)
            and self.run in (None, evaluation.run)
            and self.rows in (None, evaluation.rows_read)
            and (self.earlier_than is None or time is None or time.start < self.earlier_than.start)
            and (self.at is None or _have_equal_times(time, self.at))
            and (self.not_at is None or (time is not None and not _have_equal_times(time, self.not_at)))
            and (self.called is None or bool({evaluation.name, evaluation.id} & set(self.called)))
            and self.fingerprints in (None, evaluation.fingerprints)
            and (self.moment_before is None or evaluation.moment < self.moment_before)
            and (self.moment_since is None or evaluation.moment >= self.moment_since)
            and self.other_dataset_than != evaluation.fingerprints.dataset
            and (not self.usable or evaluation.rows_read > 0 or not evaluation.metrics)
        )


def read_origin() -> ColumnElement[str]:
    """Return the origin as a text, which is empty for evaluations made in this state.

    For queries that another condition, such as a name, makes selective: without statistics, SQLite might choose an
    index that begins with the origin and read the whole history. A computed expression has no index.
    """
    return func.coalesce(evaluations.c.origin, "")


def _read_description(evaluation: Evaluation, key: str) -> str | None:
    found: str | None = getattr(evaluation, DESCRIPTIONS[key]) if key in DESCRIPTIONS else evaluation.labels.get(key)
    return found


def _find_place(id_: str) -> ColumnElement[Any]:
    """Return the place of an evaluation in the history as a tuple of SQL values."""
    other = evaluations.alias("other")
    columns = (other.c[column.name] for column in HISTORY_ORDER)
    return tuple_(*(select(column).where(other.c.id == id_).scalar_subquery() for column in columns))


def _have_equal_times(first: EvaluationTime | None, second: EvaluationTime) -> bool:
    return first is not None and (first.start, first.end) == (second.start, second.end)
