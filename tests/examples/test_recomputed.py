"""Every number of one evaluation, again: from the raw rows, by scipy, scikit-learn or the plain formula, to 1e-9.

What rests on a random draw of the engine's own (the drift model, the p-value of the verdict) has no second way to be
computed; these few metrics are named below, and it is tested that they are all.
"""

import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import skops.io
from numpy.typing import NDArray
from scipy.spatial.distance import jensenshannon
from scipy.stats import chi2_contingency, hypergeom, ks_2samp, wasserstein_distance
from sklearn import metrics as sklearn_metrics
from threadpoolctl import threadpool_limits

from engine import drift
from engine.evaluation.record import Evaluation
from engine.store import Store

DRAWN = {"data_drift", "data_drift_auc", "data_drift_p", "data_drift_significant", "data_drift_low"}
QUANTILES = {"median": 0.5, "q05": 0.05, "q25": 0.25, "q75": 0.75, "q95": 0.95}
CARD = "card_id"

Numbers = NDArray[np.float64]
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Side:
    """Raw rows with what the model says of them."""

    rows: pl.DataFrame
    probability: Numbers

    def column(self, name: str) -> pl.Series:
        if name == "probability":
            return pl.Series(self.probability)
        if name == "prediction":
            return pl.Series((self.probability >= 0.5).astype(int))
        return self.rows[name]


@pytest.fixture(scope="module")
def evaluation(card_fraud: Path) -> Evaluation:
    with Store.open(card_fraud / ".engine" / "card_fraud") as state:
        newest = state.evaluations.find_newest("the_MES")
    assert newest is not None
    assert newest.name == "Q4 2017"
    return newest


@pytest.fixture(scope="module")
def sides(card_fraud: Path) -> tuple[Side, Side]:
    """The held-out cards of the first quarter and the fourth quarter, joined here, scored by the bare estimator."""
    with Store.open(card_fraud / ".engine" / "card_fraud") as state:
        version = state.models.find_newest("authorization")
    assert version is not None
    held_out = pl.read_parquet(version.folder / "test.parquet")
    facts = json.loads((version.folder / "model.json").read_text(encoding="utf-8"))
    model = skops.io.load(
        version.folder / "model.skops", trusted=skops.io.get_untrusted_types(file=version.folder / "model.skops")
    )

    def scored(rows: pl.DataFrame) -> Side:
        with threadpool_limits(limits=1):
            return Side(rows, model.predict_proba(np.column_stack(list(encoded(rows, facts["features"]))))[:, 1])

    return scored(held_out), scored(fourth_quarter(card_fraud))


def fourth_quarter(folder: Path) -> pl.DataFrame:
    sys.path.insert(0, str(folder))
    try:
        import card_fraud_data
    finally:
        sys.path.remove(str(folder))
    people = card_fraud_data.cardholders().select(CARD, card_fico_score="fico_score", card_age="age")
    trades = card_fraud_data.merchants().select("merchant_id", merchant_subsector="subsector")
    joined = card_fraud_data.transactions().join(people, on=CARD).join(trades, on="merchant_id")
    return joined.filter(pl.col("purchase_date").is_between(date(2017, 10, 1), date(2017, 12, 31)))


def encoded(rows: pl.DataFrame, features: list[Mapping[str, object]]) -> Iterator[Numbers]:
    for feature in features:
        values = rows[str(feature["name"])]
        if feature["role"] == "numerical":
            yield values.to_numpy().astype(float)
        else:
            place = {name: code for code, name in enumerate(feature["categories"])}
            assert not feature["others"]
            yield np.array([place.get(str(value), np.nan) for value in values.to_list()], float)


# Columns


