"""Metric names are read, resolved and written back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.spec.metrics.catalogue import METRICS, list_members, list_statistics
from engine.spec.metrics.lookup import find_metric_definition
from engine.spec.metrics.names import MetricName, normalize_metric_name, parse_metric_name
from engine.spec.metrics.owner import MetricOwner
from engine.spec.problem import Problem
from engine.spec.reference.codes import DIAGNOSTIC_CODES


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("data_drift", MetricName("data_drift")),
        ("psi.card_age", MetricName("psi", "card_age")),
        ('psi."a.b"', MetricName("psi", "a.b")),
        ('psi."say ""a"""', MetricName("psi", 'say "a"')),
        ('drift."*"', MetricName("drift", "*")),
        ("drift.*", MetricName("drift", wildcard=True)),
        ("prediction_drift.psi", MetricName("prediction_drift", "psi")),
        ("performance_change.roc_auc", MetricName("performance_change", "roc_auc")),
        ("predicted_share.1", MetricName("predicted_share", "1")),
        ("mean.the amount", MetricName("mean", "the amount")),
    ],
)
def test_a_legal_name_is_taken_apart(text: str, name: MetricName) -> None:
    assert MetricOwner("store").resolve(text) == name


@pytest.mark.parametrize(
    ("text", "place", "code", "help_"),
    [
        ("data_dirft", (0, 10), "unknown-metric", 'did you mean "data_drift"?'),
        ("dirft.*", (0, 5), "unknown-metric", 'did you mean "drift.*"?'),
        ("ROC_AUC", (0, 7), "unknown-metric", 'did you mean "roc_auc"?'),
        ("auc", (0, 3), "unknown-metric", 'did you mean "roc_auc"?'),
        ("null_share.x", (0, 10), "unknown-metric", 'did you mean "missing_share.x"?'),
        ("prediction_drift.psy", (17, 3), "unknown-metric", 'did you mean "prediction_drift.psi"?'),
        ("performance_change.auc", (19, 3), "unknown-metric", 'did you mean "performance_change.roc_auc"?'),
        ("psi", (0, 3), "metric-member", "write psi.<column>, or psi.* for all"),
        ("data_drift.card_age", (10, 9), "metric-member", "write data_drift"),
        ("data_drift.*", (10, 2), "metric-member", "write data_drift"),
        ("psi.a.b", (4, 3), "bad-metric", 'write psi."a.b"'),
        ("drift.card_*", (6, 6), "bad-metric", 'write drift."card_*"'),
        ("psi.", (4, 1), "bad-metric", "write psi.<column>, or psi.* for every column"),
        ('psi."a', (4, 2), "bad-metric", 'end it with a quote, and double each quote inside: psi."a""b"'),
    ],
)
def test_a_wrong_name_gets_its_answer(text: str, place: tuple[int, int], code: str, help_: str) -> None:
    problem = MetricOwner("store").resolve(text)
    assert isinstance(problem, Problem)
    assert (problem[:2], problem.code, problem.help) == (place, code, help_)
    assert code in DIAGNOSTIC_CODES


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("drift_income", "drift.income"),
        ("drift income", "drift.income"),
        ("drift of income", "drift.income"),
        ("psi-age", "psi.age"),
        ("psi[age]", "psi.age"),
        ("ks(age)", "ks.age"),
        ("age psi", "psi.age"),
        ("income_drift", "drift.income"),
        ("missing_share_income", "missing_share.income"),
        ("missing_share_change_x", "missing_share_change.x"),
        ("psi_a.b", 'psi."a.b"'),
        ("prediction_drift_psi", "prediction_drift.psi"),
        ("performance_change_roc_auc", "performance_change.roc_auc"),
        ("drift_lo", "drift_low.<column>"),
        ("drifted_column", "drifted_columns"),
        ("roc_auc_score", "roc_auc"),
        ("performance_chang", "performance_change.roc_auc"),
    ],
)
def test_a_column_without_its_dot_is_understood(text: str, meant: str) -> None:
    problem = MetricOwner("store").resolve(text)
    assert isinstance(problem, Problem)
    assert problem.help == f'did you mean "{meant}"?'
    of_dataset = MetricOwner("dataset").resolve("missing_share_x")
    assert isinstance(of_dataset, Problem)
    assert of_dataset.help == 'did you mean "missing_share.x"?'


