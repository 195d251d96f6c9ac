"""What is put into the store comes out of it, in order, whole; what is removed is gone and remembered."""

import dataclasses
import math
from collections.abc import Callable
from datetime import timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.exc import StatementError

from engine.errors import StoreError
from engine.evaluation.detail import ColumnDetail, ColumnImportance, Histogram, PredictionDetail
from engine.evaluation.record import Evaluation, Fingerprints, MetricValue
from engine.models.metrics.performance_detail import ConfusionMatrix, PerformanceDetail, RocCurve, RowCounts
from engine.store import MetricPoint, Store
from engine.store.folders import safe_name
from engine.store.location import StateLocation
from engine.store.tables.json_text import serialize_json

MakeEvaluation = Callable[..., Evaluation]

COLUMN = ColumnDetail(
    role="numerical",
    significant=True,
    histogram=Histogram(edges=(1.5, 2.0), reference=(1, 2, 3), batch=(4, 5, 6), missing=(0, 1)),
    detectable=0.125,
)


def test_an_evaluation_is_read_as_it_was_written(store: Store, make_evaluation: MakeEvaluation) -> None:
    given_one = make_evaluation(
        columns={"age": COLUMN, "group": dataclasses.replace(COLUMN, detectable=math.inf)},
        left_out={"id": "an identifier"},
        importance=ColumnImportance({"age": 1.0}, {"age": 0.25}),
        prediction=PredictionDetail(
            dataclasses.replace(
                COLUMN,
                histogram=Histogram(labels=("no", "yes"), reference=(3, 4), batch=(1, 2), other=(0, 0)),
                statistics={"drift": None, "drift_low": None, "drift_p": 0.5, "psi": 0.25, "ks": None},
                reasons={"ks": "only one value", "drift": "too few rows", "drift_low": "too few rows"},
            ),
            COLUMN,
        ),
        performance=PerformanceDetail(
            rows=RowCounts(measured=9, all=10, without_label=1, without_prediction=0),
            confusion_matrix=ConfusionMatrix(("no", "yes"), ((1, 2), (3, 4))),
            roc=RocCurve((0.0, 1.0), (0.0, 1.0), (None, 0.5)),
        ),
        reference_performance={"roc_auc": MetricValue(0.75, 0.7, 0.8)},
        notes=("assumes independent rows",),
        model="authorization",
        model_version="3",
        run="a run",
        metrics={"max.age": MetricValue(math.inf), "psi.age": MetricValue(0.1), "drift.age": MetricValue(0)},
    )
    store.evaluations.add(given_one)
    found = store.evaluations.get(given_one.id)
    assert found == given_one
    assert list(found.metrics) == ["max.age", "psi.age", "drift.age"]


def test_times_of_any_zone_come_back_in_utc(store: Store, make_evaluation: MakeEvaluation) -> None:
    local = make_evaluation().created.astimezone(timezone(timedelta(hours=5, minutes=30)))
    store.evaluations.add(make_evaluation(created=local))
    (found,) = store.evaluations.history("the_MES")
    assert found.created == local
    assert found.created.utcoffset() == timedelta(0)


def test_a_time_without_a_zone_is_refused(store: Store, make_evaluation: MakeEvaluation) -> None:
    naive = make_evaluation().created.replace(tzinfo=None)
    with pytest.raises(StatementError, match="has no time zone"):
        store.evaluations.add(make_evaluation(created=naive))
    assert store.evaluations.history("the_MES") == []


def test_nan_is_stored_as_no_value_with_a_reason(store: Store, make_evaluation: MakeEvaluation) -> None:
    store.evaluations.add(
        make_evaluation(
            metrics={
                "mean.x": MetricValue(math.nan, low=math.nan, high=1.0),
                "std.x": MetricValue(None, reason="empty"),
            },
            facts={"x": {"mean": math.nan, "edges": [-math.inf, 0.0, math.inf], "deep": [{"a": (1, math.nan)}]}},
        )
    )
    found = store.evaluations.find_newest("the_MES")
    assert found is not None
    assert found.metrics["mean.x"] == MetricValue(None, None, 1.0, None, "not a number")
    assert found.metrics["std.x"] == MetricValue(None, reason="empty")
    assert found.facts == {"x": {"mean": None, "edges": [None, 0.0, None], "deep": [{"a": [1, None]}]}}


def test_what_json_cannot_hold_is_a_bug_and_says_so() -> None:
    with pytest.raises(TypeError, match="set is not JSON"):
        serialize_json({"a": {1}})


