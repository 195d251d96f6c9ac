"""Estimated performance: against its definitions written out naively, resampling, and how often it is right."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.models.estimation.calibration import choose_knots, fit_spline
from engine.models.estimation.contradictions import compare_with_labels
from engine.models.estimation.estimates import Rows, estimate_performance, fit_reference
from engine.models.estimation.expected_metrics import LOSSES, Expected, Predicted, iterate_expected
from engine.models.estimation.expected_outcomes import KnownRows, fit_outcomes
from engine.models.estimation.prediction_powered import correct_by_labels
from engine.models.estimation.reference_weights import LARGEST_WEIGHT, balance_weights, weigh_reference
from engine.models.metrics.classification import measure_multiclass
from engine.models.metrics.intervals import Units
from engine.models.metrics.regression import measure_regression

from .estimated_samples import GAINS, ROWS_PER_ENTITY, Sample, draw_rows, fold_of, learn, losses_of, measure


def draw_classes(
    rng: np.random.Generator, rows: int, classes: int = 4
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Draw probabilities of several classes, and the classes that they come to."""
    scores = rng.dirichlet(np.ones(classes), rows)
    truth = (scores.cumsum(axis=1) < rng.random(rows)[:, None]).sum(axis=1)
    return scores, np.minimum(truth, classes - 1)


