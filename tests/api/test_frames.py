"""The frames of the Python API: their columns, types and order, what is newest, and that they agree with each other."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import engine
from engine.api import tabulation
from engine.errors import UsageError
from engine.evaluation.bounds import AppliedRange
from engine.evaluation.record import CheckResult, Evaluation, Fingerprints, MetricValue
from engine.outcome import CheckOutcome, worst_check_outcome
from engine.spec.resources.checks import build_bounds
from engine.views.run_view import describe_run
from engine.views.store_view import describe_store

from ..command_line import call_engine

TIME = pl.Datetime("us", "UTC")


def test_an_empty_project_has_the_frames_of_a_full_one_without_rows(
    empty_shop: engine.Project, shop: engine.Project
) -> None:
    for name, read in {
        "runs": lambda project: project.runs(),
        "outbox": lambda project: project.outbox(),
        "checks": lambda project: project.store("mes").checks(),
        "checks of a dataset": lambda project: project.checks("sales"),
    }.items():
        empty, full = read(empty_shop), read(shop)
        assert empty.is_empty(), name
        assert empty.schema == full.schema, name
    evaluations = empty_shop.store("mes").evaluations(intervals=True)
    # labels, intervals and outcomes are columns once there are some
    assert dict(evaluations.schema) == {
        "name": pl.String,
        "created": TIME,
        "rows": pl.Int64,
        "drift.amount": pl.Float64,
        "data_drift": pl.Float64,
        "id": pl.String,
    }
    assert empty_shop.store("mes").select() == []
    assert empty_shop.store("mes").removals() == []


def test_evaluations_have_facts_labels_metrics_and_outcomes_in_this_order(shop: engine.Project) -> None:
    frame = shop.store("mes").evaluations(["north", "data_drift"], intervals=True)
    assert dict(frame.schema) == {
        "name": pl.String,
        "labels.year": pl.String,
        "labels.week": pl.String,
        "created": TIME,
        "rows": pl.Int64,
        "north": pl.Float64,
        "data_drift": pl.Float64,
        "low.data_drift": pl.Float64,
        "high.data_drift": pl.Float64,
        "checks.columns": pl.String,
        "checks.north as before": pl.String,
        "checks.mine": pl.String,
        "checks.lazy": pl.String,
        "id": pl.String,
    }
    assert frame["name"].to_list() == ["w1", "w2", "w3"]
    assert frame["created"].is_sorted()
    assert frame["checks.columns"].to_list() == ["OK", "OK", "WARNING"]
    assert frame["checks.north as before"].to_list() == ["EMPTY", "OK", "WARNING"]
    assert (frame["low.data_drift"] < frame["data_drift"]).all()


@pytest.mark.parametrize("last", [0, 1, 2, 3, 99])
def test_last_keeps_the_newest_and_their_order(shop: engine.Project, last: int) -> None:
    store = shop.store("mes")
    for whole, part in (
        (store.evaluations(), store.evaluations(last=last)),
        (store.checks(), store.checks(last=last)),
        (shop.checks("sales"), shop.checks("sales", last=last)),
        (shop.runs(), shop.runs(last=last)),
    ):
        expected = whole.tail(last)
        assert part.select(expected.columns if last else part.columns).rows() == expected.rows()


@pytest.mark.parametrize("last", [-1, 1.5, "2", "newest"])
def test_last_is_a_number_of_rows(shop: engine.Project, last: Any) -> None:
    for read in (
        lambda: shop.store("mes").evaluations(last=last),
        lambda: shop.store("mes").checks(last=last),
        lambda: shop.checks("sales", last=last),
        lambda: shop.runs(last=last),
    ):
        with pytest.raises(UsageError, match="it is the number of the newest rows to return, or None"):
            read()


def test_one_metric_may_be_named_without_a_list(shop: engine.Project) -> None:
    store = shop.store("mes")
    assert store.evaluations("drift.*").equals(store.evaluations(["drift.*"]))
    assert store.evaluations("north").columns == store.evaluations(["north"]).columns


def test_a_metric_named_twice_is_one_column(shop: engine.Project) -> None:
    store = shop.store("mes")
    assert store.evaluations(["north", "drift.*", "north", "drift.amount"]).columns == (
        store.evaluations(["north", "drift.*"]).columns
    )


def test_each_way_to_read_a_metric_gives_the_same_number(shop: engine.Project) -> None:
    store = shop.store("mes")
    for name in ("w1", "w2", "w3"):
        evaluation = store.evaluation(name)
        metrics = store.metrics(name)
        assert metrics["metric"].to_list() == list(evaluation.metrics)
        assert metrics["value"].to_list() == [metric.value for metric in evaluation.metrics.values()]
        assert metrics["reason"].to_list() == [metric.reason for metric in evaluation.metrics.values()]
        assert store.metrics(evaluation).equals(metrics)
        columns = store.columns(name)
        for row in columns.iter_rows(named=True):
            assert row["drift"] == evaluation.metrics[f"drift.{row['column']}"].value
            assert row["psi"] == evaluation.metrics[f"psi.{row['column']}"].value
            assert row["significant"] == (row["drift"] > 0)
        row = store.evaluations(["data_drift", "psi.*"]).row(by_predicate=pl.col("name") == name, named=True)
        assert (row["id"], row["rows"], row["created"]) == (evaluation.id, evaluation.rows_read, evaluation.created)
        assert {key: row[key] for key in ("psi.amount", "psi.shop", "data_drift")} == {
            key: evaluation.metrics[key].value for key in ("psi.amount", "psi.shop", "data_drift")
        }


def test_columns_of_numbers_do_not_have_the_metrics_of_categories(shop: engine.Project) -> None:
    told = {row["column"]: row for row in shop.store("mes").columns("w3").iter_rows(named=True)}
    assert told["amount"]["role"] == "numerical"
    assert told["shop"]["role"] == "categorical"
    assert told["amount"]["cramers_v"] is None
    assert told["shop"]["ks"] is None
    assert told["shop"]["batch"].startswith("north ")
    assert sum(row["drift_importance"] for row in told.values()) == pytest.approx(1)


def test_results_of_checks_are_those_of_the_runs(shop: engine.Project) -> None:
    frame = shop.store("mes").checks()
    runs = {row["id"]: row for row in shop.runs().iter_rows(named=True)}
    assert frame["created"].is_sorted()
    assert frame["evaluation"].unique(maintain_order=True).to_list() == ["w1", "w2", "w3"]
    for row in frame.iter_rows(named=True):
        assert runs[row["run"]]["scenario"] == "watch"
        assert row["counts_as"] != "EMPTY"
        if row["outcome"] != "OK":
            assert row["reason"]
    worst = {
        run: str(worst_check_outcome(map(CheckOutcome, part["counts_as"]))) for (run,), part in frame.group_by(["run"])
    }
    assert {runs[run]["state"] for run, outcome in worst.items() if outcome == "WARNING"} == {"WARNING"}
    assert {runs[run]["state"] for run, outcome in worst.items() if outcome == "OK"} == {"SUCCESS"}
    assert shop.store("mes").checks("w2").equals(frame.filter(evaluation="w2"))
    assert shop.checks("mes").equals(frame)


def test_bounds_are_written_as_in_the_spec_with_what_they_apply_to(shop: engine.Project) -> None:
    frame = shop.store("mes").checks("w3")
    told = dict(frame.select("check", "bounds").iter_rows())
    assert told == {
        "columns": "soft_max 0.3, max 0.9",
        "north as before": "soft_min -0.2, soft_max 0.2, compare previous, change absolute",
        "mine": None,
        "lazy": "max 1",
    }


def test_a_run_and_what_it_started_are_one_log_in_order_of_time(shop: engine.Project) -> None:
    first = shop.runs()["id"][0]
    log = shop.log(first)
    assert dict(log.schema) == {"at": TIME, **dict.fromkeys(("level", "scenario", "step", "text"), pl.String)}
    assert log["at"].is_sorted()
    assert log["text"][0] == "weeks of shop started, manual"
    assert log["text"][-1] == "weeks ended WARNING"
    children = shop.runs().filter(parent=first)["id"].to_list()
    assert len(children) == 3
    assert sum(shop.log(child).height for child in children) == log.filter(scenario="watch").height


@pytest.mark.parametrize(
    "entry",
    [
        '{"at": "2026-01-01", "level": "info", "scenario": "watch", "step": "", "text": "a day"}',
        '{"at": "2026-01-01T00:00:00", "level": "info", "scenario": "watch", "step": "", "text": "no zone"}',
        '{"at": "0001-01-01T00:00:00+05:00", "level": "info", "scenario": "watch", "step": "", "text": "too early"}',
        '{"at": "2026-01-01T00:00:00+00:00", "level": "info"}',
        '{"at": "2026-01-01T00:00:0',
        "[1, 2]",
        "null",
        "\x00\x00\x00",
    ],
)
def test_a_damaged_entry_of_a_log_is_reported_and_hides_no_other(shop_copy: engine.Project, entry: str) -> None:
    run = shop_copy.runs().filter(scenario="watch")["id"][0]
    whole = shop_copy.log(run)
    (path,) = shop_copy.spec.folder.rglob(f"{run}/log.jsonl")
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:2], entry, *lines[2:]]) + "\n")
    found = shop_copy.log(run)
    assert found.head(whole.height).equals(whole)
    assert found.tail(1).select("level", "text").row(0) == ("warning", f"{path}: 1 damaged entries are left out")


def test_times_of_a_log_in_other_zones_are_in_utc(shop_copy: engine.Project) -> None:
    run = shop_copy.runs().filter(scenario="watch")["id"][0]
    (path,) = shop_copy.spec.folder.rglob(f"{run}/log.jsonl")
    moment = datetime(2031, 5, 1, 10, tzinfo=UTC)
    elsewhere = moment.astimezone(ZoneInfo("Asia/Tokyo")).isoformat()
    entry = {"at": elsewhere, "level": "info", "scenario": "watch", "step": "", "text": "late"}
    path.write_text(path.read_text() + json.dumps(entry) + "\n")
    assert shop_copy.log(run).tail(1).select("at", "text").row(0) == (moment, "late")


def test_a_log_that_is_gone_is_an_empty_frame(shop_copy: engine.Project) -> None:
    run = shop_copy.runs().filter(scenario="watch")["id"][0]
    schema = shop_copy.log(run).schema
    (path,) = shop_copy.spec.folder.rglob(f"{run}/log.jsonl")
    path.unlink()
    assert shop_copy.log(run).is_empty()
    assert shop_copy.log(run).schema == schema


def test_the_command_shows_the_numbers_of_the_frames(shop: engine.Project) -> None:
    told = call_engine(shop.spec.folder, "show", "spec.yaml", "mes", "w2", "--format", "json").stdout
    for name, metric in shop.store("mes").evaluation("w2").metrics.items():
        assert json.loads(told)["metrics"][name]["value"] == metric.value


metric_values = st.builds(
    MetricValue,
    st.one_of(st.none(), st.floats(allow_nan=False)),
    st.one_of(st.none(), st.floats(allow_nan=False)),
    st.one_of(st.none(), st.floats(allow_nan=False)),
)
names = st.sampled_from(
    ["data_drift", "drift.a", "drift.b", 'drift."a.b"', "rows", "name", "id", "created", "x y", "labels.k"]
)


def make_evaluation(
    id_: str, name: str, labels: dict[str, str], metrics: dict[str, MetricValue], rows: int
) -> Evaluation:
    moment = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=rows)
    prints = Fingerprints("", "", "", "")
    return Evaluation(id_, "mes", name, labels, moment, prints, "0", "4", rows, rows, 0, metrics)


evaluations = st.builds(
    make_evaluation,
    st.text("0123456789abcdef", min_size=8, max_size=8),
    st.text(max_size=8),
    st.dictionaries(st.sampled_from(["k", "week", ""]), st.text(max_size=5), max_size=2),
    st.dictionaries(names, metric_values, max_size=5),
    st.integers(0, 10**9),
)


@given(st.lists(evaluations, max_size=5), st.lists(st.one_of(names, st.just("drift.*")), max_size=5), st.booleans())
@settings(max_examples=60)
def test_no_name_of_a_metric_or_label_hides_another_column(
    found: list[Evaluation], wanted: list[str], intervals: bool
) -> None:
    frame = tabulation.tabulate_evaluations(describe_store("mes", wanted, found, {}), intervals=intervals).to_frame()
    assert frame["id"].to_list() == [one.id for one in found]
    assert frame["name"].to_list() == [one.name for one in found]
    assert frame["rows"].to_list() == [one.rows_read for one in found]
    assert frame["created"].to_list() == [one.created for one in found]
    for key in {key for one in found for key in one.labels}:
        assert frame[f"labels.{key}"].to_list() == [one.labels.get(key) for one in found]
    taken = {"id", "name", "rows", "created", *(f"labels.{key}" for one in found for key in one.labels)}
    for name in {name for name in wanted if not name.endswith("*")}:
        column = frame[f"metrics.{name}" if name in taken else name]
        assert column.to_list() == [one.metrics[name].value if name in one.metrics else None for one in found]
    if "drift.*" in wanted:
        assert {name for one in found for name in one.metrics if name.startswith("drift.")} <= set(frame.columns)


@given(
    st.lists(
        st.tuples(st.sampled_from(list(CheckOutcome)), st.one_of(st.none(), st.floats(allow_nan=False))), max_size=6
    )
)
@settings(max_examples=40)
def test_results_become_rows_as_they_are(outcomes: list[tuple[CheckOutcome, float | None]]) -> None:
    from engine.store import CheckPoint

    now = datetime(2026, 1, 1, tzinfo=UTC)
    results = [
        CheckResult(
            "mes",
            f"check {at}",
            "m",
            outcome,
            outcome,
            value,
            AppliedRange(build_bounds({"soft_max": 0.1})),
            "why",
            evaluation="e1",
        )
        for at, (outcome, value) in enumerate(outcomes)
    ]
    frame = tabulation.tabulate_checks([CheckPoint("r1", now, result) for result in results], {"e1": "w1"}).to_frame()
    assert frame["outcome"].to_list() == [str(outcome) for outcome, _ in outcomes]
    assert frame["value"].to_list() == [value for _, value in outcomes]
    assert frame["evaluation"].to_list() == ["w1"] * len(outcomes)
    assert frame.columns[:3] == ["created", "evaluation", "check"]


def test_performance_and_predictions_without_a_model_are_empty_frames(shop: engine.Project) -> None:
    evaluation = shop.store("mes").evaluation()
    for frame, columns in (
        (tabulation.tabulate_performance(evaluation).to_frame(), ["metric", "reference", "batch", "change", "reason"]),
        (tabulation.tabulate_predictions(evaluation).to_frame(), ["predicted", "reference", "batch", "fugacity"]),
    ):
        assert frame.is_empty()
        assert set(columns) <= set(frame.columns)


def test_steps_are_reported_with_their_turn(shop: engine.Project) -> None:
    record = shop.past_run(shop.runs()["id"][0])
    frame = tabulation.tabulate_steps(describe_run(record)).to_frame()
    assert frame.select("step", "kind", "outcome", "turn").rows() == [
        ("one", "run_scenario", "SUCCESS", "week = w1"),
        ("one", "run_scenario", "SUCCESS", "week = w2"),
        ("one", "run_scenario", "WARNING", "week = w3"),
    ]
    assert (frame["seconds"] >= 0).all()


def test_a_page_is_written_where_the_step_says(shop_copy: engine.Project) -> None:
    run = shop_copy.with_variables(week="w3").run("page")
    assert run.outcome == "SUCCESS"
    page = Path(shop_copy.spec.folder / "pages" / "w3.html").read_text()
    assert "amount" in page
    assert "w3" in page
