"""The counts of a binary classifier at other thresholds, from its stored ROC curve and numbers of rows per class.

At a threshold with the rates (FPR, TPR), TPR · P of the P positive rows and FPR · N of the N negative ones are
predicted positive (Fawcett 2006, "An introduction to ROC analysis"). All else follows from these four counts.
"""

from dataclasses import dataclass
from itertools import pairwise

from engine.evaluation.detail import Histogram
from engine.evaluation.record import Evaluation

DENSITY_EDGES = tuple(tenth / 10 for tenth in range(1, 10))


@dataclass(frozen=True, slots=True)
class ThresholdRow:
    """The rows of each kind if rows are predicted positive from a threshold on; ratios with a zero divisor are None."""

    threshold: float
    true_positive: int
    false_positive: int
    false_negative: int
    true_negative: int

    @property
    def precision(self) -> float | None:
        """The share of positive rows among those predicted positive."""
        return _divide(self.true_positive, self.true_positive + self.false_positive)

    @property
    def recall(self) -> float | None:
        """The share of the positive rows that are predicted positive."""
        return _divide(self.true_positive, self.true_positive + self.false_negative)

    @property
    def f1(self) -> float | None:
        """The harmonic mean of precision and recall."""
        wrong = self.false_positive + self.false_negative
        return _divide(2 * self.true_positive, 2 * self.true_positive + wrong)

    @property
    def accuracy(self) -> float | None:
        """The share of the rows that are predicted correctly."""
        return _divide(self.true_positive + self.true_negative, self.rows)

    @property
    def rows(self) -> int:
        """All rows."""
        return self.true_positive + self.false_positive + self.false_negative + self.true_negative

    @property
    def selected(self) -> float | None:
        """The share of all rows that are predicted positive."""
        return _divide(self.true_positive + self.false_positive, self.rows)

    @property
    def lift(self) -> float | None:
        """The share of positives among the rows predicted positive, relative to that among all rows."""
        base = _divide(self.true_positive + self.false_negative, self.rows)
        return self.precision / base if base and self.precision is not None else None


@dataclass(frozen=True, slots=True)
class ThresholdView:
    """A classifier at all thresholds, from the highest to the lowest.

    `density` holds the shares of the negative rows (as reference) and of the positive rows (as batch) per tenth of the
    probability. `in_use` is the row nearest to the evaluation's confusion matrix.
    """

    positive: str
    rows: tuple[ThresholdRow, ...]
    in_use: ThresholdRow
    density: Histogram


def describe_thresholds(evaluation: Evaluation) -> ThresholdView | None:
    """Return a binary classifier at all thresholds; None without a ROC curve or a known positive class."""
    roc, matrix = evaluation.performance.roc, evaluation.performance.confusion_matrix
    positive = evaluation.facts.get("spec", {}).get("model", {}).get("positive")
    if roc is None or matrix is None or len(matrix.classes) != 2 or str(positive) not in matrix.classes:
        return None
    index = matrix.classes.index(str(positive))
    counts = matrix.rows_true_columns_predicted
    positives, negatives = sum(counts[index]), sum(counts[1 - index])
    rows = []
    for fpr, tpr, threshold in zip(roc.false_positive_rate, roc.true_positive_rate, roc.threshold, strict=True):
        if threshold is not None:
            found, mistaken = round(tpr * positives), round(fpr * negatives)
            rows.append(ThresholdRow(threshold, found, mistaken, positives - found, negatives - mistaken))
    if not rows:
        return None
    now = counts[index][index] + counts[1 - index][index]
    in_use = min(rows, key=lambda row: abs(row.true_positive + row.false_positive - now))
    return ThresholdView(str(positive), tuple(rows), in_use, _measure_density(rows, positives, negatives))


def _measure_density(rows: list[ThresholdRow], positives: int, negatives: int) -> Histogram:
    """Return the rows of both classes per tenth of the probability: the differences along the curve."""
    bins = [[0, 0] for _ in range(len(DENSITY_EDGES) + 1)]
    start = ThresholdRow(1.0, 0, 0, positives, negatives)
    end = ThresholdRow(0.0, positives, negatives, 0, 0)
    for before, after in pairwise([start, *rows, end]):
        found = bins[min(len(DENSITY_EDGES), int(after.threshold * 10))]
        found[0] += after.false_positive - before.false_positive
        found[1] += after.true_positive - before.true_positive
    return Histogram(edges=DENSITY_EDGES, reference=tuple(one for one, _ in bins), batch=tuple(one for _, one in bins))


def _divide(part: int, whole: int) -> float | None:
    return part / whole if whole else None
