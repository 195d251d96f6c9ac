"""Views: what people see of evaluations, stores and runs, decided once and as plain data."""

import dataclasses
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from engine.api import tabulation
from engine.evaluation.bounds import AllowedValues, AppliedRange
from engine.evaluation.detail import ColumnDetail, ColumnImportance, Histogram, PredictionDetail
from engine.evaluation.record import CheckResult, Evaluation, Fingerprints, MetricValue
from engine.outcome import CheckOutcome, Outcome
from engine.scenarios.result import Delivery, RunResult, StepResult
from engine.scenarios.run_views import describe_run_result
from engine.spec.metrics.displayed import list_displayed_metrics
from engine.spec.resources.checks import build_bounds
from engine.spec.resources.evaluation_stores import EvaluationStoreSpec
from engine.store import MetricPoint, OutboxMessage, RunRecord, StepRecord
from engine.views import EvaluationFacts, describe_evaluation
from engine.views.charts.history import draw_history
from engine.views.checks import describe_checks, group_checks, tally_checks
from engine.views.columns import describe_columns
from engine.views.evaluation_view import HistoryView, describe_reference
from engine.views.layout import lay_out_evaluation
from engine.views.metric_text import explain_metric, format_metric_name
from engine.views.performance import describe_performance
from engine.views.predictions import describe_shares
from engine.views.run_view import describe_deliveries, describe_run
from engine.views.store_view import describe_store

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
NUMBERS = ColumnDetail(
    role="numerical",
    significant=False,
    histogram=Histogram(edges=(1.0, 2.0), reference=(5, 5, 5), batch=(4, 5, 6), missing=(0, 1)),
)
CLASSES = ColumnDetail(
    role="categorical",
    significant=False,
    histogram=Histogram(labels=("a", "b", "c"), reference=(60, 30, 5), batch=(10, 40, 35), other=(5, 15)),
)


def evaluation(metrics: dict[str, float | MetricValue | None], **changes: Any) -> Evaluation:
    made = Evaluation(
        id="e", store="the_MES", name="Q4", labels={"quarter": "4"}, created=NOW,
        fingerprints=Fingerprints("", "d", "r", "p"), engine_version="1", kernel_version="1", rows_read=100,
        rows_used=100, reference_rows=1000,
        metrics={name: v if isinstance(v, MetricValue) else MetricValue(v) for name, v in metrics.items()},
    )  # fmt: skip
    return dataclasses.replace(made, **changes)


def check(name: str, metric: str, outcome: CheckOutcome, value: float | None, **bounds: float) -> CheckResult:
    applied = AppliedRange(build_bounds(bounds)) if bounds else None
    return CheckResult("the_MES", name, metric, outcome, outcome, value, applied)


def test_columns_are_sorted_by_drift_then_by_importance_then_by_name_and_frames_have_that_order() -> None:
    found = evaluation(
        {
            "drift.unknown": MetricValue(None, reason="gone"), "drift.b": 0.0, "drift.a": 0.0, "drift.used": 0.0,
            "drift.most": 0.5, "js.a": 0.9,
        },
        columns=dict.fromkeys(("unknown", "b", "a", "used", "most"), NUMBERS),
        importance=ColumnImportance({"a": 0.1, "b": 0.1, "used": 0.7, "most": 0.1}, {}),
    )  # fmt: skip
    columns = describe_columns(found)
    assert [column.name for column in columns] == ["most", "used", "a", "b", "unknown"]
    assert (columns[-1].drift, columns[-1].reason) == (None, "gone")
    assert tabulation.tabulate_columns(found).to_frame()["column"].to_list() == [column.name for column in columns]


def test_a_column_shows_what_changed_most_if_it_has_drifted_and_else_what_is_frequent() -> None:
    names = {"drifted": dataclasses.replace(CLASSES, significant=True), "still": CLASSES, "number": NUMBERS}
    means = {"reference_mean.number": 1.5, "reference_std.number": 0.25, "mean.number": 2.0}
    by_name = {column.name: column for column in describe_columns(evaluation(means, columns=names))}
    # 10 of 100 rows of the batch are `a`, where 60 of 100 of the reference were; others are counted in the rows
    assert by_name["drifted"].reference == "a 60.0%, c 5.0%, b 30.0%"
    assert by_name["drifted"].batch == "a 10.0%, c 35.0%, b 40.0%"
    assert by_name["still"].batch == "a 10.0%, b 40.0%, c 35.0%"
    assert (by_name["number"].reference, by_name["number"].batch) == ("1.5 ± 0.25", "2")