def test_evaluations_are_oldest_first_and_limited_from_the_newest(
    store: Store, make_evaluation: MakeEvaluation
) -> None:
    for name in ("Q2", "Q3", "Q4"):
        store.evaluations.add(make_evaluation(name))
    store.evaluations.add(make_evaluation("other", store="another"))
    assert [each.name for each in store.evaluations.history("the_MES")] == ["Q2", "Q3", "Q4"]
    assert [each.name for each in store.evaluations.history("the_MES", last=2)] == ["Q3", "Q4"]
    newest = store.evaluations.find_newest("the_MES")
    assert newest is not None
    assert newest.name == "Q4"
    assert store.evaluations.find_newest("nothing here") is None


def test_an_equal_evaluation_is_found_by_all_its_fingerprints(store: Store, make_evaluation: MakeEvaluation) -> None:
    fingerprints = Fingerprints("m", "d1", "r", "p")
    store.evaluations.add(make_evaluation("old", fingerprints=fingerprints))
    store.evaluations.add(make_evaluation("new", fingerprints=fingerprints))
    store.evaluations.add(make_evaluation("newest", fingerprints=Fingerprints("m", "d2", "r", "p")))
    found = store.evaluations.find("the_MES", fingerprints)
    assert found is not None
    assert found.name == "new"
    for part in ("model", "dataset", "reference", "parameters"):
        changed = {name: getattr(fingerprints, name) for name in Fingerprints.__dataclass_fields__} | {part: "x"}
        assert store.evaluations.find("the_MES", Fingerprints(**changed)) is None
    assert store.evaluations.find("another", fingerprints) is None


def test_the_newer_of_two_evaluations_with_one_name_counts(store: Store, make_evaluation: MakeEvaluation) -> None:
    first, second = make_evaluation("Q2"), make_evaluation("Q2")
    store.evaluations.add(first)
    store.evaluations.add(second)
    assert store.evaluations.find_by_name("the_MES", "Q2") == second
    assert store.evaluations.find_by_name("the_MES", "Q9") is None


def test_the_points_of_a_metric_are_in_order_without_those_of_evaluations_that_lack_it(
    store: Store, make_evaluation: MakeEvaluation
) -> None:
    made = [make_evaluation(f"Q{i}", metrics={"psi.a": MetricValue(i / 10)}) for i in range(4)]
    made.append(make_evaluation("Q4", metrics={"psi.a": MetricValue(None, reason="constant")}))
    made.append(make_evaluation("Q5", metrics={"psi.b": MetricValue(1.0)}))
    for each in made:
        store.evaluations.add(each)
    assert store.evaluations.list_points("the_MES", ["psi.a"], last=3)["psi.a"] == [
        MetricPoint(made[3].id, "Q3", made[3].created, 0.3),
        MetricPoint(made[4].id, "Q4", made[4].created, None),
    ]
    assert [point.value for point in store.evaluations.list_points("the_MES", ["psi.a"], 9)["psi.a"]] == [
        *(0.0, 0.1, 0.2, 0.3),
        None,
    ]


def test_the_staged_folder_becomes_the_evaluations(store: Store, make_evaluation: MakeEvaluation) -> None:
    evaluation = make_evaluation()
    with store.folders.stage() as files:
        (files / "profile").mkdir()
        (files / "profile" / "x").write_text("content")
        store.evaluations.add(evaluation, files)
        assert not files.exists()
    kept = store.evaluations.folder_of(evaluation.id)
    assert kept == store.folder / "evaluations" / evaluation.id
    assert (kept / "profile" / "x").read_text() == "content"
    assert list((store.folder / "staging").iterdir()) == []


def test_a_staged_folder_that_was_not_adopted_is_removed(store: Store) -> None:
    with store.folders.stage() as files:
        (files / "x").write_text("content")
    assert not files.exists()


def test_an_id_is_taken_once_and_the_first_one_stays_whole(store: Store, make_evaluation: MakeEvaluation) -> None:
    first = make_evaluation()
    with store.folders.stage() as files:
        (files / "x").write_text("first")
        store.evaluations.add(first, files)
    with store.folders.stage() as files:
        (files / "x").write_text("second")
        with pytest.raises(StoreError, match="already there"):
            store.evaluations.add(make_evaluation(id=first.id), files)
    assert (store.evaluations.folder_of(first.id) / "x").read_text() == "first"
    assert store.evaluations.history("the_MES") == [first]


