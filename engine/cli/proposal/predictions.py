"""Find the columns with a model's predictions, by their names, their values and the classes of the target."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from engine.models.classes import ClassValue, encode_classes, label_of

_PREDICTION_WORDS = r"(y[_. ]?hat|(y[_. ]?)?(pred(ict(ed|ions?)?)?s?|prob(a|s|as|abilit(y|ies))?))"
_PREDICTION_NAME = re.compile(
    rf"{_PREDICTION_WORDS}([\W_].*)?|.*[\W_](pred(icted|ictions?)?|prob(a|ability)?)", re.IGNORECASE | re.DOTALL
)


@dataclass(frozen=True, slots=True)
class PredictionColumns:
    """The columns of a model's predictions: its decisions, and its probabilities (one column, or one per class).

    `positive` is the class of the probability that the user has named, if the column's name contains it.
    """

    prediction: str | None
    probability: str | Mapping[str, str] | None
    positive: ClassValue | None = None

    @property
    def names(self) -> list[str]:
        """Return the names of the columns."""
        several = self.probability if isinstance(self.probability, Mapping) else {}
        one = self.probability if isinstance(self.probability, str) else None
        return [*filter(None, (self.prediction, one)), *several.values()]


def is_named_like_prediction(name: str) -> bool:
    """Return whether a column is named like a prediction: `y_pred`, `y_pred_proba_yes`, `predicted`, `price_pred`."""
    return _PREDICTION_NAME.fullmatch(name) is not None


def find_prediction_columns(
    frame: pl.DataFrame, classes: Sequence[ClassValue], named: str, *, binary: bool
) -> PredictionColumns:
    """Return the prediction columns of a classification.

    Parameters
    ----------
    frame
        The column named by the user, and all others that may be predictions.
    named
        The column named by the user: classes, a probability, or the probability of one class.
    """
    by_class = {
        prefix: group
        for prefix, group in _group_by_class([c for c in frame.columns if _is_share(frame[c])], classes).items()
        if is_named_like_prediction(prefix.rstrip("_. -") or prefix) or named in group.values()
    }
    whole = {prefix: group for prefix, group in by_class.items() if len(group) == len(classes)}
    own = next((group for group in by_class.values() if named in group.values()), None)
    positive = next((one for one in classes if binary and own and own.get(label_of(one)) == named), None)
    if own is not None and len(own) == len(classes):
        return PredictionColumns(_find_decisions(frame, classes, named), own, positive)
    if not _holds_classes(frame[named], classes) and binary and _is_share(frame[named]):
        return PredictionColumns(None, named, positive)
    if binary:
        single = [c for c in (f"{named}_proba", f"{named}_prob", f"{named}_probability") if c in frame.columns]
        if not whole and len(single) == 1 and _is_share(frame[single[0]]):
            return PredictionColumns(named, single[0])
    ours = {prefix: group for prefix, group in whole.items() if prefix.startswith(named)} or whole
    return PredictionColumns(named, next(iter(ours.values())) if len(ours) == 1 else None)


def _group_by_class(columns: Sequence[str], classes: Sequence[ClassValue]) -> dict[str, dict[str, str]]:
    """Return the columns whose names end with a class, by the prefix: {"proba_": {"yes": "proba_yes"}}."""
    found: dict[str, dict[str, str]] = {}
    for one in classes:
        texts = {_simplify(label_of(one))} | ({_simplify(str(one))} if isinstance(one, bool) else set())
        for name in columns:
            simple = _simplify(name)
            for text in texts:
                if text and simple.endswith(f"_{text}"):
                    found.setdefault(simple[: -len(text)], {}).setdefault(label_of(one), name)
    # If one class ends with another, such as `prime_card` and `card`, both claim a column: the longer class wins.
    for prefix in sorted(found, key=len, reverse=True):
        for label, name in list(found[prefix].items()):
            if any(name in group.values() for other, group in found.items() if len(other) < len(prefix)):
                del found[prefix][label]
    return {prefix: group for prefix, group in found.items() if group}


def _simplify(name: str) -> str:
    """Return a name in lower case, with one underscore for each run of other characters than letters and digits."""
    return re.sub(r"[\W_]+", "_", name.casefold())


def _is_share(values: pl.Series) -> bool:
    """Return whether all present values are numbers from 0 to 1, and there is at least one."""
    if not values.dtype.is_numeric():
        return False
    present = values.cast(pl.Float64).fill_nan(None).drop_nulls()
    return present.len() > 0 and bool(present.is_between(0, 1).all())


def _holds_classes(values: pl.Series, classes: Sequence[ClassValue]) -> bool:
    """Return whether every value is a class of the target."""
    present = values.fill_nan(None) if values.dtype.is_float() else values
    return present.count() > 0 and not bool((encode_classes(present, classes) == -2).any())


def _find_decisions(frame: pl.DataFrame, classes: Sequence[ClassValue], named: str) -> str | None:
    """Return the only column of predicted classes besides those of probabilities; None if there is none, or several."""
    found = [
        c for c in frame.columns if c != named and is_named_like_prediction(c) and _holds_classes(frame[c], classes)
    ]
    return found[0] if len(found) == 1 else None
