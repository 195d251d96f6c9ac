"""Checks of kind typical, of datasets and of evaluation stores, as runs apply them and replays try them."""

from collections.abc import Callable
from pathlib import Path

import polars as pl

import engine

Write = Callable[[str], Path]


def test_a_dataset_is_compared_with_its_own_past(tmp_path: Path, spec: Write) -> None:
    path = spec(
        """\
        datasets:
          orders:
            path: orders.csv
            checks:
              rows as usual: {kind: typical, metric: row_count, last: 20, soft_factor: 1.5, factor: 3}
              means as usual: {kind: typical, metric: "mean.*", last: 20, factor: 3}
        scenarios: {s: {steps: [{name: c, kind: run_checks, target: orders}]}}
        """
    )
    counts = [100, 104, 98, 101, 99, 103, 97, 102, 105, 110, 500]
    for count in counts:
        pl.DataFrame({"amount": [1.0 + row % 2 for row in range(count)]}).write_csv(tmp_path / "orders.csv")
        engine.load(path).run("s")
    project = engine.load(path)
    found = project.checks("orders").filter(pl.col("check") == "rows as usual").sort("created")
    assert found["outcome"].to_list() == ["EMPTY"] * 8 + ["OK", "WARNING", "ERROR"]
    assert found["counts_as"].to_list() == ["OK"] * 9 + ["WARNING", "ERROR"]
    assert "too few to determine what is typical: 7 earlier values, and 8 are needed" in found["reason"][7]
    # of 97 to 104 the quartiles are 98.75 and 102.25; the tenth value has one more before it, 105: 99 and 103
    assert found["bounds"].to_list()[8:10] == [
        "min 88.25, soft_min 93.5, soft_max 107.5, max 112.75",
        "min 87, soft_min 93, soft_max 109, max 115",
    ]
    assert "which follows from 9 earlier values around 101" in found["reason"][9]
    (rows, means) = project.replay("orders").sort("check", descending=True).to_dicts()
    assert (rows["empty"], rows["ok"], rows["warning"], rows["error"]) == (8, 1, 1, 1)
    assert (means["empty"], means["error"]) == (8, 0)
    replayed = project.replay("orders", {"rows as usual": {"soft_factor": 2.5}})
    (tried,) = replayed.filter(pl.col("tried")).to_dicts()
    assert tried["bounds"] == "last 20, factor 3, soft_factor 2.5"
    assert (tried["ok"], tried["warning"], tried["error"]) == (2, 0, 1)
    planned = [note for action in project.plan("s").all_actions() for note in action.notes]
    assert any("rows as usual: probability" in note and "with 11 earlier values" in note for note in planned)


def test_a_run_on_unchanged_data_finds_what_the_run_before_found(tmp_path: Path, spec: Write) -> None:
    path = spec(
        """\
        datasets:
          orders:
            path: orders.csv
            checks:
              rows: {metric: row_count, compare: previous, change: relative, min: -0.5}
              usual rows: {kind: typical, metric: row_count, factor: 3}
        scenarios:
          s: {steps: [{name: c, kind: run_checks, target: orders}]}
          measure: {steps: [{name: m, kind: compute_metrics, target: orders}]}
        """
    )

    def run(count: int, scenario: str = "s") -> None:
        pl.DataFrame({"amount": range(count)}).write_csv(tmp_path / "orders.csv")
        engine.load(path).run(scenario)

    for count in (5, 100, 101, 101, 103, 104, 105, 106, 5, 5):
        run(count)
    run(5, "measure")  # measures more of the same data
    for count in (5, 110):
        run(count)
    found = engine.load(path).checks("orders").sort("created")
    outcomes = found.filter(pl.col("check") == "rows")["outcome"].to_list()
    assert outcomes == ["EMPTY", *["OK"] * 7, *["ERROR"] * 3, "OK"]
    usual = found.filter(pl.col("check") == "usual rows")
    assert "7 earlier values, and 8 are needed; unchanged data count once" in usual["reason"][-2]
    assert usual["outcome"].to_list()[-2:] == ["EMPTY", "OK"]


def test_measurements_of_one_run_and_outside_of_any_are_compared_with_each_other(tmp_path: Path, spec: Write) -> None:
    path = spec(
        """\
        variables: {day: one}
        datasets:
          orders:
            path: "${day}.csv"
            checks: {rows: {metric: row_count, compare: previous, change: relative, min: -0.5}}
        scenarios:
          s:
            for_each: [{day: one}, {day: two}, {day: three}]
            steps: [{name: c, kind: run_checks, target: orders}]
        """
    )
    for name, count in (("one", 100), ("two", 90), ("three", 10)):
        pl.DataFrame({"amount": range(count)}).write_csv(tmp_path / f"{name}.csv")
    outside = [
        engine.load(path).with_variables(day=day).check("orders")[0].outcome for day in ("one", "two", "three", "three")
    ]
    assert outside == ["EMPTY", "OK", "ERROR", "ERROR"]
    engine.load(path).run("s")
    project = engine.load(path)
    in_run = project.checks("orders").sort("created").filter(pl.col("run").is_not_null())["outcome"].to_list()
    assert in_run == ["OK", "OK", "ERROR"]  # the first is compared with the ten rows before
    (replayed,) = project.replay("orders").to_dicts()
    assert (replayed["empty"], replayed["ok"], replayed["error"]) == (1, 3, 2)