def test_the_change_of_performance_is_worse_or_better_by_the_metric() -> None:
    found = evaluation(
        {
            "roc_auc": MetricValue(0.75, 0.7, 0.8), "performance_change.roc_auc": -0.125,
            "log_loss": 0.5, "performance_change.log_loss": -0.25,
            "f1": MetricValue(None, reason="no labels"),
            "accuracy": 0.9, "performance_change.accuracy": MetricValue(-0.01, -0.03, 0.01),
        },
        reference_performance={"roc_auc": MetricValue(0.875, 0.85, 0.9)},
    )  # fmt: skip
    rows = {row.metric: row for row in describe_performance(found)}
    assert rows["roc_auc"].reference == MetricValue(0.875, 0.85, 0.9)
    assert {name: row.sense for name, row in rows.items()} == {
        "roc_auc": "worse", "log_loss": "better", "f1": "", "accuracy": "undecided",
    }  # fmt: skip
    assert rows["f1"].reason == "no labels"


def test_a_class_has_its_own_name_whatever_is_in_it() -> None:
    metrics = {}
    for text in ("yes", '"a.b"', '"say ""hi"""'):
        metrics |= {f"reference_predicted_share.{text}": 0.25, f"predicted_share.{text}": 0.5, f"fugacity.{text}": 1.0}
    shares = describe_shares(evaluation(metrics, prediction=PredictionDetail(CLASSES)))
    assert [share.label for share in shares] == ["yes", "a.b", 'say "hi"']
    assert {(share.reference, share.batch, share.change) for share in shares} == {(0.25, 0.5, 1.0)}


def test_checks_are_sorted_by_severity_and_by_how_far_outside_they_are() -> None:
    results = [
        check("fine", "drift.a", CheckOutcome.OK, 0.0, soft_max=0.1),
        check("columns", "drift.a", CheckOutcome.WARNING, 0.2, soft_max=0.1),
        check("columns", "drift.b", CheckOutcome.WARNING, 0.4, soft_max=0.1),
        check("columns", "drift.c", CheckOutcome.OK, 0.0, soft_max=0.1),
        check("mine", "", CheckOutcome.ERROR, None),
    ]
    views = describe_checks(results)
    assert [(view.check, view.metric) for view in views] == [
        ("mine", ""), ("columns", "drift.b"), ("columns", "drift.a"), ("fine", "drift.a"), ("columns", "drift.c"),
    ]  # fmt: skip
    assert [(group.name, group.passed, len(group.results)) for group in group_checks(results)] == [
        ("mine", 0, 1),
        ("columns", 1, 3),
        ("fine", 1, 1),
    ]
    tally = tally_checks(results)
    assert [view.metric for view in tally.wrong] == ["", "drift.b", "drift.a"]
    assert tally.passed == "2 checks"
    assert tally_checks(()).passed == ""


@pytest.mark.parametrize(
    ("bounds", "value", "text", "allowed", "has_scale"),
    [
        (AppliedRange(build_bounds({"soft_max": 0.5, "min": 0.25})), 0.75, "0.75", "min 0.25, soft_max 0.5", True),
        (AppliedRange(build_bounds({"max": 7200.0}), in_seconds=True), 5400.0, "1.5h", "max 2h", False),
        (
            AppliedRange(build_bounds({"max": 0.5}), compare="previous", change="relative"),
            0.75,
            "0.75",
            "max 0.5, compare previous, change relative",
            False,
        ),
        (AllowedValues((0, 1), (0,)), 1.0, "1", "allowed [0, 1], soft_allowed [0]", False),
        (None, None, "", "", False),
    ],
)
def test_what_is_allowed_is_said_in_one_way(bounds, value, text, allowed, has_scale) -> None:
    result = CheckResult("s", "c", "drift.a", CheckOutcome.OK, CheckOutcome.OK, value, bounds)
    (view,) = describe_checks([result])
    assert (view.value_text, view.allowed, view.value_range is not None) == (text, allowed, has_scale)


@pytest.mark.parametrize(
    ("reference", "text"),
    [
        ({"kind": "model_test"}, "the held-out rows of model fraud"),
        ({"kind": "dataset", "dataset": "old", "datasets": {}}, "dataset old"),
        ({"kind": "evaluation", "evaluations": {"Q1": {}}}, "evaluation Q1"),
        ({"kind": "rolling", "evaluations": {"Q1": {}, "Q2": {}}}, "evaluations Q1 and Q2"),
        ({"kind": "rolling", "datasets": {}}, "itself, because there is no earlier evaluation"),
        ({"kind": "same_period", "evaluations": {"Mo": {}}}, "evaluation Mo"),
        (None, ""),
    ],
)
def test_a_view_says_what_the_batch_was_compared_with(reference, text) -> None:
    facts = {} if reference is None else {"reference": reference}
    assert describe_reference(EvaluationFacts("p", "batch", evaluation({}, model="fraud", facts=facts))) == text


