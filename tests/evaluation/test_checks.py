"""What a check makes of metrics, bounds and the past."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import Position
from engine.evaluation.bounds import bounds_to_json
from engine.evaluation.checks.application import apply_check
from engine.evaluation.checks.counts import PassedChecks, sort_by_severity
from engine.evaluation.checks.target import CheckTarget, PastMetrics
from engine.evaluation.record import CheckResult, MetricValue
from engine.outcome import CheckOutcome
from engine.spec.code_folder import CodeFolder
from engine.spec.resources.checks import Check, MeanOfLast, PythonCheck, Range, RangeCheck, ValuesCheck

OK, WARNING, ERROR, EMPTY = CheckOutcome.OK, CheckOutcome.WARNING, CheckOutcome.ERROR, CheckOutcome.EMPTY
HERE = Position("spec.yaml", 3, 5, 4)
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def found(
    check: Check,
    metrics: dict[str, MetricValue],
    *past: dict[str, float | None],
    folder: Path = Path(),
) -> list[CheckResult]:
    earlier = [PastMetrics(NOW, {name: MetricValue(value) for name, value in metrics.items()}) for metrics in past]
    target = CheckTarget("store", NOW, metrics, earlier, CodeFolder(folder), mask, "e1")
    return apply_check("the check", check, target, HERE)


def mask(text: str) -> str:
    return text.replace("hunter22", "***")


def one(check: Check, value: float | None, *past: dict[str, float | None], **known: object) -> CheckResult:
    metrics = {"m": MetricValue(value, **known)}
    (result,) = found(check, metrics, *past)
    return result


@pytest.mark.parametrize(
    ("value", "outcome", "reason"),
    [
        (0.9, ERROR, "0.9 is below min 1"),
        (1.0, WARNING, "1 is below soft_min 2"),
        (2.0, OK, ""),
        (3.0, OK, ""),
        (3.5, WARNING, "3.5 is above soft_max 3"),
        (4.0, WARNING, "4 is above soft_max 3"),
        (4.1, ERROR, "4.1 is above max 4"),
        (float("inf"), ERROR, "inf is above max 4"),
    ],
)
def test_bounds_are_inclusive_and_the_hard_ones_win(value: float, outcome: CheckOutcome, reason: str) -> None:
    result = one(RangeCheck(metric="m", min=1, soft_min=2, soft_max=3, max=4), value)
    assert (result.outcome, result.counts_as, result.reason) == (outcome, outcome, reason)
    assert bounds_to_json(result.bounds) == {"min": 1, "soft_min": 2, "soft_max": 3, "max": 4}
    assert (result.position, result.evaluation, result.target) == (HERE, "e1", "store")


@pytest.mark.parametrize(("rows", "counts_as"), [(0, WARNING), (1, OK), (29, OK)])
def test_few_rows_count_as_ok_but_a_batch_without_any_does_not(rows: int, counts_as: CheckOutcome) -> None:
    metrics = {"row_count": MetricValue(float(rows)), "m": MetricValue(9.0)}
    (result,) = found(RangeCheck(metric="m", max=4, min_rows=30), metrics)
    assert (result.outcome, result.counts_as) == (EMPTY, counts_as)
    in_segment = {f"segment.a.{name}": value for name, value in metrics.items()}
    (result,) = found(RangeCheck(metric="m", max=4, min_rows=30, segment="a"), metrics | in_segment)
    assert (result.outcome, result.counts_as) == (EMPTY, OK)


@given(
    value=st.floats(allow_nan=False),
    bounds=st.lists(st.one_of(st.none(), st.floats(allow_nan=False)), min_size=4, max_size=4),
)
def test_any_range_agrees_with_the_obvious(value: float, bounds: list[float | None]) -> None:
    low, soft_low, soft_high, high = bounds
    hard = (low is None or value >= low) and (high is None or value <= high)
    soft = (soft_low is None or value >= soft_low) and (soft_high is None or value <= soft_high)
    check = RangeCheck(metric="m", min=low, soft_min=soft_low, soft_max=soft_high, max=high)
    assert one(check, value).outcome is (ERROR if not hard else OK if soft else WARNING)


@pytest.mark.parametrize(
    ("when_empty", "counts_as"), [(None, WARNING), ("ok", OK), ("warning", WARNING), ("error", ERROR)]
)
def test_no_value_is_empty_and_counts_as_the_spec_says(when_empty: str | None, counts_as: CheckOutcome) -> None:
    check = RangeCheck.model_validate({"metric": "m", "max": 1, "when_empty": when_empty})
    result = one(check, None, reason="the batch has no rows")
    assert (result.outcome, result.counts_as) == (EMPTY, counts_as)
    assert (result.value, result.reason) == (None, "the batch has no rows")


def test_lacking_labels_is_forgiven_unless_the_spec_says_otherwise() -> None:
    assert one(RangeCheck(metric="m", max=1), None, counts_as_ok=True).counts_as is OK
    assert one(RangeCheck(metric="m", max=1, when_empty="error"), None, counts_as_ok=True).counts_as is ERROR


def test_a_metric_that_failed_or_is_unknown_is_an_error_even_where_empty_is_fine() -> None:
    check = RangeCheck(metric="m", max=1, when_empty="ok")
    result = one(check, None, reason="it raised", failed=True)
    assert (result.outcome, result.counts_as, result.reason) == (ERROR, ERROR, "it raised")
    (unknown,) = found(check, {})
    assert (unknown.outcome, unknown.reason) == (ERROR, "store has no metric m")


def test_an_unknown_metric_says_of_what_its_statistic_is_known() -> None:
    metrics = {"ks.amount": MetricValue(0.1), "ks.age": MetricValue(0.2)}
    (misspelt,) = found(RangeCheck(metric="ks.amuont", max=1), metrics)
    assert misspelt.reason == 'store has no metric ks.amuont; did you mean "amount"?'
    (categorical,) = found(RangeCheck(metric="ks.kind", max=1), metrics)
    assert categorical.reason == "store has no metric ks.kind; ks exists for amount, age"


def test_a_result_is_reported_on_one_line() -> None:
    assert one(RangeCheck(metric="m", max=1), 2.0).summary == "the check: m 2 is above max 1"
    assert one(RangeCheck(metric="m", max=1), None, reason="no rows").summary == "the check: m has no value: no rows"
    change = RangeCheck(metric="m", compare="previous", change="relative", soft_min=-0.3)
    fallen = one(change, 1.0, {"m": 2.0})
    assert fallen.summary == "the check: m changed by -0.5, which is below soft_min -0.3"
    assert bounds_to_json(fallen.bounds) == {"soft_min": -0.3, "compare": "previous", "change": "relative"}


def test_a_wildcard_gives_one_result_a_metric_and_except_overrides() -> None:
    check = RangeCheck.model_validate({"metric": "drift.*", "soft_max": 0.1, "except": {"drift.b": {"soft_max": 0.5}}})
    metrics = {
        name: MetricValue(value)
        for name, value in {"drift.a": 0.2, "drift.b": 0.4, "drift_p.a": 0.9, "psi.a": 9}.items()
    }
    assert [(r.metric, r.outcome, bounds_to_json(r.bounds)) for r in found(check, metrics)] == [
        ("drift.a", WARNING, {"soft_max": 0.1}),
        ("drift.b", OK, {"soft_max": 0.5}),
    ]


def test_an_exception_for_a_metric_that_is_not_there_is_reported() -> None:
    check = RangeCheck.model_validate({"metric": "drift.*", "max": 1, "except": {"drift.agee": {"max": 0.5}}})
    kept, unused = found(check, {"drift.age": MetricValue(0.1)})
    assert (kept.metric, kept.outcome) == ("drift.age", OK)
    assert (unused.metric, unused.outcome, unused.counts_as) == ("drift.agee", EMPTY, WARNING)
    assert unused.reason == 'except names it, but store has no metric drift.agee; did you mean "age"?'
    *_, unused = found(check.model_copy(update={"when_empty": "ok"}), {"drift.age": MetricValue(0.1)})
    assert unused.counts_as is OK


def test_a_wildcard_that_matches_nothing_is_an_error() -> None:
    (result,) = found(RangeCheck(metric="drift.*", max=1), {"psi.a": MetricValue(0)})
    assert (result.outcome, result.reason) == (ERROR, "drift.* matches no metric of store")


def test_a_value_is_ok_a_warning_or_an_error_by_the_sets_it_is_in() -> None:
    check = ValuesCheck(metric="m", allowed=[0, 1, 2], soft_allowed=[0, 1])
    assert one(check, 1.0).outcome is OK
    assert one(check, 2.0).reason == "2 is not in soft_allowed (0, 1)"
    assert one(check, 2.0).outcome is WARNING
    assert one(check, 3.0).outcome is ERROR
    assert one(check, None).outcome is EMPTY


def test_change_against_the_past() -> None:
    previous = RangeCheck(metric="m", max=0.5, compare="previous")
    assert one(previous, 3.0, {"m": 1.0}, {"m": 2.75}).value == 0.25
    assert one(previous, 3.0, {"m": 1.0}, {"m": 2.0}).outcome is ERROR
    mean = RangeCheck(metric="m", max=0.5, compare=MeanOfLast(mean_of_last=2), change="relative")
    assert one(mean, 3.0, {"m": 100.0}, {"m": 1.0}, {"m": 3.0}).value == 0.5
    first = one(previous, 3.0)
    assert (first.outcome, first.reason) == (EMPTY, "no earlier evaluation to compare with")
    assert one(mean, 3.0, {"m": 0.0}).reason == "a relative change from 0 is not defined"


def test_change_against_the_reference() -> None:
    metrics = {
        "mean.a": MetricValue(3.0),
        "reference_mean.a": MetricValue(2.0),
        "roc_auc": MetricValue(0.75),
        "performance_change.roc_auc": MetricValue(-0.125),
        "psi.a": MetricValue(0.1),
    }
    for metric, change in {"mean.a": 1.0, "roc_auc": -0.125}.items():
        (result,) = found(RangeCheck(metric=metric, max=9, compare="reference"), metrics)
        assert result.value == change
    (result,) = found(RangeCheck(metric="psi.a", max=9, compare="reference"), metrics)
    assert (result.outcome, result.reason) == (EMPTY, "the reference has no psi.a")


def test_a_function_judges(tmp_path: Path) -> None:
    (tmp_path / "judges.py").write_text(
        "def strict(metrics, limit):\n"
        "    return ('ERROR', f'too much: {metrics[\"m\"]}') if metrics['m'] > limit else 'OK'\n"
        "def vague(metrics):\n"
        "    return 'maybe'\n"
    )
    check = PythonCheck(function="judges:strict", arguments={"limit": 1})
    (result,) = found(check, {"m": MetricValue(2.0)}, folder=tmp_path)
    assert (result.outcome, result.reason) == (ERROR, "too much: 2.0")
    (result,) = found(check, {"m": MetricValue(1.0)}, folder=tmp_path)
    assert result.outcome is OK
    (result,) = found(PythonCheck(function="judges:vague"), {}, folder=tmp_path)
    assert result.outcome is ERROR
    assert "returned 'maybe'; a check must return one of OK, EMPTY, WARNING, ERROR" in result.reason


def test_a_function_that_raises_is_an_error_and_what_it_says_is_redacted(tmp_path: Path) -> None:
    (tmp_path / "raises.py").write_text("def up(metrics):\n    raise ValueError('the password is hunter22')\n")
    (result,) = found(PythonCheck(function="raises:up"), {}, folder=tmp_path)
    assert result.outcome is ERROR
    assert "the password is ***" in result.reason
    assert "raises.py" in result.reason


def test_an_excepted_metric_may_have_no_bound() -> None:
    check = RangeCheck.model_validate({"metric": "drift.*", "max": 0, "except": {"drift.a": Range(soft_max=1)}})
    (result,) = found(check, {"drift.a": MetricValue(0.5)})
    assert result.outcome is OK


def passed(*results: tuple[str, str, CheckOutcome, CheckOutcome]) -> str:
    made = [CheckResult("s", name, metric, outcome, counts, reason="why") for name, metric, outcome, counts in results]
    return PassedChecks.select(made).count()


def test_a_count_of_checks_says_how_many_measured_nothing() -> None:
    fine, late = ("a", "m", OK, OK), ("b", "roc_auc", EMPTY, OK)
    assert passed(fine) == "1 check"
    assert passed(fine, ("b", "n", OK, OK), ("c", "o", EMPTY, WARNING)) == "2 checks"
    assert passed(fine, late) == "2 checks, 1 of them measured nothing: roc_auc (why)"
    assert passed(late) == "1 check, which measured nothing: roc_auc (why)"
    assert passed(late, ("b", "f1", EMPTY, OK)) == "2 metrics of 'b', both of which measured nothing: roc_auc, f1 (why)"
    assert passed(("mine", "", EMPTY, OK)) == "1 check, which measured nothing: mine (why)"


def test_a_check_of_all_columns_names_those_that_moved_most() -> None:
    values = {"data_drift": 0.9, "drift.a": 0.1, "drift.b": 0.0, "drift.c": 0.4, "drift.d": 0.2, "drift.e": 0.3}
    metrics = {name: MetricValue(value) for name, value in values.items()}
    [result] = found(RangeCheck(metric="data_drift", soft_max=0.6), metrics)
    assert result.reason == "0.9 is above soft_max 0.6; most moved: c (0.4), e (0.3), d (0.2)"
    [alone] = found(RangeCheck(metric="data_drift", soft_max=0.6), {"data_drift": MetricValue(0.9)})
    assert alone.reason == "0.9 is above soft_max 0.6"


def test_the_worst_comes_first() -> None:
    metrics = {f"drift.c{number}": MetricValue(number / 10) for number in range(8)} | {"drift.x": MetricValue(None)}
    results = sort_by_severity(found(RangeCheck(metric="drift.*", soft_max=0.1, max=0.5), metrics))
    assert [one.metric for one in results[:2]] == ["drift.c7", "drift.c6"]
    assert [one.metric for one in results[2:7]] == ["drift.x", "drift.c5", "drift.c4", "drift.c3", "drift.c2"]
