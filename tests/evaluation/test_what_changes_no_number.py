"""Properties of an evaluation: what changes of the data must change no number, and which numbers others change."""

from collections.abc import Callable, Mapping

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.evaluation.record import Evaluation, MetricValue
from engine.spec.metrics.names import MetricName, parse_metric_name

Compare = Callable[..., Evaluation]
FEW = settings(max_examples=10)


def draw_rows(seed: int, n: int, shift: float = 0.0) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    kinds = pl.Series(random.choice(["red", "green", "blue", ""], n, p=[0.4, 0.3, 0.2, 0.1]))
    return pl.DataFrame(
        {
            "amount": np.round(random.lognormal(shift, 1, n), 2),
            "count": random.poisson(3 + shift, n),
            "kind": kinds.replace("", None),
            "is_new": random.random(n) < 0.3,
        }
    )


sides = st.tuples(
    st.integers(0, 10**6), st.integers(20, 150), st.integers(20, 150), st.sampled_from([0.0, 0.3, 1.5])
).map(lambda one: (draw_rows(one[0], one[1]), draw_rows(one[0] + 1, one[2], one[3])))


def member_of(metric: str) -> str | None:
    name = parse_metric_name(metric)
    assert isinstance(name, MetricName)
    return name.member


def statistic_of(metric: str) -> str:
    return metric.partition(".")[0]


def assert_same(found: Mapping[str, MetricValue], expected: Mapping[str, MetricValue], rel: float = 0.0) -> None:
    """Sums may be added in another order: they are equal within `rel`; everything else is equal."""
    assert found.keys() == expected.keys()
    for name, metric in expected.items():
        ours = found[name]
        assert (ours.reason, ours.failed, ours.counts_as_ok) == (metric.reason, metric.failed, metric.counts_as_ok), (
            name
        )
        for part in ("value", "low", "high", "p_value"):
            one, other = getattr(ours, part), getattr(metric, part)
            assert one == (other if other is None or not rel else pytest.approx(other, rel=rel, abs=rel)), (name, part)


@given(sides, st.integers(0, 10**6))
@FEW
def test_the_order_of_rows(compare: Compare, both: tuple[pl.DataFrame, pl.DataFrame], seed: int) -> None:
    before, now = both
    shuffled = compare(
        before.sample(fraction=1, shuffle=True, seed=seed), now.sample(fraction=1, shuffle=True, seed=seed + 1)
    )
    assert_same(shuffled.metrics, compare(before, now).metrics, rel=1e-12)


@given(st.integers(0, 10**6))
@FEW
def test_the_order_of_rows_where_the_drift_model_takes_a_part_of_them(compare: Compare, seed: int) -> None:
    before, now = draw_rows(seed, 400), draw_rows(seed + 1, 300, 0.3)
    shuffled = compare(before.reverse(), now.sample(fraction=1, shuffle=True, seed=seed), max_rows=100)
    usual = compare(before, now, max_rows=100)
    assert_same(shuffled.metrics, usual.metrics, rel=1e-12)
    assert shuffled.notes == usual.notes
    assert any("100" in note for note in usual.notes)


@given(sides, st.permutations(["amount", "count", "kind", "is_new"]))
@FEW
def test_the_order_of_columns(compare: Compare, both: tuple[pl.DataFrame, pl.DataFrame], order: list[str]) -> None:
    before, now = both
    found = compare(before, now.select(order)).metrics
    assert_same(found, compare(before, now).metrics)


NAMES = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters='*"'), min_size=1, max_size=12
).filter(lambda name: name.strip() == name)


def rename_metrics(metrics: Mapping[str, MetricValue], renamed: Mapping[str, str]) -> dict[str, MetricValue]:
    return {
        name if member_of(name) is None else str(MetricName(statistic_of(name), renamed[str(member_of(name))])): metric
        for name, metric in metrics.items()
    }


def leave_out_tests(metrics: Mapping[str, MetricValue]) -> dict[str, MetricValue]:
    """Leave out the drift model and all p-values that are adjusted together with its own."""
    return {
        name: metric
        for name, metric in metrics.items()
        if statistic_of(name) not in ("drift", "drift_low", "drift_p", "drifted_columns", "drifted_share")
        and not name.startswith("data_drift")
    }


@given(sides, st.lists(NAMES, min_size=4, max_size=4, unique=True))
@FEW
def test_renamed_columns_rename_metrics_and_nothing_else(
    compare: Compare, both: tuple[pl.DataFrame, pl.DataFrame], names: list[str]
) -> None:
    before, now = both
    usual = compare(before, now).metrics
    in_any_order = dict(zip(before.columns, names, strict=True))
    found = compare(before.rename(in_any_order), now.rename(in_any_order)).metrics
    # a column's name seeds the draws of its test, so the p-values of small samples are as near as draws are
    assert_same(leave_out_tests(found), rename_metrics(leave_out_tests(usual), in_any_order))
    # the drift model takes the columns in the order of their names: where that stays, its numbers do
    in_order = dict(zip(sorted(before.columns), sorted(names), strict=True))
    found = compare(before.rename(in_order), now.rename(in_order)).metrics
    for name in ("data_drift", "data_drift_low", "data_drift_auc"):
        assert (found[name].value, found[name].low, found[name].high) == (
            usual[name].value,
            usual[name].low,
            usual[name].high,
        )


