"""Which evaluations of a store are asked for, as conditions of a query."""

from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, exists, or_, select

from engine.evaluation.record import Evaluation, Fingerprints
from engine.store.tables import evaluation_metrics, evaluations


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationFilter:
    """The evaluations that meet all of these conditions; None: whatever it is.

    Attributes
    ----------
    name
        Its name.
    called
        Names and ids, of which it has one.
    fingerprints
        All of its fingerprints.
    before
        The id of an evaluation that was stored later.
    created_before
        The moment before which it was made.
    other_dataset_than
        A fingerprint that its batch does not have.
    usable
        Whether its batch has rows, so that it can be a reference; one without metrics was only simulated by a plan, and
        counts as if it had some.
    """

    name: str | None = None
    called: Collection[str] | None = None
    fingerprints: Fingerprints | None = None
    before: str | None = None
    created_before: datetime | None = None
    other_dataset_than: str | None = None
    usable: bool = False

    def build_conditions(self, store: str) -> list[ColumnElement[bool]]:
        """Return the conditions on rows of the table of evaluations, of the store that they are asked of."""
        of, found = evaluations.c, []
        if self.name is not None:
            found.append(of.name == self.name)
        if self.called is not None:
            # A union, of which each part has its index: for either condition, all rows would be read.
            named = select(of.number).where(of.store == store, of.name.in_(self.called))
            found.append(of.number.in_(named.union(select(of.number).where(of.id.in_(self.called)))))
        if self.fingerprints is not None:
            found += [of[f"{part}_fingerprint"] == value for part, value in asdict(self.fingerprints).items()]
        if self.before is not None:
            later = evaluations.alias("later")
            found.append(of.number < select(later.c.number).where(later.c.id == self.before).scalar_subquery())
        if self.created_before is not None:
            found.append(of.created < self.created_before)
        if self.other_dataset_than is not None:
            found.append(of.dataset_fingerprint != self.other_dataset_than)
        if self.usable:
            found.append(or_(of.rows_read > 0, ~exists().where(evaluation_metrics.c.evaluation == of.number)))
        return found

    def accepts(self, evaluation: Evaluation) -> bool:
        """Return whether an evaluation that is not stored, and is newer than all that are, meets the conditions."""
        return (
            self.before is None
            and self.name in (None, evaluation.name)
            and (self.called is None or bool({evaluation.name, evaluation.id} & set(self.called)))
            and self.fingerprints in (None, evaluation.fingerprints)
            and (self.created_before is None or evaluation.created < self.created_before)
            and self.other_dataset_than != evaluation.fingerprints.dataset
            and (not self.usable or evaluation.rows_read > 0 or not evaluation.metrics)
        )
