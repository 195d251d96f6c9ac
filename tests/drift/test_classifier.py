"""The drift model: what it sees, what it must not see, and that it answers the same however the rows come."""

import numpy as np
import polars as pl
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from engine.drift import Role, compare, domain_classifier, profile, roles, sample
from engine.drift.classifier.domain_classifier import _area_under_roc, _bound_accuracy, _hypergeometric_p
from engine.drift.profiles import drawn_rows
from engine.errors import DataError

N, C = Role.NUMERICAL, Role.CATEGORICAL


def people(n, seed, shift=0.0):
    rng = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "a": rng.normal(shift, 1, n),
            "b": np.where(rng.random(n) < 0.1, np.nan, rng.normal(size=n)),
            "c": rng.choice(["x", "y", "z"], n),
        }
    )


ROLES = {"a": N, "b": N, "c": C}


def judged(reference, batch, taking=ROLES, **options):
    return domain_classifier(reference, batch, taking, **options)


def test_no_drift_is_one_half_and_a_shift_is_seen():
    same = judged(people(2000, 2), people(2000, 3))
    assert not same.significant
    assert same.low < 0.5 < same.high
    moved = judged(people(2000, 0), people(2000, 1, shift=1.0))
    assert moved.significant
    assert moved.low > 0.6
    assert moved.auc > 0.65
    assert moved.importance["a"] > 0.9
    assert sum(moved.importance.values()) == pytest.approx(1)
    assert list(moved.importance) == list(ROLES)


def test_it_sees_what_no_single_column_shows():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 3000))
    related = judged(
        pl.DataFrame({"a": x, "b": x + rng.normal(0, 0.3, 3000)}),
        pl.DataFrame({"a": x, "b": y * 1.04}),
        {"a": N, "b": N},
    )
    assert related.accuracy > 0.7
    assert min(related.importance.values()) > 0.2


def test_missing_and_unseen_categories_take_part():
    reference = pl.DataFrame({"a": np.zeros(400), "c": ["x"] * 400})
    missing = pl.DataFrame({"a": [None] * 400, "c": ["x"] * 400}, schema=reference.schema)
    unseen = pl.DataFrame({"a": np.zeros(400), "c": ["new"] * 400})
    for batch, guilty in ((missing, "a"), (unseen, "c")):
        found = judged(reference, batch, {"a": N, "c": C})
        assert (found.accuracy, found.importance[guilty]) == (1, 1)


def cards(n, seed):
    """Five equal rows a card: a model that meets a card on both sides of its split knows it again."""
    rows = people(n, seed).with_columns(card=pl.Series(range(n)) + n * seed)
    return pl.concat([rows] * 5)


def test_rows_of_one_entity_are_held_out_together():
    aware = [judged(cards(150, 2 * s), cards(150, 2 * s + 1), entity="card") for s in range(8)]
    assert sum(found.significant for found in aware) <= stats.binom.ppf(0.999, 8, 0.05)
    assert np.mean([found.accuracy for found in aware]) == pytest.approx(0.5, abs=0.06)
    assert all(found.high - found.low > 0.15 for found in aware), "60 cards are no 300 independent rows"
    unaware = judged(cards(150, 0).drop("card"), cards(150, 1).drop("card"))
    assert unaware.accuracy > 0.7


def test_an_entity_on_both_sides_does_not_count_as_drift():
    both = people(300, 0).with_columns(card=pl.Series(range(300)))
    found = judged(both, both, entity="card")
    assert not found.significant


def test_data_without_drift_seldom_alarm():
    alarms = sum(judged(people(60, 2 * s), people(90, 2 * s + 1)).significant for s in range(60))
    assert alarms <= stats.binom.ppf(0.999, 60, 0.05)