def test_a_row_that_cannot_be_written_leaves_no_folder(store: Store, make_evaluation: MakeEvaluation) -> None:
    first = make_evaluation()
    store.evaluations.add(first)  # without files: its folder is free, its id is not
    with store.folders.stage() as files, pytest.raises(StoreError, match="already exists"):
        store.evaluations.add(make_evaluation(id=first.id), files)
    assert list((store.folder / "evaluations").iterdir()) == []
    assert store.evaluations.history("the_MES") == [first]


def test_removal_takes_all_of_that_name_and_is_recorded(store: Store, make_evaluation: MakeEvaluation) -> None:
    made = [make_evaluation("Q2"), make_evaluation("Q2"), make_evaluation("Q3"), make_evaluation("Q2", store="other")]
    for each in made:
        with store.folders.stage() as files:
            store.evaluations.add(each, files)
    assert store.evaluations.remove("the_MES", "Q2", by="ann@host") == (made[0].id, made[1].id)
    assert store.evaluations.history("the_MES") == [made[2]]
    assert store.evaluations.history("other") == [made[3]]
    assert sorted(path.name for path in (store.folder / "evaluations").iterdir()) == sorted([made[2].id, made[3].id])
    (removal,) = store.evaluations.list_removals("the_MES")
    assert (removal.name, removal.evaluations, removal.by) == ("Q2", (made[0].id, made[1].id), "ann@host")
    assert store.evaluations.remove("the_MES", "Q2", by="ann@host") == ()
    assert len(store.evaluations.list_removals("the_MES")) == 1


def test_an_unknown_evaluation_is_said_to_be_unknown(store: Store) -> None:
    with pytest.raises(StoreError, match="there is no evaluation nope"):
        store.evaluations.get("nope")


def test_model_versions_count_up_by_model(store: Store) -> None:
    made = []
    for model, fingerprint in [("a", "1"), ("a", "2"), ("B / ü", "1"), ("a", "1")]:
        with store.folders.stage() as files:
            (files / "model.json").write_text(f"{model} {fingerprint}")
            made.append(store.models.add(model, fingerprint, files))
    assert [(each.model, each.version) for each in made] == [("a", 1), ("a", 2), ("B / ü", 1), ("a", 3)]
    assert store.models.find_newest("a") == made[3]
    assert store.models.list_versions("a", "1") == [made[3], made[0]]
    assert store.models.list_versions("a", "2") == [made[1]]
    assert store.models.list_versions("a", "3") == []
    assert store.models.find_newest("c") is None
    assert all((each.folder / "model.json").read_text() == f"{each.model} {each.fingerprint}" for each in made)
    assert made[2].folder.is_relative_to(store.folder / "models")


def test_a_snapshot_is_kept_once(store: Store) -> None:
    assert store.snapshots.find("abc") is None
    for content in ("first", "second"):
        with store.folders.stage() as files:
            (files / "profile").write_text(content)
            store.snapshots.add("abc", files)
    kept = store.snapshots.find("abc")
    assert kept is not None
    assert (kept / "profile").read_text() == "first"
    assert list((store.folder / "staging").iterdir()) == []


@given(st.text(min_size=1), st.text(min_size=1))
def test_different_names_have_different_safe_folder_names(one: str, other: str) -> None:
    names = {safe_name(one), safe_name(other)}
    assert len(names) == len({one, other})
    for name in names:
        assert name == name.lower()
        assert len(name) <= 64
        assert Path(name).name == name


def test_a_store_that_was_closed_remembers(location: StateLocation, make_evaluation: MakeEvaluation) -> None:
    evaluation = make_evaluation()
    with Store.open(location) as store:
        store.evaluations.add(evaluation)
    with Store.open(location) as store:
        assert store.evaluations.history("the_MES") == [evaluation]


def test_a_table_of_many_has_the_metrics_asked_for_and_no_detail(store: Store, make_evaluation: MakeEvaluation) -> None:
    names = ["drift.a", "drift.b", "drifted_columns", "drift_p.a", "roc_auc"]
    store.evaluations.add(make_evaluation(columns={"a": COLUMN}, metrics={name: MetricValue(1.0) for name in names}))
    (whole,) = store.evaluations.history("the_MES")
    (few,) = store.evaluations.history("the_MES", metrics=["drift.*", "roc_auc", "unknown"])
    (none,) = store.evaluations.history("the_MES", metrics=[])
    assert list(few.metrics) == ["drift.a", "drift.b", "roc_auc"]
    assert (few.id, few.labels, few.fingerprints, few.columns) == (whole.id, whole.labels, whole.fingerprints, {})
    assert none.metrics == {}