@given(sides)
@FEW
def test_other_names_of_categories(compare: Compare, both: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    before, now = both
    other = {"red": "zebra", "green": "Été", "blue": " "}
    found = compare(*(side.with_columns(pl.col("kind").replace(other)) for side in both)).metrics
    assert_same(leave_out_tests(found), leave_out_tests(compare(before, now).metrics), rel=1e-9)


@given(sides, st.sampled_from([0.25, 2.0, 1024.0]))
@FEW
def test_another_unit_changes_what_is_in_that_unit_alone(
    compare: Compare, both: tuple[pl.DataFrame, pl.DataFrame], factor: float
) -> None:
    in_unit = {"mean", "std", "min", "max", "median", "q05", "q25", "q75", "q95", "wasserstein"}
    usual = compare(*both).metrics
    found = compare(*(side.with_columns(pl.col("amount") * factor) for side in both)).metrics
    for name, metric in leave_out_tests(usual).items():
        if metric.value is None:
            continue
        scaled = member_of(name) == "amount" and statistic_of(name).removeprefix("reference_") in in_unit
        assert found[name].value == pytest.approx(metric.value * (factor if scaled else 1), rel=1e-9), name


@given(sides)
@FEW
def test_the_two_sides_exchanged_have_the_same_distances_of_categories(
    compare: Compare, both: tuple[pl.DataFrame, pl.DataFrame]
) -> None:
    there, back = compare(*both).metrics, compare(*reversed(both)).metrics
    for name in ("js.kind", "hellinger.kind", "total_variation.kind", "l_infinity.kind", "chi2.kind", "cramers_v.kind",
                 "ks.amount", "ks.count", "wasserstein.amount"):  # fmt: skip
        assert back[name].value == pytest.approx(there[name].value, rel=1e-9, abs=1e-12), name
    for name in ("mean.amount", "q95.count", "missing_share.kind"):
        assert back[name].value == pytest.approx(there[f"reference_{name}"].value)
        assert back[f"reference_{name}"].value == pytest.approx(there[name].value)
    assert back["missing_share_change.kind"].value == -(there["missing_share_change.kind"].value or 0)


@given(st.integers(0, 10**6), st.integers(2, 300))
@FEW
def test_rows_compared_with_themselves_have_no_distance_at_all(compare: Compare, seed: int, n: int) -> None:
    frame = draw_rows(seed, n)
    metrics = compare(frame, frame).metrics
    zero = {
        "drift",
        "drift_low",
        "ks",
        "psi",
        "js",
        "hellinger",
        "total_variation",
        "chi2",
        "l_infinity",
        "wasserstein",
    }
    zero |= {"unseen_share", "missing_share_change", "wasserstein_normed", "type_changed"}
    for name, metric in metrics.items():
        if statistic_of(name) in zero and metric.value is not None:
            assert metric.value == pytest.approx(0, abs=1e-7), name
        if statistic_of(name).startswith("reference_") and metric.value is not None:
            assert metrics[name.removeprefix("reference_")].value == metric.value, name
    assert not metrics["drifted_columns"].value  # unknown where no column has a verdict


@given(sides)
@FEW
def test_every_row_twice_changes_no_distance(compare: Compare, both: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    before, now = both
    once, twice = compare(before, now).metrics, compare(before, pl.concat([now, now])).metrics
    assert twice["row_count"].value == 2 * (once["row_count"].value or 0)
    for statistic in ("js", "hellinger", "total_variation", "missing_share"):
        assert twice[f"{statistic}.kind"].value == pytest.approx(once[f"{statistic}.kind"].value, abs=1e-9)
    for name in ("ks.amount", "wasserstein.amount", "mean.count", "min.count", "median.amount"):
        assert twice[name].value == pytest.approx(once[name].value), name


@given(sides)
@FEW
def test_a_further_column_changes_no_statistic_of_the_others(
    compare: Compare, both: tuple[pl.DataFrame, pl.DataFrame]
) -> None:
    before, now = both
    extra = [side.with_columns(more=pl.lit(1.0)) for side in both]
    usual, found = compare(before, now).metrics, compare(*extra).metrics
    assert_same({name: found[name] for name in leave_out_tests(usual)}, leave_out_tests(usual))
    assert {member_of(name) for name in found.keys() - usual.keys()} == {"more"}


@given(sides)
@FEW
def test_the_seed_of_the_drift_model_changes_its_numbers_alone(
    compare: Compare, both: tuple[pl.DataFrame, pl.DataFrame]
) -> None:
    usual, found = compare(*both, seed=0).metrics, compare(*both, seed=7).metrics
    for name, metric in usual.items():
        if name in leave_out_tests(usual):
            assert found[name] == metric, name


@given(sides)
@FEW
def test_the_same_arguments_give_the_same_evaluation(compare: Compare, both: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    assert compare(*both) == compare(*both)


@given(st.integers(0, 10**6), st.sampled_from([2, 5]))
@FEW
def test_equal_rows_of_one_entity_count_as_one(compare: Compare, seed: int, times: int) -> None:
    before, now = (draw_rows(seed + side, 60, 2 * side).with_columns(card=pl.int_range(60)) for side in (0, 1))
    once = compare(before, now, entity="card").metrics
    often = compare(pl.concat([before] * times), pl.concat([now] * times), entity="card").metrics
    alone = compare(pl.concat([before] * times).drop("card"), pl.concat([now] * times).drop("card")).metrics
    # the smallest p-value of all: how it is adjusted does not depend on the others
    assert (
        often["drift_p.amount"].value
        == once["drift_p.amount"].value
        == min(metric.value for name, metric in once.items() if name.startswith("drift_p") and metric.value is not None)
    )
    assert (alone["drift_p.amount"].value or 0) < (often["drift_p.amount"].value or 0)
    assert leave_out_tests(often)["js.kind"].value == pytest.approx(leave_out_tests(alone)["js.kind"].value)