@pytest.mark.parametrize("entity", [None, "card"])
def test_row_order_changes_nothing(entity):
    sides = [people(700, s, shift=s / 3).with_columns(card=pl.Series(range(700)) % 200) for s in (0, 1)]
    shuffled = [side.sample(fraction=1, shuffle=True, seed=9) for side in sides]
    once = judged(*sides, entity=entity, max_rows=500, seed=4)
    assert judged(*shuffled, entity=entity, max_rows=500, seed=4) == once
    assert once.rows_used == 500
    assert "data_drift compares 500 of 700 rows of the reference with 500 of 700 rows of the batch" in once.notes
    assert judged(*sides, entity=entity, max_rows=500, seed=5) != once


def test_it_says_that_rows_are_taken_for_independent():
    assert "independent" in judged(people(60, 0), people(60, 1)).notes[0]


def test_sides_of_unequal_size_are_balanced():
    found = [judged(people(5000, seed), people(400, seed + 1)) for seed in range(0, 20, 2)]
    assert {one.rows_used for one in found} == {400}
    assert sum(bool(one.significant) for one in found) <= 3  # of ten, each with a chance of 1 in 20: once in a thousand


def test_interval_and_p_are_those_of_scipy():
    found = judged(people(1000, 0), people(1000, 1, shift=0.3), confidence=0.9)
    hits = round(found.accuracy * 400)
    interval = stats.binomtest(hits, 400).proportion_ci(0.9, method="wilson")
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), rel=1e-9)
    assert found.significant == (found.p_value < 0.1)


def test_the_lower_bound_is_that_of_scipy():
    found = judged(people(1000, 0), people(1000, 1, shift=0.3), confidence=0.9)
    exact = stats.binomtest(round(found.accuracy * 400), 400, alternative="greater").proportion_ci(0.9, method="exact")
    assert found.accuracy_low == pytest.approx(exact.low, rel=1e-9)
    assert judged(people(20, 0), people(20, 1)).accuracy_low is None


def chance_of_a_bound_above(easy, hard, per_side):
    """The probability that the bound is above the accuracy, if a row is predicted correctly with `easy` and `hard`."""
    each = np.arange(per_side + 1)
    right = np.convolve(stats.binom.pmf(each, per_side, easy), stats.binom.pmf(each, per_side, hard))
    truth = np.arange(2 * per_side) < per_side
    # the bound grows with the number of hits: find the smallest number whose bound is above the true accuracy
    low, high = 0, 2 * per_side + 1
    while low < high:
        middle = (low + high) // 2
        above = _bound_accuracy(np.arange(2 * per_side) < middle, truth, 0.95) > (easy + hard) / 2
        low, high = (low, middle) if above else (middle + 1, high)
    return right[low:].sum()


@pytest.mark.parametrize("per_side", [10, 50, 500, 5000])
@pytest.mark.parametrize("accuracy", [0.5, 0.525, 0.65, 0.88, 0.99])
def test_the_lower_bound_is_above_the_accuracy_at_most_as_often_as_stated(per_side, accuracy):
    for apart in (0.0, min(accuracy, 1 - accuracy)):  # the sides equally easy to predict, and as unequal as possible
        assert chance_of_a_bound_above(accuracy + apart, accuracy - apart, per_side) <= 0.05


def test_a_model_that_always_says_batch_has_no_lower_bound_above_one_half():
    truth = np.arange(600) < 500  # 500 customers in the batch, 100 in the reference
    assert _bound_accuracy(truth, truth, 0.95) < 0.5
    assert _bound_accuracy(~truth, truth, 0.95) < 0.5


@pytest.mark.slow
def test_the_lower_bound_is_seldom_above_what_drift_there_is():
    """Without drift nothing is more accurate than 1/2; with a shift, no model than the best one, Phi(shift / 2)."""
    for shift, rows in ((0.0, 60), (0.0, 600), (0.5, 60), (0.5, 600)):
        pairs = [(people(rows, 2 * s), people(rows, 2 * s + 1, shift)) for s in range(24)]
        above = sum(judged(*pair).accuracy_low > stats.norm.cdf(shift / 2) for pair in pairs)
        assert above <= stats.binom.ppf(0.999, 24, 0.05)