@pytest.mark.parametrize(
    ("times", "shares"),
    [
        (["2026-03-01", "2026-03-02", "2026-03-11"], [0.1]),  # each at its place in time
        (["2026-03-01 to 2026-04-01", "2026-03-02 to 2026-03-03", "2026-03-11 00:00"], [0.1]),  # a window at its start
        (["2026-03-01", None, "2026-03-11"], [0.5]),  # one after the other
    ],
)
def test_a_chart_has_evaluations_at_their_times_if_all_have_one(times, shares) -> None:
    points = [MetricPoint(str(n), str(n), NOW, n / 10, time=time) for n, time in enumerate(times)]
    drawn = draw_history(HistoryView("data_drift", tuple(points), (None,) * len(points)), "2", str).render()
    first, second, third = [float(x) for x in re.findall(r'<circle cx="([\d.]+)"', drawn)]
    assert [(second - first) / (third - first)] == pytest.approx(shares, abs=1e-3)


def test_the_history_of_a_metric_has_the_range_of_its_check() -> None:
    points = [MetricPoint("a", "Q3", NOW, 0.5), MetricPoint("b", "none", NOW, None), MetricPoint("e", "Q4", NOW, 0.6)]
    broken = check("c", "data_drift", CheckOutcome.WARNING, 0.6, soft_max=0.5)
    drifted = evaluation({"data_drift": 0.6})
    facts = EvaluationFacts("p", "batch", drifted, [broken], history={"data_drift": points})
    view = describe_evaluation(facts)
    (history,) = view.histories
    assert [point.name for point in history.points] == ["Q3", "Q4"]
    assert history.ranges[-1] == AppliedRange(build_bounds({"soft_max": 0.5}))
    assert view.outcome is CheckOutcome.WARNING


def test_bands_of_a_chart_are_those_that_were_in_force_at_each_evaluation() -> None:
    points = tuple(MetricPoint(str(n), str(n), NOW, 0.5 + n / 100) for n in range(4))
    low, high = (AppliedRange(build_bounds({"soft_max": value})) for value in (0.55, 0.65))
    drawn = draw_history(HistoryView("data_drift", points, (None, low, low, high)), "", str).render()
    bands = [
        (float(x), float(width), float(height))
        for x, width, height in re.findall(r'<rect x="([\d.]+)" y="[\d.]+" width="([\d.]+)" height="([\d.]+)"', drawn)
    ]
    places = [float(x) for x in re.findall(r'<circle cx="([\d.]+)"', drawn)]
    (first, second) = bands
    assert first[0] == pytest.approx((places[0] + places[1]) / 2, abs=0.02)
    assert first[0] + first[1] == pytest.approx((places[2] + places[3]) / 2, abs=0.02)
    assert second[0] == pytest.approx(first[0] + first[1], abs=0.02)
    assert first[2] > second[2]  # what warns begins lower
    assert "no drift" in drawn
    assert "no drift" not in draw_history(HistoryView("roc_auc", points, (None,) * 4), "", str).render()


def test_marks_of_one_kind_are_on_one_scale_and_a_warning_says_what_happened() -> None:
    checks = [
        dataclasses.replace(check("small", "drift.a", CheckOutcome.WARNING, 0.2, soft_max=0.1), reason="why"),
        check("small", "drift.b", CheckOutcome.OK, 0.05, soft_max=0.1),
        check("other", "drift.c", CheckOutcome.OK, 0.4, soft_max=0.6),
        check("mean", "mean.a", CheckOutcome.OK, 4.0, soft_max=5.0),
        check("large", "mean.b", CheckOutcome.OK, 400.0, soft_max=500.0),
    ]
    laid_out = lay_out_evaluation(describe_evaluation(EvaluationFacts("p", "batch", evaluation({}), checks)), str)
    rows = {row["metric"]: row for group in laid_out["checks"] for row in group["results"]}
    ends = {name: (row["track"]["start"], row["track"]["end"]) for name, row in rows.items()}
    assert ends["drift of a"] == ends["drift of b"] == ends["drift of c"]
    assert ends["mean of a"] != ends["mean of b"]  # columns of their own units
    assert rows["drift of a"]["track"]["at"] == pytest.approx(rows["drift of c"]["track"]["at"] / 2, rel=0.02)
    assert rows["drift of a"]["told"] == "soft max 0.1; why"
    assert laid_out["left_undrawn"] == 1


