"""Estimates that the labels of some rows correct or contradict: against the published formula, and how often right."""

import numpy as np
import numpy.typing as npt
import pytest

from engine.models.estimation.contradictions import compare_with_labels
from engine.models.estimation.estimates import Estimates, Rows, estimate_performance
from engine.models.estimation.expected_metrics import Predicted
from engine.models.estimation.expected_outcomes import KnownRows, count_degrees
from engine.models.estimation.prediction_powered import are_enough, correct_by_labels
from engine.models.metrics.classification import measure_binary
from engine.models.metrics.intervals import Units
from engine.spec.resources.models import CostMatrix

from .estimated_samples import GAINS, Sample, draw_rows, fold_of, learn, losses_of, measure


def label(rng: np.random.Generator, batch: Sample, share: float) -> npt.NDArray[np.bool_]:
    """Give labels to a share of the rows, to those with a low score more often."""
    return rng.random(len(batch.score)) < np.clip(share * (0.3 + 2.2 * (1 - batch.score)), 0, 1)


def correct(known: Sample, batch: Sample, labelled: npt.NDArray[np.bool_]) -> Estimates:
    """Return the estimate with some labels."""
    return correct_by_labels(batch.as_rows(), learn(known.as_known()), labelled, batch.outcomes, fold_of(batch))


def test_labels_correct_an_estimate_where_the_concept_has_changed() -> None:
    rng = np.random.default_rng(9)
    known, batch = draw_rows(rng, 3000), draw_rows(rng, 4000, change=1.2)
    labelled, real = label(rng, batch, 0.4), measure(batch)
    blind, corrected = estimate_performance(batch.as_rows(), learn(known.as_known())), correct(known, batch, labelled)
    assert corrected.method == "prediction-powered"
    for name in ("accuracy", "recall", "log_loss", "precision", "calibration_error"):
        low, high = corrected.intervals[name]
        assert low <= real[name] <= high
        assert not blind.intervals[name][0] <= real[name] <= blind.intervals[name][1]


def test_labels_of_the_rows_with_low_scores_alone_would_mislead() -> None:
    rng = np.random.default_rng(10)
    known, batch = draw_rows(rng, 3000), draw_rows(rng, 4000)
    labelled, real = label(rng, batch, 0.3), measure(batch)
    kept = Sample(batch.score[labelled], batch.truth[labelled])
    alone, corrected = measure(kept), correct(known, batch, labelled)
    for name in ("recall", "accuracy"):
        assert abs((corrected.metrics[name] or 0) - real[name]) < abs(alone[name] - real[name]) / 2


def test_the_mean_of_a_corrected_estimate_is_that_of_the_published_formula() -> None:
    """Angelopoulos et al. 2023: the mean of the guesses, plus the weighted mean of what they miss."""
    rng = np.random.default_rng(11)
    known, batch = draw_rows(rng, 2000), draw_rows(rng, 3000, change=0.5)
    labelled = np.arange(3000) % 3 == 0  # as if at random, so that all labelled rows weigh about the same
    guess = learn(known.as_known()).expect(batch.scores).outcomes[:, 1]
    right, expected = batch.truth == (batch.score > 0.4), np.where(batch.score > 0.4, guess, 1 - guess)
    by_formula = expected.mean() + (right[labelled] - expected[labelled]).mean()
    assert correct(known, batch, labelled).metrics["accuracy"] == pytest.approx(by_formula, abs=0.004)


