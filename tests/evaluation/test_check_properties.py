"""Properties of checks: what a value, a bound, an exception and the past change, and what they leave as it is."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.evaluation.bounds import bounds_to_json
from engine.evaluation.record import MetricValue
from engine.outcome import CheckOutcome

from .applied_checks import EMPTY, ERROR, OK, SEVERITY, WARNING, apply, numbers, one


def keep_some(bounds: list[float]) -> st.SearchStrategy[dict[str, float]]:
    """Return any of four sorted bounds, as a range."""
    named = dict(zip(("min", "soft_min", "soft_max", "max"), sorted(bounds), strict=True))
    return st.sets(st.sampled_from(list(named))).map(lambda kept: {key: named[key] for key in named if key in kept})


ranges = st.lists(numbers, min_size=4, max_size=4).flatmap(keep_some)


@given(ranges, numbers, numbers)
def test_a_value_further_from_the_range_is_never_better(limits: dict[str, float], first: float, second: float) -> None:
    near, far = sorted((first, second))
    upper = {key: bound for key, bound in limits.items() if key.endswith("max")}
    lower = {key: bound for key, bound in limits.items() if key.endswith("min")}
    assert SEVERITY.index(one(upper, near).outcome) <= SEVERITY.index(one(upper, far).outcome)
    assert SEVERITY.index(one(lower, far).outcome) <= SEVERITY.index(one(lower, near).outcome)


@given(ranges, numbers, st.lists(st.floats(0, 100), min_size=4, max_size=4))
def test_a_wider_range_is_never_worse(limits: dict[str, float], value: float, more: list[float]) -> None:
    wider = {
        key: bound + (by if key.endswith("max") else -by)
        for (key, bound), by in zip(limits.items(), more, strict=False)
    }
    assert SEVERITY.index(one(wider, value).outcome) <= SEVERITY.index(one(limits, value).outcome)


@given(ranges, numbers)
def test_fewer_bounds_are_never_worse(limits: dict[str, float], value: float) -> None:
    for left_out in limits:
        fewer = {key: bound for key, bound in limits.items() if key != left_out}
        assert SEVERITY.index(one(fewer, value).outcome) <= SEVERITY.index(one(limits, value).outcome)


@given(ranges, numbers)
def test_hard_bounds_that_are_also_soft_never_warn(limits: dict[str, float], value: float) -> None:
    hard = {key: bound for key, bound in limits.items() if not key.startswith("soft_")}
    both = hard | {f"soft_{key}": bound for key, bound in hard.items()}
    assert one(both, value).outcome is one(hard, value).outcome


@given(ranges, numbers, st.floats(0, 10), st.floats(0, 10))
def test_certain_is_never_worse_than_the_value_alone(limits, value: float, below: float, above: float) -> None:
    metric = MetricValue(value, value - below, value + above)
    assert SEVERITY.index(one({**limits, "certain": True}, metric).outcome) <= SEVERITY.index(
        one(limits, metric).outcome
    )
    exact = MetricValue(value, value, value)
    assert one({**limits, "certain": True}, exact).outcome is one(limits, exact).outcome


@given(ranges, numbers)
def test_a_result_tells_how_far_its_value_is_outside(limits: dict[str, float], value: float) -> None:
    found = one(limits, value)
    assert found.value == value
    assert bounds_to_json(found.bounds) == limits
    beyond = [low - value for key, low in limits.items() if key.endswith("min")]
    beyond += [value - high for key, high in limits.items() if key.endswith("max")]
    assert found.excess == max(beyond, default=0.0)
    assert (found.outcome is not OK) == (found.excess > 0)


@given(st.dictionaries(st.sampled_from("abcdef"), numbers, min_size=1), ranges)
def test_a_wildcard_is_the_same_as_a_check_of_each_metric(values: dict[str, float], limits: dict[str, float]) -> None:
    metrics = {f"drift.{name}": value for name, value in values.items()} | {"drift_p.a": 9.0, "driftx": 9.0}
    together = apply({"metric": "drift.*", **limits}, metrics)
    alone = [apply({"metric": f"drift.{name}", **limits}, metrics)[0] for name in values]
    assert together == alone


@given(st.dictionaries(st.sampled_from("abcdef"), numbers, min_size=1), ranges, ranges)
def test_an_exception_changes_the_result_of_its_metric_alone(values: dict[str, float], limits, other) -> None:
    metrics = {f"drift.{name}": value for name, value in values.items()}
    first, *rest = metrics
    usual = apply({"metric": "drift.*", **limits}, metrics)
    found = apply({"metric": "drift.*", **limits, "except": {first: other}}, metrics)
    assert found[1:] == usual[1:]
    assert found[0] == apply({"metric": first, **other}, metrics)[0]
    assert len(found) == 1 + len(rest)


def test_a_quoted_column_is_the_column() -> None:
    metrics = {'drift."a.b"': 0.5, "drift.c": 0.1}
    assert apply({"metric": 'drift."a.b"', "max": 0.2}, metrics)[0].outcome is ERROR
    assert apply({"metric": 'drift."c"', "max": 0.2}, metrics)[0].metric == "drift.c"
    excepted = apply({"metric": "drift.*", "max": 0.2, "except": {'drift."c"': {"max": 0.05}}}, metrics)
    assert [result.outcome for result in excepted] == [ERROR, ERROR]


@pytest.mark.parametrize("value", [-0.0, 0.0])
def test_zero_has_no_sign(value: float) -> None:
    assert one({"min": 0.0, "max": 0.0}, value).outcome is OK


def test_durations_are_seconds() -> None:
    limits = {"max": timedelta(hours=36), "soft_max": timedelta(days=1)}
    assert one(limits, 36 * 3600.0).outcome is WARNING
    assert bounds_to_json(one(limits, 36 * 3600.0).bounds) == {"soft_max": 86_400.0, "max": 129_600.0}
    late = one(limits, 129_601.0, in_seconds=("m",))
    assert late.outcome is ERROR
    assert late.reason == "129601.0s is above max 129600.0s"
    assert one(limits, 200_000.0, in_seconds=("m",)).reason == "55.6h is above max 36h"


@pytest.mark.parametrize(
    ("value", "limits", "reason"),
    [
        (0.1 + 0.2, {"soft_max": 0.3}, "0.30000000000000004 is above soft_max 0.3"),
        (1234567.4, {"max": 1234567}, "1234567.4 is above max 1234567.0"),
        (0.29999999, {"min": 0.3}, "0.29999999 is below min 0.3"),
        (0.4, {"max": 0.3}, "0.4 is above max 0.3"),
    ],
)
def test_a_value_that_looks_like_its_bound_is_reported_with_all_digits(value: float, limits, reason: str) -> None:
    assert one(limits, value).reason == reason


@given(st.integers(0, 100), st.integers(0, 100))
def test_a_change_of_shares_that_is_its_bound_is_within_it_despite_rounding(now: int, before: int) -> None:
    change = round((now - before) / 100, 2)
    limits = {"min": min(change, 0), "max": max(change, 0)}
    assert one({"compare": "previous", **limits}, now / 100, before / 100).outcome is OK
    metrics = {"performance_change.recall": now / 100 - before / 100}
    assert apply({"metric": "performance_change.recall", **limits}, metrics)[0].outcome is OK
    beyond = {"compare": "previous", "max": change - 0.001}
    assert one(beyond, now / 100, before / 100).outcome is ERROR


@given(numbers, st.lists(numbers, min_size=1, max_size=6), st.integers(1, 8))
def test_a_change_is_from_the_mean_of_the_newest(now: float, past: list[float], last: int) -> None:
    found = one({"compare": {"mean_of_last": last}, "max": 1e300}, now, *past)
    used = past[-last:]
    assert found.value == pytest.approx(
        now - sum(used) / len(used), rel=1e-9, abs=1e-6 * max(map(abs, [now, *used])) + 1e-30
    )
    assert bounds_to_json(found.bounds)["compare"] == f"mean_of_last {last}"
    previous = one({"compare": "previous", "max": 1e300}, now, *past)
    assert previous.value == now - past[-1]


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6).filter(lambda value: abs(value) > 1e-6))
def test_a_relative_change_has_the_sign_of_the_change(now: float, before: float) -> None:
    found = one({"compare": "previous", "change": "relative", "max": 1e300}, now, before)
    assert found.value == pytest.approx((now - before) / abs(before))
    assert ((found.value or 0) > 0) == (now > before)


@pytest.mark.parametrize(
    ("compare", "past", "reason", "counts_as"),
    [
        ("previous", [], "no earlier evaluation to compare with", OK),
        ({"mean_of_last": 3}, [], "no earlier evaluation to compare with", OK),
        ("previous", [1.0, None], "there is no earlier value to compare with", WARNING),
        ({"mean_of_last": 2}, [1.0, None, None], "there is no earlier value to compare with", WARNING),
        ("reference", [1.0], "the reference has no m", WARNING),
    ],
)
def test_a_change_without_a_value_before_is_empty(compare, past, reason: str, counts_as: CheckOutcome) -> None:
    found = one({"compare": compare, "max": 1}, 2.0, *past)
    assert (found.outcome, found.counts_as, found.reason, found.value) == (EMPTY, counts_as, reason, None)
    forced = one({"compare": compare, "max": 1, "when_empty": "error"}, 2.0, *past)
    assert forced.counts_as is ERROR


def test_evaluations_without_the_metric_do_not_count_in_a_mean() -> None:
    short = one({"compare": {"mean_of_last": 3}, "max": 9}, 4.0, 100.0, 1.0, None, 3.0)
    assert (short.value, short.reason) == (4 - (1 + 3) / 2, "the mean is that of 2 earlier values")
    assert one({"compare": {"mean_of_last": 2}, "max": 9}, 4.0, 1.0, 3.0).reason == ""
    below = one({"compare": {"mean_of_last": 2}, "min": 0}, 1.0, 3.0)
    assert below.reason == "changed by -2, which is below min 0; the mean is that of 1 earlier value"
    found = apply({"metric": "m", "compare": {"mean_of_last": 2}, "max": 9}, {"m": 4.0}, {"m": 2.0}, {"other": 7.0})
    assert found[0].value == 2.0


def test_an_earlier_measurement_of_a_dataset_is_called_so() -> None:
    found = one({"compare": "previous", "max": 1}, 2.0, evaluation=None)
    assert found.reason == "no earlier measurement to compare with"


def test_a_metric_without_a_value_has_no_change_and_keeps_its_reason() -> None:
    lacking = MetricValue(None, reason="no labels", counts_as_ok=True)
    found = one({"compare": "previous", "max": 1}, lacking, 1.0)
    assert (found.outcome, found.counts_as, found.reason) == (EMPTY, OK, "no labels")
    failed = MetricValue(None, reason="it raised", failed=True)
    assert one({"compare": "previous", "max": 1, "when_empty": "ok"}, failed, 1.0).counts_as is ERROR


@given(
    value=st.integers(0, 6),
    allowed=st.lists(st.integers(0, 5), min_size=1, max_size=4, unique=True),
    soft=st.one_of(st.none(), st.lists(st.integers(0, 5), max_size=3, unique=True)),
)
def test_listed_values_agree_with_the_obvious(value: int, allowed: list[int], soft: list[int] | None) -> None:
    found = one({"kind": "values", "allowed": allowed, "soft_allowed": soft}, float(value))
    expected = ERROR if value not in allowed else WARNING if soft is not None and value not in soft else OK
    assert found.outcome is expected
    assert found.value == value
    assert (found.reason == "") == (expected is OK)
    assert bounds_to_json(found.bounds) == {"allowed": allowed, **({} if soft is None else {"soft_allowed": soft})}


@pytest.mark.parametrize("when_empty", [None, "ok", "warning", "error"])
@pytest.mark.parametrize("kind", ["range", "values"])
def test_every_way_to_have_no_value(kind: str, when_empty: str | None) -> None:
    limits: dict[str, Any] = {"max": 1} if kind == "range" else {"kind": "values", "allowed": [1]}
    declared = limits | ({"when_empty": when_empty} if when_empty else {})
    chosen = {"ok": OK, "warning": WARNING, "error": ERROR}
    for forgiven in (False, True):
        found = one(declared, MetricValue(None, reason="why", counts_as_ok=forgiven))
        assert found.outcome is EMPTY
        assert found.counts_as is (chosen[when_empty] if when_empty else OK if forgiven else WARNING)
    for broken in (
        MetricValue(None, reason="why", failed=True),
        MetricValue(None, reason="why", failed=True, counts_as_ok=True),
    ):
        assert (one(declared, broken).outcome, one(declared, broken).counts_as) == (ERROR, ERROR)
    unknown = apply({"metric": "nope", **declared}, {"m": 1.0})[0]
    assert (unknown.outcome, unknown.counts_as, unknown.reason) == (ERROR, ERROR, "mes has no metric nope")
    silent = one(declared, MetricValue(None))
    assert (silent.outcome, silent.reason) == (EMPTY, "no reason is recorded")