def test_the_lower_bound_is_high_only_if_the_drift_is_large_and_the_batch_too():
    tiny_shift = judged(people(40_000, 0), people(40_000, 1, shift=0.2))
    assert tiny_shift.significant
    assert 0.5 < tiny_shift.accuracy_low < 0.55
    assert judged(people(40, 0), people(40, 1, shift=1.0)).accuracy_low < 0.55
    assert judged(people(2000, 0), people(2000, 1, shift=1.5)).accuracy_low > 0.65


@pytest.mark.parametrize(
    ("rows", "batch", "claimed", "hits"), [(40, 20, 17, 12), (400, 200, 30, 30), (9000, 4500, 3000, 1540)]
)
def test_the_p_is_the_hypergeometric_tail(rows, batch, claimed, hits):
    truth = np.arange(rows) < batch
    predicted = (np.arange(rows) < hits) | (np.arange(rows) >= rows - (claimed - hits))
    expected = stats.hypergeom.sf(hits - 1, rows, batch, claimed)
    assert _hypergeometric_p(predicted, truth) == pytest.approx(expected, rel=1e-8)
    assert _hypergeometric_p(~truth, truth) == pytest.approx(1, abs=1e-9)


def test_the_auc_is_that_of_sklearn():
    rng = np.random.default_rng(0)
    truth, odds = rng.random(500) < 0.4, rng.integers(0, 30, 500) / 7
    assert _area_under_roc(odds, truth) == pytest.approx(roc_auc_score(truth, odds), abs=1e-12)


def test_without_drift_the_p_errs_on_the_safe_side_at_every_level():
    p = np.array([judged(people(80, 2 * s), people(80, 2 * s + 1)).p_value for s in range(100)])
    for level in (0.05, 0.2, 0.5):
        assert (p <= level).sum() <= stats.binom.ppf(0.999, 100, level)


def test_a_relation_is_found_among_columns_of_many_categories():
    rng = np.random.default_rng(0)
    n = 8000
    noise = [{f"c{i}": rng.integers(0, 300, n).astype(str) for i in range(6)} for _ in range(2)]
    x, y, z = rng.normal(size=(3, n))
    related, unrelated = (
        pl.DataFrame({"a": x, "b": 0.8 * x + 0.6 * y, **noise[0]}),
        pl.DataFrame({"a": y, "b": z, **noise[1]}),
    )
    found = judged(related, unrelated, {"a": N, "b": N, **dict.fromkeys(noise[0], C)})
    assert found.accuracy > 0.6
    assert found.importance["a"] + found.importance["b"] > 0.9


def test_wide_frames_say_that_columns_cost_rows(monkeypatch):
    monkeypatch.setattr(drawn_rows, "MAX_SAMPLE_VALUES", 300)
    found = judged(people(110, 0), people(120, 1))
    assert found.rows_used == 100
    assert (
        "100 of 110 rows of the reference with 100 of 120 rows of the batch, no more because there are"
        in found.notes[1]
    )


def test_a_sample_says_what_it_was_drawn_from():
    found = judged(people(60, 0), people(60, 1), drawn_from=(60, 12_345))
    assert "data_drift compares 60 of 60 rows of the reference with 60 of 12,345 rows of the batch" in found.notes


def test_a_thousand_categories_and_infinities_are_read():
    rng = np.random.default_rng(0)
    sides = [
        pl.DataFrame({"c": rng.integers(0, 1000, 800).astype(str), "x": rng.choice([np.inf, -np.inf, 1e308, 0], 800)})
        for _ in range(2)
    ]
    assert 0.3 < judged(*sides, {"c": C, "x": N}).accuracy < 0.7


def test_what_cannot_be_computed_has_a_reason():
    few = judged(people(24, 0), people(500, 1))
    assert (few.accuracy, few.p_value, few.significant, few.importance) == (None, None, None, {})
    assert "too few rows: 24 of the" in few.reason
    assert judged(people(60, 0), people(60, 1), {}).reason == "there is no column to compare"
    lone = people(60, 0).with_columns(card=pl.lit(1))
    assert "too few entities" in judged(lone, lone, entity="card").reason
    with pytest.raises(DataError, match="the batch lacks 'a', 'card'"):
        judged(lone, people(60, 1).drop("a"), entity="card")


