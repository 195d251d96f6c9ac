"""Estimated performance in a store: real data, the real store, from the spec to the report."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

import engine
from engine.evaluation.record import Evaluation
from engine.outcome import CheckOutcome
from engine.spec import load
from engine.store import Store
from engine.views.evaluation_view import describe_evaluation
from engine.views.facts import EvaluationFacts
from engine.views.report import render_page

SPEC = """
datasets:
  past: {path: past.parquet, entity: card}
  batch: {path: batch.parquet, entity: card}
models:
  binary:
    kind: scored
    task: binary_classification
    target: y
    positive: 1
    probability: p
    features: {include: [x, z]}
  numbers: {kind: scored, task: regression, target: amount, prediction: guess, features: {include: [x, z]}}
  classes:
    kind: scored
    task: multiclass_classification
    target: kind
    probability: {a: pa, b: pb, c: pc}
    features: {include: [x, z]}
evaluation_stores:
  s:
    model: MODEL
    dataset: batch
    evaluation: {name: "${name}"}
    reference: {kind: dataset, dataset: past}
    estimates: auto
    drift: {max_rows: 4000}
variables: {name: batch}
"""


def draw(n: int, *, seed: int = 0, shift: float = 0.0, change: float = 0.0, labelled: float = 1.0) -> pl.DataFrame:
    """Draw rows with two covariates, of which the model's score sees one; labels depend on both, and on the card."""
    rng = np.random.default_rng(seed)
    x, z = rng.normal(size=n), rng.normal(size=n) + shift
    logit = 1.5 * x + 1.0 * z - 1
    y = (rng.random(n) < 1 / (1 + np.exp(-(logit + change * x)))).astype(int)
    p = 1 / (1 + np.exp(-1.2 * (1.5 * x - 0.8)))
    known = rng.random(n) < np.clip(labelled * (0.4 + 1.2 * (1 - p)), 0, 1) if labelled < 1 else np.ones(n, bool)
    guess = 20 + 3 * x
    amount = guess + rng.normal(size=n) * np.exp(0.5 * z) + change * x
    weights = np.exp(np.stack([x, 0.5 * z, np.zeros(n)], axis=1))
    shares = weights / weights.sum(axis=1, keepdims=True)
    kind = (shares.cumsum(axis=1) < rng.random(n)[:, None]).sum(axis=1)
    frame = pl.DataFrame(
        {
            "x": x,
            "z": z,
            "card": rng.integers(0, n // 3, n),
            "y": y,
            "p": p,
            "amount": amount,
            "guess": guess,
            "kind": np.array(["a", "b", "c"])[np.minimum(kind, 2)],
            "pa": shares[:, 0],
            "pb": shares[:, 1],
            "pc": 1 - shares[:, 0] - shares[:, 1],
        }
    )
    return frame.with_columns(pl.when(pl.Series(known)).then(name).alias(name) for name in ("y", "amount", "kind"))


@pytest.fixture
def store(tmp_path: Path, spec: Callable[[str], Path], run: Callable[..., object]) -> Callable[..., Evaluation]:
    """Return a function that evaluates a batch against 4,000 rows of the past."""
    draw(4000).write_parquet(tmp_path / "past.parquet")

    def evaluate(batch: pl.DataFrame | None, model: str = "binary", **changes: str) -> Evaluation:
        if batch is not None:
            batch.write_parquet(tmp_path / "batch.parquet")
        written = SPEC.replace("MODEL", model)
        for old, new in changes.items():
            written = written.replace(f"    {old}: ", f"    {new}")
        spec(written)
        run()
        with Store.open(tmp_path / ".engine" / "test") as opened:
            newest = opened.evaluations.find_newest("s")
            assert newest is not None
            return opened.evaluations.get(newest.id)

    return evaluate


def values(found: Evaluation) -> dict[str, float]:
    """Return the metrics of an evaluation that have a value."""
    return {name: one.value for name, one in found.metrics.items() if one.value is not None}


def real_metrics(store: Callable[..., Evaluation], batch: pl.DataFrame, model: str = "binary") -> dict[str, float]:
    """Return the metrics that a batch has once all labels are there."""
    return values(store(batch, model))


@pytest.mark.parametrize("model", ["binary", "numbers", "classes"])
def test_performance_of_a_batch_without_labels_is_estimated_and_later_shown_beside_the_real_one(
    store: Callable[..., Evaluation], model: str
) -> None:
    batch = draw(3000, seed=1)
    blind = store(batch.with_columns(y=None, amount=None, kind=None), model)
    assert blind.performance.estimate is not None
    assert blind.performance.estimate.method == "calibrated"
    assert blind.metrics["estimate_contradicted"].reason == "no labels"
    seen = store(batch, model)
    estimated = {name: one for name, one in blind.metrics.items() if name.startswith("estimated_")}
    assert len(estimated) == {"binary": 13, "numbers": 5, "classes": 14}[model]
    for name, one in estimated.items():
        real = seen.metrics[name.removeprefix("estimated_")].value
        assert None not in (one.value, one.low, one.high), (name, one.reason)
        assert one.low - 0.3 * (one.high - one.low) <= real <= one.high + 0.3 * (one.high - one.low), name
        # once all labels are there, the estimate is still the one that was made without them
        assert seen.metrics[name].value == pytest.approx(one.value, rel=1e-9)
    assert seen.metrics["estimate_contradicted"].value == 0
    assert not any("contradict" in note for note in seen.notes)


@pytest.mark.slow
def test_the_reference_is_weighted_if_the_covariates_have_moved(store: Callable[..., Evaluation]) -> None:
    batch = draw(4000, seed=2, shift=1.0)
    blind = store(batch.with_columns(y=None))
    assert blind.performance.estimate is not None
    assert blind.performance.estimate.method == "reweighted"
    assert blind.metrics["estimate_effective_rows"].value < 1500
    plain = store(batch.with_columns(y=None), estimates="estimates: calibrated #")
    assert plain.performance.estimate is not None
    assert plain.performance.estimate.method == "calibrated"
    real = real_metrics(store, batch)
    for name in ("accuracy", "recall", "log_loss"):
        weighted, calibrated = (one.find_value(f"estimated_{name}") for one in (blind, plain))
        assert abs(weighted - real[name]) < abs(calibrated - real[name]) / 2, name


def test_some_labels_correct_the_estimate_and_tell_that_the_concept_has_changed(
    store: Callable[..., Evaluation],
) -> None:
    whole, partly = draw(4000, seed=3, change=-1.4), draw(4000, seed=3, change=-1.4, labelled=0.5)
    found = store(partly)
    assert found.performance.estimate is not None
    assert found.performance.estimate.method == "prediction-powered"
    assert found.performance.estimate.labelled == partly["y"].is_not_null().sum()
    assert found.metrics["estimate_contradicted"].value == 1
    (note,) = [note for note in found.notes if "contradict" in note]
    assert "was to be expected" in note
    real = real_metrics(store, whole)
    for name in ("accuracy", "roc_auc", "log_loss"):
        one = found.metrics[f"estimated_{name}"]
        assert one.low <= real[name] <= one.high, name


@pytest.mark.slow
def test_every_kind_of_reference_serves_and_says_why_it_does_not(store: Callable[..., Evaluation]) -> None:
    rolling = {"reference": "reference: {kind: rolling, last: 2} #"}
    first = store(draw(1500, seed=4), **rolling)
    assert "its own reference" in str(first.metrics["estimated_roc_auc"].reason)
    assert first.metrics["estimated_roc_auc"].counts_as_ok
    for seed in (5, 6):
        store(draw(1500, seed=seed), **rolling)
    third = store(draw(1500, seed=7).with_columns(y=None), **rolling)
    assert third.performance.estimate is not None
    assert third.performance.estimate.reference_rows == 3000
    named = store(
        draw(1500, seed=8).with_columns(y=None),
        reference="reference: {kind: evaluation, name: batch} #",
        evaluation="evaluation: {name: later} #",
    )
    # the newest evaluation of that name has no labels
    assert "no row of the reference has a label" in str(named.metrics["estimated_roc_auc"].reason)


def test_a_reference_that_was_measured_before_has_no_rows_to_estimate_from(store: Callable[..., Evaluation]) -> None:
    rolling = {"reference": "reference: {kind: rolling, last: 1} #"}
    store(draw(1500, seed=4), estimates="description: without #", **rolling)
    found = store(draw(1500, seed=5), **rolling)
    assert found.metrics["estimated_accuracy"].value is None
    assert "before the store declared `estimates`; evaluate it again" in str(found.metrics["estimated_accuracy"].reason)


def test_a_store_without_estimates_is_as_it_was(store: Callable[..., Evaluation]) -> None:
    found = store(draw(1000, seed=9), estimates="description: nothing #")
    assert not [name for name in found.metrics if name.startswith("estimate")]
    assert found.performance.estimate is None
    with_estimates = store(draw(1000, seed=9))
    same = {name: one for name, one in with_estimates.metrics.items() if not name.startswith("estimate")}
    assert same == found.metrics


@pytest.mark.slow
def test_the_order_of_the_rows_does_not_matter(store: Callable[..., Evaluation], tmp_path: Path) -> None:
    batch = draw(2000, seed=10, labelled=0.5, shift=0.6)
    found = values(store(batch))
    for name in ("past", "batch"):
        path = tmp_path / f"{name}.parquet"
        pl.read_parquet(path).sample(fraction=1, shuffle=True, seed=1).write_parquet(path)
    again = values(store(None))
    assert {name: again[name] for name in found if name.startswith("estimate")} == pytest.approx(
        {name: value for name, value in found.items() if name.startswith("estimate")}, rel=1e-9
    )


def test_a_check_of_an_estimate_is_not_one_of_the_metric(store: Callable[..., Evaluation], tmp_path: Path) -> None:
    checks = """
    checks:
      estimate: {metric: estimated_roc_auc, soft_min: 0.6, certain: true}
      real: {metric: roc_auc, soft_min: 0.6}
      labels: {metric: estimate_contradicted, soft_max: 0}
"""
    store(draw(2000, seed=11).with_columns(y=None), drift=f"{checks.strip()}\n    drift: ")
    project = engine.load(tmp_path / "project.yaml", {}, environ={})
    found = {one.check: one for one in project.store("s").check()}
    assert found["estimate"].outcome is CheckOutcome.OK
    assert (found["real"].outcome, found["real"].counts_as) == (CheckOutcome.EMPTY, CheckOutcome.OK)
    assert (found["labels"].outcome, found["labels"].counts_as) == (CheckOutcome.EMPTY, CheckOutcome.OK)


def test_estimates_are_shown_compared_and_reported(store: Callable[..., Evaluation], tmp_path: Path) -> None:
    store(draw(2000, seed=12), reference="reference: {kind: rolling, last: 1} #")
    found = store(draw(2000, seed=13, change=-1.4, labelled=0.5), reference="reference: {kind: rolling, last: 1} #")
    shown = engine.load(tmp_path / "project.yaml", {}, environ={}).store("s")
    table = shown.estimates()
    assert table["metric"][0] == "accuracy"
    assert table.filter(pl.col("estimated").is_not_null())["low"].null_count() == 0
    assert table["realised"].null_count() == 0
    against = shown.compare("batch", "dataset:past")
    assert against.performance.estimate is not None
    assert against.performance.estimate.reference_rows == 4000
    assert against.find_value("estimated_accuracy") == pytest.approx(found.find_value("estimated_accuracy"), abs=0.05)
    project = load(tmp_path / "project.yaml", {}, environ={})
    facts = EvaluationFacts(
        evaluation=found, project=project.name, dataset="batch", checks=(), history={}, displayed=(), spec=""
    )
    view = describe_evaluation(facts)
    assert view.estimates is not None
    assert "prediction-powered" in view.estimates.sentence
    assert view.estimates.verdict.startswith("The labels contradict the estimate: ")
    assert view.estimates.verdict in view.summary.model[-1]
    page = render_page(view)
    assert "Estimated performance" in page
    assert "An estimate does not see" in page


@pytest.mark.slow
@pytest.mark.parametrize(
    "batch",
    [
        SimpleNamespace(name="no row", frame=draw(50).head(0)),
        SimpleNamespace(name="one row", frame=draw(50).head(1)),
        SimpleNamespace(name="few rows", frame=draw(50).head(15)),
        SimpleNamespace(name="no score", frame=draw(500, seed=1).with_columns(p=pl.lit(None, pl.Float64))),
        SimpleNamespace(name="some NaN", frame=draw(500, seed=1).with_columns(p=pl.when(pl.col("x") > 0).then("p"))),
        SimpleNamespace(name="constant", frame=draw(500, seed=1).with_columns(p=pl.lit(0.5))),
        SimpleNamespace(name="one class", frame=draw(500, seed=1).with_columns(y=pl.lit(1))),
        SimpleNamespace(name="one card", frame=draw(500, seed=1).with_columns(card=pl.lit(1))),
        SimpleNamespace(name="no card", frame=draw(500, seed=1).with_columns(card=pl.lit(None, pl.Int64))),
    ],
    ids=lambda one: one.name,
)
def test_odd_batches_give_a_number_or_a_reason(store: Callable[..., Evaluation], batch: SimpleNamespace) -> None:
    found = store(batch.frame)
    for name, one in found.metrics.items():
        if name.startswith("estimate"):
            assert (one.value is None) <= bool(one.reason), name
            assert one.value is None or np.isfinite(one.value), name
            assert (one.low is None) == (one.high is None)


def test_a_model_that_gives_every_row_the_same_score_is_bad_for_certain(store: Callable[..., Evaluation]) -> None:
    """Its area is 0.5 whatever the labels are, so `certain` checks of it see an interval of that one value."""
    batch = draw(1000, seed=4).with_columns(p=pl.lit(0.3))
    blind = store(batch.with_columns(y=pl.lit(None, pl.Int64))).metrics["estimated_roc_auc"]
    assert (blind.low, blind.value, blind.high) == (0.5, 0.5, 0.5)
    seen = store(batch).metrics
    assert (seen["roc_auc"].low, seen["roc_auc"].high) == (0.5, 0.5)
    change = seen["performance_change.roc_auc"]
    assert change.high is not None
    assert change.high < -0.2