@pytest.mark.parametrize(
    ("metric", "name"),
    [
        ("roc_auc", "ROC AUC"),
        ("estimated_roc_auc", "estimated ROC AUC"),
        ("psi.age", "PSI of age"),
        ('drift."a.b_c"', "drift of a.b_c"),
        ("prediction_drift.drift", "prediction drift"),
        ("prediction_drift.psi", "prediction drift: PSI"),
        ("performance_change.roc_auc", "performance change of ROC AUC"),
        ("fugacity.1", "fugacity of 1"),
        ("segment.small shops.drift.age", "drift of age in small shops"),
        ("gross_margin", "gross margin"),
    ],
)
def test_a_metric_has_a_name_for_people(metric: str, name: str) -> None:
    assert format_metric_name(metric) == name
    assert explain_metric(metric)


def test_a_store_shows_the_metrics_of_display_else_the_summary_of_drift() -> None:
    declared = {"dataset": "d", "reference": {"kind": "dataset", "dataset": "d"}}
    assert list_displayed_metrics(EvaluationStoreSpec.model_validate(declared)) == ["data_drift", "drifted_columns"]
    shown = EvaluationStoreSpec.model_validate(declared | {"display": {"metrics": ["drift.a", "data_drift"]}})
    assert list_displayed_metrics(shown) == ["drift.a", "data_drift"]


def test_a_store_has_the_worst_outcome_of_each_check_and_says_once_why_a_metric_has_no_value() -> None:
    unknown = MetricValue(None, reason="no labels")
    found = [
        evaluation({"roc_auc": unknown, "drift.a": 0.5, "other": 1.0}, id="1"),
        evaluation({"roc_auc": unknown, "drift.b": 0.25}, id="2"),
    ]
    store = describe_store(
        "the_MES", ["roc_auc", "drift.*"], found, {"1": {"wide": [CheckOutcome.OK, CheckOutcome.ERROR]}}
    )
    assert store.metrics == ("roc_auc", "drift.a", "drift.b")
    assert [list(row.metrics) for row in store.evaluations] == [["roc_auc", "drift.a"], ["roc_auc", "drift.b"]]
    assert [row.outcomes for row in store.evaluations] == [{"wide": CheckOutcome.ERROR}, {}]
    assert store.list_reasons() == ["roc_auc is unknown: no labels"]
    table = tabulation.tabulate_evaluations(store).to_frame()
    assert table.columns == ["name", "labels.quarter", "created", "rows", *store.metrics, "checks.wide", "id"]


def test_a_run_looks_the_same_just_after_it_and_from_the_store() -> None:
    end = NOW + timedelta(seconds=90)
    found = [check("c", "drift.a", CheckOutcome.ERROR, 0.5, max=0.1)]
    result = RunResult(
        id="20261123-1-abc", project="p", scenario="Watch", outcome=Outcome.FAILED, started=NOW, ended=end,
        trigger="manual", who="a@b", variables={"batch": "x"},
        steps=[
            StepResult(
                name="check", kind="run_checks", outcome=Outcome.FAILED, reason="why", turn={"batch": "x", "n": 1},
                started=NOW, ended=end, checks=found,
            )
        ],
        deliveries=[Delivery(reporter="r", channel="c", state="PENDING", reason="down")],
    )  # fmt: skip
    record = RunRecord(
        id=result.id, project="p", scenario="Watch", started=NOW, who="a@b", variables={"batch": "x"}, ended=end,
        outcome=Outcome.FAILED,
        steps=(
            StepRecord(
                name="check", kind="run_checks", outcome=Outcome.FAILED, started=NOW, ended=end, reason="why",
                turn={"batch": "x", "n": 1},
            ),
        ),
    )  # fmt: skip
    message = OutboxMessage("m", result.id, "r", "c", (), "s", "t", NOW, last_error="down")
    fresh, stored = describe_run_result(result), describe_run(record, found, describe_deliveries([message]))
    assert (fresh.seconds, fresh.short_id, fresh.state) == (90.0, "abc", "FAILED")
    assert fresh.steps[0].iteration == "batch = x, n = 1"
    assert [view.metric for view in fresh.steps[0].checks.wrong] == ["drift.a"]
    without_tally = tuple(dataclasses.replace(step, checks=tally_checks(())) for step in fresh.steps)
    assert dataclasses.replace(fresh, steps=without_tally) == stored
    assert dataclasses.replace(describe_run(record), state="RUNNING", ended=None).seconds is None