def test_a_sample_is_drawn_by_content_not_by_place():
    rows = people(3000, 0).with_columns(card=pl.Series(range(3000)) % 50)
    one = sample(rows.lazy(), list(ROLES), 500, entity="card", seed=3)
    other = sample(rows.sample(fraction=1, shuffle=True).lazy(), list(ROLES), 500, entity="card", seed=3)
    assert one.columns == ["a", "b", "c", "card"]
    assert len(one) == 500
    assert one.equals(other)
    assert len(one.join(rows, on="a", how="semi")) == 500
    assert not sample(rows.lazy(), list(ROLES), 500, entity="card", seed=4).equals(one)
    assert abs(one["a"].mean()) < 4 / np.sqrt(500)


def test_equal_rows_are_drawn_as_often_as_they_occur():
    rows = pl.DataFrame({"c": ["a"] * 9000 + ["b"] * 900 + ["c"] * 100})
    drawn = sample(rows.lazy(), ["c"], 1000)["c"].to_list()
    assert len(drawn) == 1000
    assert abs(drawn.count("a") - 900) < 40
    assert abs(drawn.count("c") - 10) < 12


def test_a_sample_of_everything_is_everything():
    rows = people(50, 0)
    assert sample(rows.lazy(), rows.columns, 50).sort("a").equals(rows.sort("a"))
    assert len(sample(rows.head(0).lazy(), rows.columns, 50)) == 0


def test_what_takes_part_in_the_columns_takes_part_in_the_classifier():
    frame = people(100, 0).with_columns(took=pl.duration(milliseconds=pl.int_range(100)), flag=pl.col("a") > 0)
    taking, _ = roles(frame.lazy())
    assert judged(frame, frame, taking).accuracy is not None


def test_columns_of_every_type_are_read():
    n = 60
    frame = people(n, 0).with_columns(
        nothing=pl.lit(None),
        level=pl.Series(["low", "high"] * (n // 2), dtype=pl.Enum(["low", "high"])),
        city=pl.Series(["a", "b", "c"] * (n // 3), dtype=pl.Categorical),
        took=pl.duration(milliseconds=pl.int_range(n)),
        price=pl.Series(range(n)).cast(pl.Decimal(10, 2)),
        huge=pl.lit(2**63, pl.UInt64),
        flag=pl.col("a") > 0,
        card=pl.Series(range(n)).cast(pl.String).cast(pl.Categorical),
    )
    taking, left_out = roles(frame.lazy(), entity="card")
    assert list(left_out) == ["card"]
    # an empty column may come in any type: numbers on one side, nothing on the other
    other = frame.with_columns(b=pl.lit(None), took=pl.lit(None), price=pl.lit(None, pl.String))
    for batch in (frame, other):
        drawn = sample(batch.lazy(), list(taking), 50, entity="card")
        assert judged(frame, drawn, taking, entity="card").accuracy is not None
        sides = [profile(side, taking, entity="card") for side in (frame, drawn)]
        found = compare(*sides).columns
        assert list(found) == list(taking)
    assert found["price"].statistics["missing_share"] == 1
    assert found["price"].drift > 0.99


@pytest.mark.parametrize("nothing", [pl.lit(None, pl.Float64), pl.lit(float("nan")), pl.lit(None, pl.String)])
def test_a_column_without_any_value_is_a_result(nothing: pl.Expr):
    frame = people(100, 0).with_columns(nothing=nothing)
    taking, _ = roles(frame.lazy())
    assert "nothing" in taking
    found = judged(frame, frame.with_columns(a=pl.col("a") + 3), taking)
    assert (found.accuracy or 0) > 0.8
    assert found.importance["nothing"] == 0