@pytest.mark.slow
@pytest.mark.parametrize(("share", "change"), [(0.1, 0.0), (0.1, -1.2), (0.3, 0.0)])
def test_corrected_intervals_are_no_wider_than_those_of_the_labels_alone(share: float, change: float) -> None:
    """Labels are given at random, so the labelled rows alone have right intervals too."""
    widths: dict[str, list[float]] = {}
    hits: dict[str, list[bool]] = {}
    for seed in range(60):
        rng = np.random.default_rng(2000 + seed)
        known, batch = draw_rows(rng, 3000), draw_rows(rng, 2000, change=change)
        labelled, real = rng.random(2000) < share, measure(batch)
        found = correct(known, batch, labelled)
        alone = Sample(batch.score[labelled], batch.truth[labelled])
        cost = CostMatrix(true_positive=3, false_positive=-1, true_negative=0.5, false_negative=-4)
        _, intervals, _ = measure_binary(
            alone.truth, alone.score > 0.4, alone.score, names=("0", "1"), cost_matrix=cost, units=alone.units
        )
        for name, (low, high) in found.intervals.items():
            hits.setdefault(name, []).append(low <= real[name] <= high)
            # the average precision has that of the labels alone, with their weights
            by_labels = name in ("average_precision", "calibration_error")
            if not by_labels and not isinstance(of_labels := intervals[name], str):
                widths.setdefault(name, []).append((high - low) / (of_labels[1] - of_labels[0]))
    assert {name: np.mean(one) for name, one in widths.items() if np.mean(one) > 1.05} == {}
    assert np.mean([np.mean(one) for one in widths.values()]) < 1
    assert {name: np.mean(one) for name, one in hits.items() if np.mean(one) < 0.87} == {}


@pytest.mark.slow
@pytest.mark.parametrize("entities", [False, True])
def test_the_calibration_error_of_partly_labelled_rows_is_held_by_its_interval(entities: bool) -> None:
    held = []
    for seed in range(40):
        rng = np.random.default_rng(3000 + seed)
        known, batch = (draw_rows(rng, 2000, entities=entities, change=change) for change in (0.0, -1.2))
        low, high = correct(known, batch, label(rng, batch, 0.3)).intervals["calibration_error"]
        held.append(low <= measure(batch)["calibration_error"] <= high)
    assert np.mean(held) > 0.88


def test_there_is_no_interval_if_few_rows_have_most_of_the_error() -> None:
    rng = np.random.default_rng(18)
    assert count_degrees(rng.normal(size=50_000)) == pytest.approx(50_000, rel=0.1)
    assert count_degrees(np.r_[np.zeros(10_000), 1.0, 1.0, 1.0, 1.0]) == pytest.approx(8, rel=0.01)
    guesses = rng.normal(20, 3, 3000)
    numbers = guesses + rng.normal(size=3000)
    numbers[:3] += 300
    known = losses_of(numbers, guesses)
    model = learn(KnownRows(guesses[:, None], known, Units(3000), np.ones(3000), classes=False))
    rows = Rows("regression", Predicted(guesses), guesses[:, None], Units(3000), GAINS)
    found = estimate_performance(rows, model)
    assert "few rows have most of the error" in found.interval_reasons["rmse"]
    assert found.metrics["rmse"] == pytest.approx(known[:, 1].mean() ** 0.5, rel=0.2)
    calm = learn(KnownRows(guesses[3:, None], known[3:], Units(2997), np.ones(2997), classes=False))
    assert set(estimate_performance(rows, calm).intervals) == {"mae", "mse", "rmse", "rmsle", "mape"}


def test_few_labels_correct_nothing() -> None:
    batch = draw_rows(np.random.default_rng(12), 1000)
    for labelled, enough in (
        (np.arange(1000) < 50, False),
        (np.arange(1000) < 900, True),
        (np.ones(1000, bool), False),
    ):
        assert are_enough(labelled, batch.outcomes[labelled], batch.units, classes=True) is enough
    one_class = np.where(batch.truth, False, np.arange(1000) < 900)
    assert not are_enough(one_class, batch.outcomes[one_class], batch.units, classes=True)


@pytest.mark.slow
@pytest.mark.parametrize("entities", [False, True])
def test_labels_rarely_contradict_an_estimate_that_is_right_and_always_one_that_is_wrong(entities: bool) -> None:
    wrong, missed = 0, 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        known = learn(draw_rows(rng, 1600, entities=entities).as_known())
        for change in (0.0, 1.0):
            batch = draw_rows(rng, 1600, entities=entities, change=change)
            labelled = label(rng, batch, 0.4)
            compared = compare_with_labels(batch.as_rows().take(labelled), known, batch.outcomes[labelled]).compared
            contradicted = compared[0].p_value < 0.05
            assert [one.p_value for one in compared] == sorted(one.p_value for one in compared)
            wrong += contradicted and not change
            missed += not contradicted and change > 0
    assert wrong <= 7
    assert missed == 0