def hats(scores: npt.NDArray[np.float64], knots: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the linear splines that are 1 at one knot and 0 at all others, shape (rows, knots)."""
    return np.stack([np.interp(scores, knots, one) for one in np.eye(len(knots))], axis=1)


def expect_naively(
    known: Sample, batch: Sample, weights: npt.NDArray[np.float64], knots: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return the probabilities of the second class by the normal equations, on whole matrices."""
    basis = hats(known.score, knots)
    normal = np.einsum("ni,n,nj->ij", basis, weights, basis) + 1e-6 * weights.sum() * np.eye(len(knots))
    at = np.linalg.solve(normal, np.einsum("ni,n->i", basis, weights * known.truth))
    return np.clip(hats(batch.score, knots) @ at, 0, 1)


def test_known_outcomes_give_the_metrics_themselves() -> None:
    sample = draw_rows(np.random.default_rng(1), 500)
    found = sample.as_rows().measure(sample.outcomes, np.zeros_like(sample.outcomes), np.ones(500))
    assert {name: one.value for name, one in iterate_expected(found)} == pytest.approx(measure(sample), rel=1e-9)
    scores, truth = draw_classes(np.random.default_rng(2), 400)
    predicted = scores.argmax(axis=1)
    of_classes, _, _ = measure_multiclass(truth, predicted, scores, list("abcd"), Units(400))
    rows = Rows("multiclass_classification", Predicted(predicted, scores), scores, Units(400), GAINS)
    found = rows.measure(np.eye(4)[truth], np.zeros((400, 4)), np.ones(400))
    assert {name: one.value for name, one in iterate_expected(found)} == pytest.approx(dict(of_classes), rel=1e-9)
    rng = np.random.default_rng(3)
    numbers, guesses = rng.gamma(3, 2, 300), rng.gamma(3, 2, 300)
    of_numbers, _, _ = measure_regression(numbers, guesses, Units(300))
    rows = Rows("regression", Predicted(guesses), guesses[:, None], Units(300), GAINS)
    found = rows.measure(losses_of(numbers, guesses), np.zeros((300, 4)), np.ones(300))
    assert len(found) == len(LOSSES) + 1
    assert {name: one.value for name, one in iterate_expected(found)} == pytest.approx(
        {name: of_numbers[name] for name in found}, rel=1e-9
    )


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_an_influence_is_the_derivative_of_the_metric(task: str) -> None:
    rng = np.random.default_rng(4)
    n, noise = 300, np.full((300, 4), 0.1)
    if task == "binary":
        rows, outcomes, noise = draw_rows(rng, n).as_rows(), rng.dirichlet([2, 1], n), np.full((n, 2), 0.0)
    elif task == "multiclass":
        scores, _ = draw_classes(rng, n)
        predicted = Predicted(scores.argmax(axis=1), scores)
        rows, outcomes = (
            Rows("multiclass_classification", predicted, scores, Units(n), GAINS),
            rng.dirichlet([1] * 4, n),
        )
        noise = np.zeros((n, 4))
    else:
        guesses = rng.gamma(3, 2, n)
        rows = Rows("regression", Predicted(guesses), guesses[:, None], Units(n), GAINS)
        outcomes = rng.gamma(2, 1, (n, 4))
    move = rng.normal(size=outcomes.shape) * 1e-5
    if task != "regression":
        move -= move.mean(axis=1, keepdims=True)  # a row stays one row
    low, here, high = (dict(iterate_expected(rows.measure(outcomes + s * move, noise, np.ones(n)))) for s in (-1, 0, 1))
    for name, one in here.items():
        slope = float((np.broadcast_to(one.influence, outcomes.shape) * move).sum() / n)
        # the influence on lift smoothes over the border of the top rows
        assert (high[name].value - low[name].value) / 2 == pytest.approx(slope, rel=0.2 if name == "lift" else 1e-3)


def test_calibrated_estimates_are_those_of_the_published_formulas() -> None:
    """CBPE: every row counts as positive by its probability, and as negative by what is left (NannyML 0.13.1)."""
    rng = np.random.default_rng(17)
    known, batch = draw_rows(rng, 800), draw_rows(rng, 300)
    model = learn(known.as_known())
    found = estimate_performance(batch.as_rows(), model).metrics
    p, guess = model.expect(batch.scores).outcomes[:, 1], batch.score > 0.4
    tp, fp, fn, tn = (float(one.sum()) for one in (p[guess], 1 - p[guess], p[~guess], 1 - p[~guess]))
    pairs = np.multiply.outer(p, 1 - p)
    order = np.sign(np.subtract.outer(batch.score, batch.score)) / 2 + 0.5
    expected = {
        "accuracy": (tp + tn) / 300,
        "precision": tp / (tp + fp),
        "recall": tp / (tp + fn),
        "f1": 2 * tp / (2 * tp + fp + fn),
        "roc_auc": float((pairs * order).sum() / pairs.sum()),
        "mcc": (tp * tn - fp * fn) / ((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)) ** 0.5,
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-9)


def test_a_spline_is_least_squares_and_its_influences_are_what_leaving_a_row_out_does() -> None:
    rng = np.random.default_rng(5)
    known, batch = draw_rows(rng, 600), draw_rows(rng, 200)
    weights = rng.gamma(2, 1, 600)
    knots = choose_knots(known.score, (known.truth, ~known.truth))
    spline = fit_spline(known.score, known.truth.astype(float), weights, knots)
    naive = expect_naively(known, batch, weights, knots)
    assert np.clip(spline.locate(batch.score).interpolate(spline.values), 0, 1) == pytest.approx(naive, abs=1e-4)
    of_knots = rng.normal(size=len(knots))
    influences = spline.influences(of_knots)
    for row in (0, 17, 300):
        step = np.zeros(600)
        step[row] = 1e-4
        moved = fit_spline(known.score, known.truth.astype(float), weights + step, knots)
        slope = float(((moved.values - spline.values) * of_knots).sum()) / 1e-4
        assert slope == pytest.approx(influences[row] / weights[row], rel=1e-2, abs=1e-6)


def test_knots_lie_where_a_rare_class_has_its_rows() -> None:
    rng = np.random.default_rng(6)
    score = np.r_[rng.uniform(0, 0.5, 5000), rng.uniform(0.5, 1, 100)]
    rare = np.arange(5100) >= 5000
    assert (choose_knots(score, (rare, ~rare)) > 0.5).sum() >= 8
    assert (choose_knots(score) > 0.5).sum() <= 3
    assert choose_knots(np.full(100, 0.3)).tolist() == [0.3]


@pytest.mark.slow
@pytest.mark.parametrize("entities", [False, True])
def test_an_estimate_is_the_mean_over_drawn_labels_and_its_interval_that_of_resampling(entities: bool) -> None:
    """The naive twin: draw entities of both sides with replacement, fit again, draw labels, measure."""
    rng = np.random.default_rng(7)
    known, batch = draw_rows(rng, 800, entities=entities), draw_rows(rng, 600, entities=entities)
    model = learn(known.as_known())
    found = estimate_performance(batch.as_rows(), model)
    draws: dict[str, list[float]] = {name: [] for name in found.metrics}
    correlation = float(model.correlation[0])
    for _ in range(250):
        again = _resample(rng, known), _resample(rng, batch)
        knots = model.splines[0].knots
        p = expect_naively(again[0], again[1], np.ones(len(again[0].score)), knots)
        for name, value in measure(replace(again[1], truth=_draw_alike(rng, p, again[1].codes, correlation))).items():
            draws[name].append(value)
    for name, value in found.metrics.items():
        drawn = np.array(draws[name])
        # what chance adds to a sum of absolute values, drawing from a sample adds once more
        slack = 1.0 if name == "calibration_error" else 0.15
        assert value == pytest.approx(drawn.mean(), abs=(4 / len(drawn) ** 0.5 + slack) * drawn.std()), name
        low, high = found.intervals[name]
        expected = 0.65 if name == "calibration_error" else 0.8
        assert expected < (high - low) / (2 * 1.96 * drawn.std()) < (2 if name == "calibration_error" else 1.3), name


def _resample(rng: np.random.Generator, sample: Sample) -> Sample:
    if sample.codes is None:
        rows = rng.integers(0, len(sample.score), len(sample.score))
        return Sample(sample.score[rows], sample.truth[rows])
    drawn = rng.integers(0, sample.codes.max() + 1, sample.codes.max() + 1)
    rows = (drawn[:, None] * ROWS_PER_ENTITY + np.arange(ROWS_PER_ENTITY)).ravel()
    return Sample(sample.score[rows], sample.truth[rows], sample.codes)


def _draw_alike(
    rng: np.random.Generator, p: npt.NDArray[np.float64], codes: npt.NDArray[np.int64] | None, correlation: float
) -> npt.NDArray[np.bool_]:
    """Draw labels that are equal in an entity with about the given correlation: some share one uniform number."""
    uniform = rng.random(len(p))
    if codes is not None:
        shared = rng.random(codes.max() + 1)[codes]
        uniform = np.where(rng.random(len(p)) < correlation**0.5, shared, uniform)
    return uniform < p


def coverage(
    rows: tuple[int, int], times: int, *, entities: bool = False, shift: float = 0.0
) -> tuple[dict[str, float], dict[str, float]]:
    """Return how often intervals hold what the labels show, and the mean error in standard deviations, by metric."""
    hits: dict[str, list[bool]] = {}
    errors: dict[str, list[float]] = {}
    for seed in range(times):
        rng = np.random.default_rng(1000 + seed)
        known, batch = (
            draw_rows(rng, rows[0], entities=entities),
            draw_rows(rng, rows[1], entities=entities, shift=shift),
        )
        found = estimate_performance(batch.as_rows(), learn(known.as_known()))
        for name, value in measure(batch).items():
            low, high = found.intervals[name]
            hits.setdefault(name, []).append(low <= value <= high)
            errors.setdefault(name, []).append((found.metrics[name] or 0.0) - value)
    return {name: float(np.mean(one)) for name, one in hits.items()}, {
        name: float(np.mean(one) / np.std(one)) for name, one in errors.items()
    }


@pytest.mark.slow
@pytest.mark.parametrize(("entities", "shift"), [(False, 0.0), (True, 0.0), (False, 0.7)])
def test_intervals_hold_what_the_labels_show(entities: bool, shift: float) -> None:
    held, bias = coverage((1600, 800), 100, entities=entities, shift=shift)
    assert {name for name, share in held.items() if share < 0.89} == set()
    assert {name for name, one in bias.items() if abs(one) > 0.4 and name != "calibration_error"} == set()


def test_the_estimate_for_more_classes_and_for_a_regression_is_near_the_true_performance() -> None:
    rng = np.random.default_rng(8)
    scores, truth = draw_classes(rng, 4000)
    model = learn(KnownRows(scores[:2000], np.eye(4)[truth[:2000]], Units(2000), np.ones(2000), classes=True))
    predicted = scores[2000:].argmax(axis=1)
    rows = Rows("multiclass_classification", Predicted(predicted, scores[2000:]), scores[2000:], Units(2000), GAINS)
    real, _, _ = measure_multiclass(truth[2000:], predicted, scores[2000:], list("abcd"), Units(2000))
    found = estimate_performance(rows, model)
    assert found.metrics == {name: pytest.approx(value, abs=0.06) for name, value in real.items()}
    assert all(low <= real[name] <= high for name, (low, high) in found.intervals.items())
    guesses = rng.gamma(3, 2, 4000)
    numbers = guesses + rng.normal(size=4000) * (0.1 + 0.2 * guesses) + 20
    losses = losses_of(numbers, guesses + 20)
    losses_model = learn(KnownRows(guesses[:2000, None], losses[:2000], Units(2000), np.ones(2000), classes=False))
    chosen = guesses[2000:] > 6  # another mix of rows: their errors are larger
    some = (guesses[2000:] + 20)[chosen]
    rows = Rows("regression", Predicted(some), (some - 20)[:, None], Units(len(some)), GAINS)
    real, _, _ = measure_regression(numbers[2000:][chosen], some, Units(len(some)))
    found = estimate_performance(rows, losses_model)
    assert set(found.metrics) == {"mae", "mse", "rmse", "rmsle", "mape"}
    for name, (low, high) in found.intervals.items():
        assert low <= real[name] <= high, name
    assert found.metrics["mae"] > 1.3 * losses[:2000, 0].mean()


def test_weights_make_a_reference_stand_for_a_batch_whose_covariates_have_moved() -> None:
    """The score sees one covariate, the outcome depends on another too, which has moved."""
    rng = np.random.default_rng(13)
    z, z_batch = rng.normal(size=6000), rng.normal(size=6000) + 1
    x, x_batch = rng.normal(size=6000), rng.normal(size=6000)
    known, batch = (
        Sample(1 / (1 + np.exp(-one)), rng.random(6000) < 1 / (1 + np.exp(-(one + 1.2 * other))))
        for one, other in ((x, z), (x_batch, z_batch))
    )
    weights = np.exp(z - 0.5)  # the ratio of the densities of two normal distributions
    plain = estimate_performance(batch.as_rows(), learn(known.as_known()))
    moved = estimate_performance(batch.as_rows(), learn(known.as_known(weights)), reweighted=True)
    real = measure(batch)
    for name in ("accuracy", "recall", "log_loss"):
        assert moved.intervals[name][0] <= real[name] <= moved.intervals[name][1]
        assert abs((plain.metrics[name] or 0) - real[name]) > 3 * abs((moved.metrics[name] or 0) - real[name])
    assert moved.effective_units == pytest.approx(weights.sum() ** 2 / (weights**2).sum())


def test_balanced_weights_give_the_reference_the_means_of_the_batch() -> None:
    rng = np.random.default_rng(16)
    reference, batch = rng.normal(size=(5000, 3)), rng.normal(size=(3000, 3)) + np.array([1, 0, 0])
    reference[::50, 1], batch[::50, 2] = np.nan, np.inf
    reference[:, 2] = 7  # constant, so it cannot be balanced
    weights = balance_weights(np.ones(5000), reference, batch)
    assert weights.mean() == pytest.approx(1)
    assert weights.max() <= LARGEST_WEIGHT * 1.1
    assert (weights * reference[:, 0]).mean() == pytest.approx(batch[:, 0].mean(), abs=0.03)
    # the ratio of the densities of two normal distributions is an exponential of a line
    assert np.corrcoef(weights, np.exp(reference[:, 0]))[0, 1] > 0.98
    assert balance_weights(np.ones(4), np.zeros((4, 0)), np.zeros((3, 0))).tolist() == [1] * 4


def test_odds_that_say_nothing_weigh_all_rows_alike() -> None:
    weights, outside = weigh_reference(np.zeros(300), np.zeros(100))
    assert weights == pytest.approx(np.ones(300))
    assert outside == 0
    weights, outside = weigh_reference(np.full(300, -5.0), np.full(100, 5.0))
    assert outside == 1


def test_a_reference_that_shows_too_little_gives_a_reason() -> None:
    rng = np.random.default_rng(14)
    sample = draw_rows(rng, 400)
    assert "49 rows of the reference have a label, at least 50" in str(
        fit_reference(Sample(sample.score[:49], np.arange(49) % 2 == 0).as_known())
    )
    assert "the reference has 3 rows of the rarest class" in str(
        fit_reference(Sample(sample.score, np.arange(400) < 3).as_known())
    )
    weights = np.where(np.arange(400) < 20, 100.0, 0.01)
    assert "count as much as only 2" in str(fit_reference(sample.as_known(weights)))
    assert "no row of the reference" in str(fit_reference(Sample(np.zeros(0), np.zeros(0, bool)).as_known()))


@given(
    st.lists(st.tuples(st.sampled_from([0.0, 0.2, 0.5, 1.0]), st.booleans(), st.integers(0, 5)), max_size=40),
    st.sampled_from(["constant", "ties", "spread"]),
    st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_whatever_the_rows_there_is_a_number_or_a_reason(
    rows: list[tuple[float, bool, int]], kind: str, entities: bool
) -> None:
    rng = np.random.default_rng(15)
    score = {"constant": np.full(200, 0.5), "ties": rng.integers(0, 3, 200) / 2, "spread": rng.random(200)}[kind]
    model = fit_outcomes(Sample(score, np.arange(200) % 3 == 0).as_known())
    codes = np.unique([one[2] for one in rows], return_inverse=True)[1].astype(np.int64) if entities and rows else None
    batch = Sample(np.array([one[0] for one in rows]), np.array([one[1] for one in rows], bool), codes)
    found = [estimate_performance(batch.as_rows(), model)]
    labelled = batch.truth
    if labelled.any() and not labelled.all():
        found.append(correct_by_labels(batch.as_rows(), model, labelled, batch.outcomes, fold_of(batch)))
    for one in found:
        for name, value in one.metrics.items():
            assert (value is None) == bool(one.reasons.get(name))
            assert value is None or np.isfinite(value)
            if value is not None:
                low, high = one.intervals.get(name, (value, value))
                assert low <= value <= high or name == "calibration_error"
                assert (name in one.intervals) != (name in one.interval_reasons)
    for compared in compare_with_labels(batch.as_rows(), model, batch.outcomes).compared:
        assert 0 <= compared.p_value <= 1
        assert Expected(compared.expected, np.zeros(1), "plain").value == compared.expected