def bins(reference: Numbers, batch: Numbers, of: Numbers | None = None) -> tuple[Counts, Counts]:
    """Tenths of the reference, or `of` other rows; a value that fills two of them or more has a bin of its own."""
    ordered = np.sort(reference if of is None else of)
    n = len(ordered)
    tenths = [ordered[-(-n * k // 10) - 1] for k in range(1, 10)]
    edges = sorted({*tenths, *(np.nextafter(v, -np.inf) for v in tenths if tenths.count(v) > 1)})
    r, b = (
        np.array([((side > low) & (side <= high)).sum() for low, high in pairwise([-np.inf, *edges, np.inf])])
        for side in (reference, batch)
    )
    return r, b


def categories(reference: pl.Series, batch: pl.Series) -> tuple[Counts, Counts]:
    often = Counter(reference.to_list()), Counter(batch.to_list())
    names = sorted(often[0] | often[1])
    return np.array([often[0][name] for name in names]), np.array([often[1][name] for name in names])


def distances(r: Counts, b: Counts) -> dict[str, float]:
    p, q = r / r.sum(), b / b.sum()
    some = (r > 0) | (b > 0)
    chi2 = chi2_contingency([r[some], b[some]], correction=False)
    pr, pb = np.where(r == 0, 0.5, r)[some], np.where(b == 0, 0.5, b)[some]
    pr, pb = pr / pr.sum(), pb / pb.sum()
    return {
        "psi": float(np.sum((pb - pr) * np.log(pb / pr))),
        "js": float(jensenshannon(p, q, base=2)),
        "hellinger": float(np.linalg.norm(np.sqrt(p) - np.sqrt(q)) / np.sqrt(2)),
        "total_variation": float(np.abs(p - q).sum() / 2),
        "chi2": float(chi2.statistic),
        "chi2_p": float(chi2.pvalue),
    }


def verdict(r: Counts, b: Counts) -> float:
    """The excess divergence of semantics: J less its mean over all exchanges of the labels."""
    n, m = int(r.sum()), int(b.sum())

    def part(k: Numbers, t: int) -> Numbers:
        p, q = k / n, (t - k) / m
        with np.errstate(divide="ignore", invalid="ignore"):
            terms = np.where(p > 0, p * np.log2(2 * p / (p + q)), 0) + np.where(q > 0, q * np.log2(2 * q / (p + q)), 0)
        return terms / 2

    chance = 0.0
    for t in (r + b)[(r + b) > 0]:
        labelled = hypergeom(n + m, t, n)
        reach = 15 * labelled.std() + 1  # beyond, all that is left is below 1e-40
        k = np.arange(max(0, t - m, int(labelled.mean() - reach)), min(t, n, int(labelled.mean() + reach)) + 1)
        chance += float(np.sum(labelled.pmf(k) * part(k.astype(float), int(t))))
    divergence = float(jensenshannon(r / n, b / m, base=2)) ** 2
    return float(np.sqrt(max(0.0, (divergence - chance) / (1 - chance))))


def column(reference: pl.Series, batch: pl.Series, role: str, significant: bool) -> dict[str, float]:
    """All statistics of a column without missing values."""
    rows = {"missing_share": 0.0, "reference_missing_share": 0.0, "missing_share_change": 0.0}
    if role == "categorical":
        r, b = categories(reference, batch)
        k, total = len(r), int((r + b).sum())
        phi2 = max(0.0, distances(r, b)["chi2"] / total - (k - 1) / (total - 1))
        small = min(2 - 1 / (total - 1), k - (k - 1) ** 2 / (total - 1)) - 1
        return {
            **rows,
            **distances(r, b),
            "l_infinity": float(np.abs(r / r.sum() - b / b.sum()).max()),
            "cramers_v": float(np.sqrt(phi2 / small)),
            "unseen_share": float(b[r == 0].sum() / b.sum()),
            "drift": verdict(r, b) if significant else 0.0,
        }
    x, y = (side.to_numpy().astype(float) for side in (reference, batch))
    wasserstein = float(wasserstein_distance(x, y))
    return {
        **rows,
        **distances(*bins(x, y)),
        "ks": float(ks_2samp(x, y, method="asymp").statistic),
        "wasserstein": wasserstein,
        "wasserstein_normed": wasserstein / float(x.std(ddof=1)),
        **{f"reference_{name}": value for name, value in moments(x).items()},
        **moments(y),
        "drift": verdict(*bins(x, y, of=np.concatenate([x, y]))) if significant else 0.0,
    }


def moments(x: Numbers) -> dict[str, float]:
    plain = {"mean": x.mean(), "std": x.std(ddof=1), "min": x.min(), "max": x.max()}
    return {name: float(value) for name, value in {**plain, **quantiles(x)}.items()}


def quantiles(x: Numbers) -> dict[str, float]:
    return {name: float(np.quantile(x, q)) for name, q in QUANTILES.items()}


def assert_equal(found: Mapping[str, float | None], expected: Mapping[str, float]) -> None:
    wrong = {
        name: (found[name], value)
        for name, value in expected.items()
        if found[name] is None or not np.isclose(found[name], value, rtol=1e-9, atol=1e-9)
    }
    assert not wrong


def values(evaluation: Evaluation, end: str) -> dict[str, float | None]:
    """The statistics of a column, or of what stands before the dot."""
    found = {name: metric.value for name, metric in evaluation.metrics.items()}
    return {name.removesuffix(f".{end}"): value for name, value in found.items() if name.endswith(f".{end}")}


def test_statistics_of_columns_are_those_recomputed(evaluation: Evaluation, sides: tuple[Side, Side]) -> None:
    reference, batch = sides
    assert set(evaluation.columns) == {
        *("purchase_amount", "merchant_category_id", "item_category", "signature_provided"),
        *("card_fico_score", "card_age", "merchant_subsector"),
    }
    for name, detail in evaluation.columns.items():
        found = values(evaluation, name)
        expected = column(reference.rows[name], batch.rows[name], detail.role, detail.significant)
        assert_equal(found, expected)
        assert set(found) - set(expected) == {"drift_low", "drift_p", "type_changed"} | (
            {"ks_p"} if detail.role == "numerical" else set()
        )


def test_p_values_rest_on_one_row_a_card(evaluation: Evaluation, sides: tuple[Side, Side]) -> None:
    """Which row of a card is the engine's choice; that it is one, and what follows from it, is not."""
    roles = {name: drift.Role(detail.role) for name, detail in evaluation.columns.items()}
    chosen = [drift.profile(side.rows, roles, entity=CARD) for side in sides]
    for name, detail in evaluation.columns.items():
        if detail.role != "numerical":
            continue
        x, y = (np.repeat(c.values, c.counts) for c in (p.columns[name].one_per_entity() for p in chosen))
        assert [len(x), len(y)] == [side.rows[CARD].n_unique() for side in sides]
        assert_equal(values(evaluation, name), {"ks_p": float(ks_2samp(x, y).pvalue)})


def test_drift_of_predictions_is_that_recomputed(evaluation: Evaluation, sides: tuple[Side, Side]) -> None:
    found = {name.removeprefix("prediction_drift."): m.value for name, m in evaluation.metrics.items()
             if name.startswith("prediction_drift.")}  # fmt: skip
    significant = (found["drift_p"] or 0) < 0.05
    expected = column(*(side.column("probability") for side in sides), "numerical", significant)
    assert_equal(found, expected)
    assert set(found) - set(expected) == {"drift_low", "drift_p", "ks_p"}
    for label in (0, 1):
        before, now = (float((side.column("prediction") == label).to_numpy().mean()) for side in sides)
        assert_equal(
            values(evaluation, str(label)),
            {"reference_predicted_share": before, "predicted_share": now, "fugacity": (now - before) / before},
        )


def performance(side: Side) -> dict[str, float]:
    known = side.rows["authorized_flag"].is_not_null().to_numpy()
    truth = side.rows["authorized_flag"].drop_nulls().to_numpy()
    probability = side.probability[known]
    predicted = (probability >= 0.5).astype(int)
    tenth = len(truth) / 10
    ranked = truth[np.argsort(-probability, kind="stable")]
    top = ranked[: int(tenth)].sum() + (tenth - int(tenth)) * ranked[int(tenth)]
    which = np.minimum((probability * 10).astype(int), 9)
    return {
        "labelled_share": float(known.mean()),
        "accuracy": sklearn_metrics.accuracy_score(truth, predicted),
        "precision": sklearn_metrics.precision_score(truth, predicted),
        "recall": sklearn_metrics.recall_score(truth, predicted),
        "f1": sklearn_metrics.f1_score(truth, predicted),
        "roc_auc": sklearn_metrics.roc_auc_score(truth, probability),
        "average_precision": sklearn_metrics.average_precision_score(truth, probability),
        "log_loss": sklearn_metrics.log_loss(truth, probability),
        "brier": sklearn_metrics.brier_score_loss(truth, probability),
        "mcc": sklearn_metrics.matthews_corrcoef(truth, predicted),
        "hamming_loss": sklearn_metrics.hamming_loss(truth, predicted),
        "lift": float(top / tenth / truth.mean()),
        "cost_matrix_gain": float(np.mean(predicted * np.where(truth == 1, 1, -1))),
        "calibration_error": sum(
            abs(truth[which == i].mean() - probability[which == i].mean()) * (which == i).mean() for i in set(which)
        ),
    }


def test_performance_and_its_change_are_those_recomputed(evaluation: Evaluation, sides: tuple[Side, Side]) -> None:
    before, now = (performance(side) for side in sides)
    found = {name: metric.value for name, metric in evaluation.metrics.items()}
    assert_equal(found, now)
    for name in now.keys() - {"labelled_share"}:
        assert_equal(
            {change: found[f"{change}.{name}"] for change in ("performance_change", "performance_change_relative")},
            {
                "performance_change": now[name] - before[name],
                "performance_change_relative": (now[name] - before[name]) / abs(before[name]),
            },
        )


def test_metrics_of_the_whole_batch_are_those_recomputed(evaluation: Evaluation, sides: tuple[Side, Side]) -> None:
    drifts = {name: metric.value or 0 for name, metric in evaluation.metrics.items() if name.startswith("drift.")}
    found = {name: metric.value for name, metric in evaluation.metrics.items()}
    moved = sum(value >= 0.1 for value in drifts.values())
    expected = {
        "row_count": float(sides[1].rows.height),
        "drifted_columns": moved,
        "drifted_share": moved / len(drifts),
        "prediction_missing_share": 0.0,
        "repeated_data": 0.0,
    }
    assert_equal(found, expected)
    whole = {name for name in found if "." not in name} - expected.keys() - performance(sides[1]).keys()
    estimated = {name for name in whole if name.startswith("estimate")}  # tests/models/test_estimates.py compares them
    assert whole - estimated == {*DRAWN, "labelled_drift"}
    assert 0 <= (found["labelled_drift"] or 0) <= 1  # tests/scenarios/test_labels.py compares it
    assert evaluation.metrics["data_drift"].p_value == found["data_drift_p"]
    assert found["data_drift_significant"] == ((found["data_drift_p"] or 0) < 0.05)
    assert 0.5 < (found["data_drift_low"] or 0) < (found["data_drift"] or 0)
    assert sum(evaluation.importance.drift.values()) == pytest.approx(1)
    by_importance = sorted(evaluation.importance.drift.items(), key=lambda item: item[1])
    assert {name for name, _ in by_importance[-2:]} == {"card_age", "card_fico_score"}