def test_another_evaluation_of_the_same_batch_ends_no_alarm(tmp_path: Path, spec: Write) -> None:
    path = spec(
        """\
        datasets: {old: {path: old.csv}, new: {path: new.csv}}
        evaluation_stores:
          drift:
            dataset: new
            reference: {kind: dataset, dataset: old}
            drift: {max_rows: 1000}
            checks: {rows: {metric: row_count, compare: previous, change: relative, min: -0.5}}
        scenarios: {s: {steps: [{name: b, kind: build, target: drift}, {name: c, kind: run_checks, target: drift}]}}
        """
    )
    for name, count in (("old", 50), ("new", 50), ("new", 20)):
        pl.DataFrame({"x": range(count)}).write_csv(tmp_path / f"{name}.csv")
        if name == "new":
            engine.load(path).run("s")
    path.write_text(path.read_text().replace("max_rows: 1000", "max_rows: 2000"))
    engine.load(path).run("s")
    project = engine.load(path)
    assert project.store("drift").count() == 3
    assert project.checks("drift").sort("created")["outcome"].to_list() == ["EMPTY", "ERROR", "ERROR"]
    (replayed,) = project.replay("drift").to_dicts()
    assert (replayed["empty"], replayed["error"], replayed["ok"]) == (1, 2, 0)


def test_data_that_are_measured_again_and_again_are_one_earlier_value(tmp_path: Path, spec: Write) -> None:
    path = spec(
        """\
        datasets:
          old: {path: old.csv}
          new:
            path: new.csv
            checks:
              rows: {kind: typical, metric: row_count, last: 8, factor: 3}
              mean of two: {metric: row_count, compare: {mean_of_last: 2}, change: absolute, max: 100}
        evaluation_stores:
          drift:
            dataset: new
            reference: {kind: dataset, dataset: old}
            drift: {max_rows: 1000}
            checks:
              rows: {kind: typical, metric: row_count, last: 8, factor: 3}
              mean of two: {metric: row_count, compare: {mean_of_last: 2}, change: absolute, max: 100}
        retention: {evaluations: {keep: 1}, runs: {keep: 1}}
        scenarios:
          s:
            steps:
              - {name: b, kind: build, target: [new, drift], mode: force}
              - {name: c, kind: run_checks, target: drift}
        """
    )

    def run(count: int) -> None:
        pl.DataFrame({"x": [x % 10 for x in range(count)]}).write_csv(tmp_path / "new.csv")
        engine.load(path).run("s")

    pl.DataFrame({"x": [x % 10 for x in range(50)]}).write_csv(tmp_path / "old.csv")
    for count in (50, 54, 54, 54, 51):
        run(count)
    project = engine.load(path)
    for target, measured in {"new": 3, "drift": 5}.items():  # an evaluation is a row of its own
        last = project.checks(target).sort("created").filter(pl.col("check") == "rows")["reason"][-1]
        assert "2 earlier values, and 8 are needed; unchanged data count once" in last, target
        rows, _ = project.replay(target).to_dicts()
        assert (rows["evaluations"], rows["empty"]) == (measured, measured), target
        replayed = project.replay(target, {"mean of two": {"max": -0.5, "soft_max": None}})
        (tried,) = replayed.filter(pl.col("tried")).to_dicts()
        assert (tried["empty"], tried["ok"], tried["error"]) == (1, 1, measured - 2), target  # 51 is below 52
    for count in (52, 53, 55, 56, 57, 57):
        run(count)
    engine.load(path).prune()
    run(58)
    for target in ("new", "drift"):
        found = engine.load(path).checks(target).sort("created").filter(pl.col("check") == "rows")
        assert found["outcome"][-2:].to_list() == ["EMPTY", "OK"], target


def test_evaluations_of_a_time_are_compared_with_those_of_the_days_before(tmp_path: Path, spec: Write) -> None:
    path = spec(
        """\
        variables: {day: {type: date, value: 2026-03-01}}
        datasets:
          before: {path: before.csv}
          day: {path: "${day}.csv"}
        evaluation_stores:
          drift:
            dataset: day
            reference: {kind: dataset, dataset: before}
            evaluation: {time: "${day}"}
            checks:
              mean as usual: {kind: typical, metric: mean.x, within: 10d, factor: 3}
        retention: {evaluations: {keep: 1}}
        scenarios: {s: {steps: [{name: b, kind: build, target: drift}, {name: c, kind: run_checks, target: drift}]}}
        """
    )
    pl.DataFrame({"x": [float(x % 10) for x in range(200)]}).write_csv(tmp_path / "before.csv")
    for day in range(1, 15):
        shift = 50.0 if day in (1, 14) else day % 3 / 10  # the first day is no longer within 10 days at the end
        values = [x % 10 + shift for x in range(200)]
        pl.DataFrame({"x": values}).write_csv(tmp_path / f"2026-03-{day:02}.csv")
        engine.load(path).with_variables(day=f"2026-03-{day:02}").run("s")
    project = engine.load(path)
    found = project.checks("drift").sort("created")
    assert found["outcome"].to_list() == ["EMPTY"] * 8 + ["OK"] * 5 + ["ERROR"]
    assert "which follows from 10 earlier values around 4.6" in found["reason"][-1]
    # what the next evaluation may be compared with is not removed: those of the 10 days before the newest, and itself
    (replayed,) = project.replay("drift").to_dicts()
    assert (replayed["empty"], replayed["ok"], replayed["error"]) == (8, 5, 1)
    assert replayed["bounds"] == "within 864000, factor 3"
    project.prune()
    assert project.store("drift").count() == 11
