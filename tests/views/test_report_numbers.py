"""What a page says in words and draws as ranges: figures for people, three sentences, scales that agree with checks."""

import dataclasses
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from engine.errors import Position
from engine.evaluation.bounds import AppliedRange, bounds_from_json
from engine.evaluation.checks.application import apply_check
from engine.evaluation.checks.target import CheckTarget
from engine.evaluation.detail import ColumnDetail, Histogram
from engine.evaluation.record import CheckResult, Evaluation, Fingerprints, MetricValue
from engine.formatting.numbers import format_figure, format_p_value, format_share
from engine.outcome import CheckOutcome
from engine.spec.code_folder import CodeFolder
from engine.spec.resources.checks import RangeCheck, build_bounds
from engine.views import EvaluationFacts, describe_evaluation, render_page
from engine.views.metric_text import format_metric, format_metric_change
from engine.views.ranges import choose_scale, cut_zones

NOW = datetime(2026, 1, 1, tzinfo=UTC)
OF_ZONES = {"ok": CheckOutcome.OK, "warning": CheckOutcome.WARNING, "error": CheckOutcome.ERROR}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0, "0"),
        (71160.0, "71,160"),
        (0.59649, "0.5965"),
        (0.5, "0.5"),
        (-0.0385, "\N{MINUS SIGN}0.0385"),
        (1234.567, "1,235"),
        (9999.6, "10,000"),
        (2.3456e-7, "2.346 \N{MULTIPLICATION SIGN} 10⁻⁷"),
        (123456789012.0, "1.235 \N{MULTIPLICATION SIGN} 10¹¹"),
        (float("inf"), "∞"),
        (-float("inf"), "\N{MINUS SIGN}∞"),
    ],
)
def test_figures_have_four_significant_digits(value, text):
    assert format_figure(value) == text


@given(st.floats(-1e300, 1e300))
def test_a_figure_is_near_its_value_and_short(value):
    text = format_figure(value)
    assert len(text) <= 16
    plain = text.replace("\N{MINUS SIGN}", "-").replace(",", "").replace(" \N{MULTIPLICATION SIGN} 10", "e")
    plain = plain.translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789"))
    assert float(plain) == pytest.approx(value, rel=6e-4)


def test_numbers_are_written_with_their_units():
    assert (format_share(0.781234), format_share(1.0), format_share(0.000213), format_share(None)) == (
        "78.1 %",
        "100 %",
        "0.0213 %",
        "–",
    )
    assert (format_p_value(0.04321), format_p_value(1e-9)) == ("0.04321", "< 0.0001")
    assert format_metric("missing_share.a", 0.25) == "25 %"
    assert format_metric('predicted_share."a.b"', 0.25) == "25 %"
    assert format_metric("fugacity.1", 1.13) == "+113 %"
    assert format_metric("drift_p.age", 1e-12) == "< 0.0001"
    assert format_metric("row_count", 71160.0) == "71,160"
    assert format_metric_change("row_count", 12.0) == "+12"
    assert format_metric_change("drift_p.age", -0.5) == "−0.5"
    assert format_metric_change("fugacity.1", 0.5) == "+50 %"
    assert format_metric_change("roc_auc", 0.0) == "0"


bounds_of = st.lists(st.floats(-1e6, 1e6), min_size=4, max_size=4, unique=True).map(sorted)


@given(bounds_of, st.sets(st.sampled_from(["min", "soft_min", "soft_max", "max"]), min_size=1), st.floats(-1e6, 1e6))
@example([0.0, 1.0, 2.0, 3.0], {"soft_max"}, 2.0)
@example([-5e-324, 1.0, 2.0, 3.0], {"min"}, -5e-324)
def test_a_value_lies_where_its_check_says(edges, named, value):
    bounds = {
        name: edge for name, edge in zip(("min", "soft_min", "soft_max", "max"), edges, strict=True) if name in named
    }
    assume(all(abs(value - edge) > 1e-6 or value == edge for edge in bounds.values()))
    check = RangeCheck(metric="mine", **bounds)
    subject = CheckTarget("s", NOW, {"mine": MetricValue(value)}, [], CodeFolder(Path()), str)
    [result] = apply_check("c", check, subject, Position("s.yaml"))
    applied = AppliedRange(build_bounds(bounds))
    start, end = choose_scale("mine", [applied], [value])
    drawn = cut_zones(applied, start, end)
    assert start < value < end
    assert [zone.end for zone in drawn[:-1]] == [zone.start for zone in drawn[1:]]
    assert (drawn[0].start, drawn[-1].end) == (start, end)
    # bounds are inclusive: at one, the better side counts
    assert result.outcome in {OF_ZONES[zone.kind] for zone in drawn if zone.start <= value <= zone.end}


