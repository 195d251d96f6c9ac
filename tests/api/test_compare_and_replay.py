"""Comparing and replaying from Python: both agree with what was stored, and store nothing."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import engine
from engine.errors import DataError, StoreError, UsageError

COUNTS = ("error", "warning", "empty", "ok", "not_measured")


def list_state(project: engine.Project) -> dict[str, Any]:
    """Return what the state shows: a comparison or a replay must leave it as it was."""
    store = project.store("mes")
    return {
        "evaluations": store.evaluations().rows(),
        "checks": store.checks().rows(),
        "runs": project.runs().rows(),
        "removals": store.removals(),
        "files": sorted(str(path) for path in (project.spec.folder / ".engine").rglob("evaluations/*/*")),
    }


def test_an_evaluation_compared_with_itself_has_not_changed(shop: engine.Project) -> None:
    found = shop.store("mes").compare("w3", "w3")
    columns = shop.store("mes").columns(found)
    assert columns["drift"].to_list() == [0, 0]
    assert columns["psi"].to_list() == [0, 0]
    assert columns["reference"].to_list() == columns["batch"].to_list()
    assert found.metrics["data_drift_significant"].value == 0


def test_by_default_it_is_compared_with_the_one_before(shop: engine.Project) -> None:
    store = shop.store("mes")
    named = store.compare("w3", "w2")
    for found in (store.compare("w3"), store.compare()):
        assert replace(found, created=named.created) == named
    assert store.before("w3").name == "w2"
    assert store.before().name == "w2"


def test_a_comparison_has_the_numbers_of_both_sides(shop: engine.Project) -> None:
    store = shop.store("mes")
    first, third = store.evaluation("w1"), store.evaluation("w3")
    found = store.compare("w3", "w1")
    for name in ("mean.amount", "std.amount", "q95.amount", "missing_share.shop"):
        before = f"reference_{name}"
        assert found.metrics[name].value == third.metrics[name].value
        assert found.metrics[before].value == first.metrics[name].value
    assert found.metrics["row_count"].value == third.metrics["row_count"].value
    assert found.metrics["north"] == third.metrics["north"]
    assert (found.id, found.name, found.labels) == (third.id, third.name, third.labels)
    assert found.reference_rows == first.rows_read
    assert found.fingerprints.reference == first.fingerprints.dataset


def test_with_the_data_of_its_own_reference_it_is_the_stored_evaluation(shop: engine.Project) -> None:
    store = shop.store("mes")
    for name in ("w1", "w2", "w3"):
        assert store.compare(name, "dataset:last_year").metrics == store.evaluation(name).metrics


def test_a_comparison_and_a_replay_store_nothing(shop_copy: engine.Project) -> None:
    before = list_state(shop_copy)
    store = shop_copy.store("mes")
    store.compare("w3", "w1")
    store.compare("w3", "dataset:sales")
    store.replay({"columns": {"soft_max": 0.01}})
    shop_copy.replay("sales")
    assert list_state(shop_copy) == before


def test_a_comparison_needs_no_data_and_one_with_a_dataset_does(shop_copy: engine.Project) -> None:
    for path in shop_copy.spec.folder.glob("*.parquet"):
        path.unlink()
    assert shop_copy.store("mes").compare("w3", "w1").metrics["drift.amount"].value
    with pytest.raises(DataError, match=r"dataset 'last_year': there is no file .*last_year\.parquet"):
        shop_copy.store("mes").compare("w3", "dataset:last_year")


def test_a_column_that_one_side_lacks_is_left_out_of_a_comparison_with_a_note(shop_copy: engine.Project) -> None:
    folder = shop_copy.spec.folder
    pl.read_parquet(folder / "last_year.parquet").drop("shop").write_parquet(folder / "w4.parquet")
    found = shop_copy.with_variables(week="w4").store("mes").compare("w3", "dataset:sales")
    assert any("'shop'" in note for note in found.notes)
    assert found.metrics["drift.amount"].value is not None
    if "drift.shop" in found.metrics:
        assert found.metrics["drift.shop"].value is None


def test_a_column_whose_role_has_changed_is_not_compared_and_reported(shop_copy: engine.Project) -> None:
    path = shop_copy.spec.path
    text = path.read_text()
    path.write_text(
        text.replace(
            'path: "${week}.parquet"\n', 'path: "${week}.parquet"\n    columns: {amount: {role: categorical}}\n'
        )
    )
    project = engine.load(path, {"week": "w4"})
    project.run("watch")
    found = project.store("mes").compare("w4", "w1")
    assert "column 'amount' is not compared: it is not on both sides with the same role" in found.notes
    assert "drift.amount" not in found.metrics
    assert found.metrics["drift.shop"].value is not None


def test_a_removed_reference_cannot_be_compared_with(shop_copy: engine.Project) -> None:
    store = shop_copy.store("mes")
    store.remove("w1")
    with pytest.raises(UsageError, match="there is no evaluation 'w1'"):
        store.compare("w3", "w1")
    with pytest.raises(UsageError, match="there is no evaluation before 'w2'; give the reference"):
        store.compare("w2")


def test_a_comparison_without_the_kept_files_says_what_to_do(shop_copy: engine.Project) -> None:
    store = shop_copy.store("mes")
    id_ = store.evaluation("w1").id
    for path in Path(shop_copy.spec.folder).rglob(f"evaluations/{id_}/sample.parquet"):
        path.unlink()
    with pytest.raises(StoreError, match=r"evaluation 'w1' of 'mes': the kept statistics in .* are missing or damaged"):
        store.compare("w3", "w1")
    assert store.metrics("w1").height > 10


def test_a_replay_counts_what_the_stored_results_say(shop: engine.Project) -> None:
    replayed = {row["check"]: row for row in shop.store("mes").replay().iter_rows(named=True)}
    stored = shop.store("mes").evaluations()
    assert set(replayed) == {"columns", "north as before", "mine", "lazy"}
    for check, row in replayed.items():
        outcomes = stored[f"checks.{check}"].to_list()
        assert row["evaluations"] == len(outcomes) == sum(row[part] for part in COUNTS)
        for outcome in ("ok", "empty", "warning", "error"):
            assert row[outcome] == outcomes.count(outcome.upper()), (check, outcome)
        bad = [name for name, outcome in zip(stored["name"], outcomes, strict=True) if outcome in ("WARNING", "ERROR")]
        assert (row["alarms"], row["first"], row["last"]) == (len(bad), *([bad[0], bad[-1]] if bad else [None, None]))


@pytest.mark.parametrize("most", [0.0, 0.05, 0.5, 0.55, 1.0])
def test_a_tried_bound_gives_what_the_changed_spec_gives(shop_copy: engine.Project, most: float) -> None:
    tried = shop_copy.store("mes").replay({"columns": {"soft_max": most, "max": None}})
    path = shop_copy.spec.path
    path.write_text(path.read_text().replace('soft_max: "${most}", max: 0.9', f"soft_max: {most}"))
    declared = engine.load(path).store("mes").replay()
    row = tried.filter(check="columns", tried=True).drop("tried")
    assert row.rows() == declared.filter(check="columns").drop("tried").rows()
    assert tried.filter(tried=False).rows() == shop_copy.store("mes").replay().rows()


def test_a_wider_bound_never_alarms_more_often(shop: engine.Project) -> None:
    alarms = [
        shop.store("mes").replay({"columns": {"soft_max": most, "max": None}}).filter(tried=True)["alarms"][0]
        for most in (0.0, 0.2, 0.45, 0.6)
    ]
    assert alarms == sorted(alarms, reverse=True)
    assert (alarms[0], alarms[-1]) == (1, 0)


def test_an_exception_can_be_tried(shop: engine.Project) -> None:
    tried = shop.store("mes").replay(
        {"columns": {"except.drift.shop.soft_max": 0.5, "except.drift.amount.soft_max": 0.6}}
    )
    row = tried.filter(tried=True).row(0, named=True)
    assert row["alarms"] == 0
    assert row["bounds"] == ("soft_max 0.3, max 0.9, except drift.shop soft_max 0.5 drift.amount soft_max 0.6")


def test_a_metric_that_was_declared_later_is_not_measured_and_no_alarm(shop_copy: engine.Project) -> None:
    path = shop_copy.spec.path
    path.write_text(
        path.read_text()
        .replace("metrics: {north:", 'metrics: {later: {kind: python, function: "own:north"}, north:')
        .replace("lazy: {metric: lazy,", "later: {metric: later, max: 0}\n      lazy: {metric: lazy,")
    )
    row = engine.load(path).store("mes").replay().filter(check="later").row(0, named=True)
    assert (row["not_measured"], row["alarms"], row["reason"]) == (3, 0, "later was not measured")


def test_measurements_of_a_dataset_are_replayed_by_their_time(shop: engine.Project) -> None:
    rows = {row["check"]: row for row in shop.replay("sales", {"enough": {"min": 200}}).iter_rows(named=True)}
    assert rows["as much"]["empty"] == 1
    tried = shop.replay("sales", {"enough": {"min": 200}}).filter(tried=True).row(0, named=True)
    assert (tried["error"], tried["alarms"]) == (3, 3)
    assert tried["first"].startswith("20")


@pytest.mark.parametrize(
    ("tried", "said"),
    [
        ({"colums": {"soft_max": 1}}, "there is no check 'colums'; did you mean 'columns'"),
        ({"columns": {"soft_mx": 1}}, "no bound 'soft_mx'; did you mean \"soft_max\""),
        ({"columns": {"soft_max": "much"}}, "must be a number or a duration"),
        ({"columns": {"soft_max": float("nan")}}, "nan cannot be a setting of a check"),
        ({"columns": {"soft_max": object()}}, "cannot be a setting of a check"),
        ({"columns": {"soft_max": 1.5}}, "max 0.9 is below soft_max 1.5; the order must be soft_max <= max"),
    ],
)
def test_a_setting_that_is_not_possible_is_reported(shop: engine.Project, tried: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError) as raised:
        shop.store("mes").replay(tried)
    assert said in str(raised.value)


def test_a_replay_of_nothing_says_what_to_do(empty_shop: engine.Project) -> None:
    with pytest.raises(
        UsageError, match="'mes' has no evaluations yet, so there is nothing to replay: run `engine run`"
    ):
        empty_shop.store("mes").replay()
    with pytest.raises(UsageError, match="dataset 'sales' has not been measured yet"):
        empty_shop.replay("sales")
    with pytest.raises(UsageError, match="there is no evaluation store or dataset 'slaes'; did you mean 'sales'"):
        empty_shop.replay("slaes")