def test_a_store_and_a_dataset_do_not_share_their_metrics() -> None:
    problem = MetricOwner("store").resolve("column_count")
    assert isinstance(problem, Problem)
    assert problem.message == "column_count is a metric of a dataset, but this is an evaluation store"
    assert isinstance(MetricOwner("dataset").resolve("data_drift"), Problem)
    assert MetricOwner("dataset").resolve("missing_count.amount") == MetricName("missing_count", "amount")


def test_a_metric_asks_for_its_model_and_its_task() -> None:
    without, other = (
        MetricOwner("store", task=None).resolve("roc_auc"),
        MetricOwner("store", task="regression").resolve("performance_change.roc_auc"),
    )
    assert isinstance(without, Problem)
    assert isinstance(other, Problem)
    assert without.code == "metric-needs-model"
    assert other.code == "metric-needs-task"
    assert MetricOwner("store", task="regression").resolve("rmse") == MetricName("rmse")
    assert MetricOwner("store", task=None).resolve("data_drift") == MetricName("data_drift")


def test_the_users_own_metrics_win() -> None:
    custom_metrics = {"gain", "psi", "per.mille"}
    assert MetricOwner("store", custom_metrics=custom_metrics).resolve("psi") == MetricName("psi")
    assert MetricOwner("store", custom_metrics=custom_metrics).resolve("per.mille") == MetricName("per.mille")
    misspelt = MetricOwner("dataset", custom_metrics=custom_metrics).resolve("gian")
    assert isinstance(misspelt, Problem)
    assert misspelt.help == 'did you mean "gain"?'


@given(st.text(min_size=1), st.sampled_from(list_statistics("store")))
def test_any_column_can_be_written_and_is_read_back(column: str, statistic: str) -> None:
    name = MetricName(statistic, column)
    assert parse_metric_name(str(name)) == name


def test_a_name_has_one_spelling() -> None:
    assert [normalize_metric_name(text) for text in ('psi."x"', "psi.x", 'psi."a.b"', "data_drift", "psi.")] == [
        "psi.x",
        "psi.x",
        'psi."a.b"',
        "data_drift",
        "psi.",
    ]


@given(st.text())
def test_any_text_is_a_name_or_a_problem_inside_it(text: str) -> None:
    read = parse_metric_name(text)
    if isinstance(read, Problem):
        assert 0 <= read.offset <= len(text)
        assert read.length >= 1
    else:
        assert parse_metric_name(str(read)) == read
    assert isinstance(MetricOwner("store").resolve(text), Problem | MetricName)


def test_the_table_is_sound() -> None:
    keys = [(metric.scope, metric.name) for metric in METRICS]
    assert len(keys) == len(set(keys))
    for metric in METRICS:
        assert metric.description.endswith(".")
        if metric.neutral is not None and metric.low is not None:
            assert metric.low <= metric.neutral
        assert (metric.member == "column") == bool(metric.roles)
        for member in list_members(metric) or []:
            assert MetricOwner(metric.scope).resolve(f"{metric.name}.{member}") == MetricName(metric.name, member)


def test_a_definition_follows_what_the_metric_is_taken_on() -> None:
    drift = MetricOwner("store").resolve("data_drift")
    change = MetricOwner("store").resolve("performance_change.log_loss")
    auc = MetricOwner("store").resolve("performance_change.roc_auc")
    of_prediction = MetricOwner("store").resolve("prediction_drift.ks")
    assert isinstance(drift, MetricName)
    assert isinstance(change, MetricName)
    assert isinstance(auc, MetricName)
    assert isinstance(of_prediction, MetricName)
    assert find_metric_definition(drift, "store").neutral == 0.5
    assert find_metric_definition(change, "store").worse == "higher"
    assert (find_metric_definition(auc, "store").low, find_metric_definition(auc, "store").high) == (-1, 1)
    assert find_metric_definition(of_prediction, "store").high == 1
    assert find_metric_definition(MetricName("mine"), "store").high is None