def test_a_scale_stays_within_what_is_possible():
    at_least = AppliedRange(build_bounds({"soft_min": 0.7}))
    assert choose_scale("drift.a", [AppliedRange(build_bounds({"soft_max": 0.1}))], [0.17])[0] == 0
    assert choose_scale("roc_auc", [at_least], [0.98])[1] == 1
    assert choose_scale("roc_auc", [at_least], [0.76])[0] > 0.6


COLUMN = ColumnDetail(
    role="numerical", significant=False,
    histogram=Histogram(edges=(1.0, 2.0), reference=(5, 5, 5), batch=(4, 5, 6), missing=(0, 1)),
)  # fmt: skip


def evaluation(metrics: Mapping[str, Any], **changes: Any) -> Evaluation:
    made = Evaluation(
        id="e", store="the_MES", name="Q4 2017", labels={}, created=datetime(2026, 11, 23, tzinfo=UTC),
        fingerprints=Fingerprints("", "d", "r", "p"), engine_version="1", kernel_version="1", rows_read=100,
        rows_used=100, reference_rows=1000,
        metrics={name: v if isinstance(v, MetricValue) else MetricValue(v) for name, v in metrics.items()},
    )  # fmt: skip
    return dataclasses.replace(made, **changes)


def check(name: str, outcome: CheckOutcome) -> CheckResult:
    return CheckResult("the_MES", name, "data_drift", outcome, outcome, 0.6, bounds_from_json({"soft_max": 0.5}))


def test_what_happened_in_sentences():
    columns = dict.fromkeys(("age", "score", "a", "b"), COLUMN)
    metrics = {
        "drift.age": 0.18, "drift.score": 0.12, "drift.a": 0.05, "drift.b": 0.0,
        "data_drift": MetricValue(0.6, 0.58, 0.62), "data_drift_significant": 1.0, "data_drift_low": 0.585,
        "labelled_share": 0.5, "roc_auc": 0.75, "performance_change.roc_auc": -0.05, "prediction_drift.drift": 0.1,
    }  # fmt: skip
    checks = [check("a", CheckOutcome.WARNING), check("a", CheckOutcome.OK), check("b", CheckOutcome.OK)]
    facts = EvaluationFacts("p", "batch", evaluation(metrics, columns=columns), checks)
    assert list(describe_evaluation(facts).summary.sentences) == [
        "Of 2 checks 1 warned: data drift 0.6 is above soft_max 0.5 (“a”).",
        (
            "100 rows of batch were compared with 1,000 of the reference: a model distinguishes them with an accuracy "
            "of 0.6 (0.58 to 0.62), more than chance (0.5); at least 17 % of the batch differs."
        ),
        "2 of 4 columns drifted: age (0.18) and score (0.12), and the predictions moved by 0.1.",
        "On the 50 % of the rows that have a target value, ROC AUC is 0.75, 0.05 below the reference's.",
    ]


def test_headlines_of_a_batch_without_drift_or_labels():
    metrics = {
        "data_drift": 0.5,
        "data_drift_significant": 0.0,
        "data_drift_low": 0.48,
        "labelled_share": 0.0,
        "prediction_drift.drift": 0.0,
    }
    facts = EvaluationFacts(
        "p", "batch", evaluation(metrics, columns={"a": COLUMN, "b": COLUMN}), [check("a", CheckOutcome.OK)]
    )
    checks, drift, *rest = describe_evaluation(facts).summary.sentences
    assert checks == "The one check holds."
    assert rest == [
        "None of the 2 columns drifted: chance explains every difference, and the predictions stayed where they were.",
        "How the model performs is not known: no row has a value in the target column yet.",
    ]
    assert drift.endswith("no more than chance (0.5).")


def test_an_evaluation_of_nothing_has_a_page_too():
    nothing = {"data_drift": MetricValue(None, reason="the batch has no rows")}
    text = render_page(describe_evaluation(EvaluationFacts("p", "batch", evaluation(nothing, rows_used=0))))
    assert "the batch has no rows" in text
    assert "The store declares no checks." in text
    render_page(describe_evaluation(EvaluationFacts("p", "batch", evaluation({}))))
