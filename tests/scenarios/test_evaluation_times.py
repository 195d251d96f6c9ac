"""Evaluations stand for a time: nights in order and out of order, corrected, late, frozen; under one model or two."""

import json
import re
import shutil
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import engine
from engine.api import Project
from engine.errors import UsageError
from engine.scenarios.result import EvaluationMade

from ..command_line import call_engine

FIRST = date(2026, 3, 2)
SPEC = """
version: 1
project: nightly
datasets:
  past: {path: past.parquet}
  day: {path: "in/${as_of}.parquet"}
models:
  guess: {algorithm: logistic_regression, task: binary_classification, dataset: past, target: label}
evaluation_stores:
  scored:
    model: guess
    dataset: day
    evaluation: {time: "${as_of}"}
    display: {metrics: [row_count, roc_auc]}
    checks:
      frozen: {metric: repeated_data, soft_max: 0}
      as many: {metric: row_count, compare: previous, soft_min: -5, soft_max: 5}
  rolled:
    dataset: day
    reference: {kind: rolling, last: 3}
    evaluation: {time: {start: "${as_of}", end: "${as_of + 1d}"}}
    display: {metrics: [row_count]}
  weekly:
    dataset: day
    reference: {kind: same_period, every: 7d, last: 4}
    evaluation: {time: "${as_of}"}
    display: {metrics: [row_count]}
  plain: {dataset: day, reference: {kind: rolling, last: 3}}
scenarios:
  score:
    steps:
      - {name: build, kind: build, target: scored}
      - {name: check, kind: run_checks, target: scored, run_condition: "outcome != 'FAILED'"}
  roll: {steps: [{name: build, kind: build, target: rolled}]}
  week: {steps: [{name: build, kind: build, target: weekly}]}
  plain: {steps: [{name: build, kind: build, target: plain}]}
  again: {steps: [{name: build, kind: build, target: rolled, mode: force}]}
"""


def day(number: int) -> date:
    return FIRST + timedelta(days=number - 1)


def make_rows(number: int, labelled: bool = True) -> pl.DataFrame:
    """Return the rows of a day: 100 and its number of them."""
    random = np.random.default_rng(number)
    n = 100 + number
    score = random.normal(0, 1, n)
    label = (score + random.normal(0, 1, n) > 0).astype(int)
    values = label.tolist() if labelled else [None] * n
    return pl.DataFrame({"score": score, "other": random.normal(0, 1, n), "label": pl.Series(values, dtype=pl.Int64)})


class Nights:
    """A folder of nightly batches, evaluated by one spec."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "in").mkdir()
        self.path = folder / "project.yaml"
        self.path.write_text(SPEC, encoding="utf-8")
        make_rows(0).write_parquet(folder / "past.parquet")

    def write(self, number: int, rows: pl.DataFrame | None = None) -> None:
        (make_rows(number) if rows is None else rows).write_parquet(self.folder / "in" / f"{day(number)}.parquet")

    def edit(self, old: str, new: str) -> None:
        text = self.path.read_text("utf-8")
        assert old in text
        self.path.write_text(text.replace(old, new), encoding="utf-8")

    def load(self, number: int) -> Project:
        return engine.load(self.path, environ={"PATH": "/usr/bin:/bin"}, as_of=day(number))

    def build(self, number: int, scenario: str = "score") -> EvaluationMade:
        """Plan and run the night of a day; the run does what its plan says."""
        (file := self.folder / "in" / f"{day(number)}.parquet").exists() or self.write(number)
        assert file.exists()
        project = self.load(number)
        (planned,) = project.plan(scenario).scenarios
        run = project.run(scenario)
        for expected, step in zip(planned.steps, run.steps, strict=True):
            left_out = {"reads"}
            assert [one.model_dump(exclude=left_out) for one in expected.actions] == [
                one.model_dump(exclude=left_out) for one in step.actions
            ]
        return run.steps[0].evaluations[0]

    def names(self, store: str = "scored", **settings: Any) -> list[str]:
        return self.load(1).store(store).evaluations(**settings)["name"].to_list()

    def rows_by_name(self, store: str = "scored") -> dict[str, int]:
        frame = self.load(1).store(store).evaluations()
        return dict(zip(frame["name"], frame["rows"], strict=True))


@pytest.fixture
def nights(tmp_path: Path) -> Nights:
    return Nights(tmp_path)


def compared_with(nights: Nights, number: int, store: str) -> list[str]:
    """Return the names of the evaluations that one was compared with; none if with itself."""
    name = nights.load(1).store(store).evaluations()["name"].to_list()
    (one,) = [each for each in name if each.startswith(str(day(number)))]
    reference = nights.load(1).store(store).evaluation(one).facts["reference"]
    return list(reference.get("evaluations", {}))


def test_ten_nights_with_a_correction_late_labels_a_frozen_feed_a_backfill_and_a_new_model(nights: Nights) -> None:
    for number in (1, 3, 4, 5):
        made = nights.build(number)
        assert (made.reused, made.newest, made.time, made.name) == (False, True, str(day(number)), str(day(number)))
    # the feed stands still for two days: new rows with the numbers of the fifth, which say so
    for number in (6, 7):
        shutil.copy(nights.folder / "in" / f"{day(5)}.parquet", nights.folder / "in" / f"{day(number)}.parquet")
        frozen = nights.build(number)
        assert frozen.same_data_as is not None
        assert not frozen.reused
    store = nights.load(1).store("scored")
    fifth, seventh = store.evaluation(str(day(5))), store.evaluation(str(day(7)))
    assert seventh.notes[0] == f"same data as evaluation {day(6)}"
    assert {**seventh.metrics, "repeated_data": None} == {**fifth.metrics, "repeated_data": None}
    assert [one.find_value("repeated_data") for one in (fifth, seventh)] == [0, 1]
    assert (seventh.columns, seventh.performance) == (fifth.columns, fifth.performance)
    outcomes = {point.result.check: point.result.outcome for point in store.latest_checks(str(day(7)))}
    assert outcomes["frozen"] == "WARNING"
    # a new model: the history starts anew, and says so
    make_rows(20).write_parquet(nights.folder / "past.parquet")
    nights.build(8)
    changes = {point.result.check: point.result for point in store.latest_checks(str(day(8)))}
    assert changes["as many"].outcome == "EMPTY"
    assert changes["as many"].reason == "no earlier evaluation of this model to compare with"
    assert [one.name for one in store.starts_anew()] == [str(day(8))]
    with pytest.raises(UsageError, match="no evaluation of the same model before"):
        store.before(str(day(8)))
    for number in (9, 10):
        assert nights.build(number).newest
    assert store.before(str(day(10))).name == str(day(9))
    # a backfill: not the newest, and in its place; its model is the one of today
    backfill = nights.build(2)
    assert not backfill.newest
    assert nights.names() == [str(day(number)) for number in range(1, 11)]
    assert store.evaluation().name == str(day(10))
    # a repeated night is the same row
    for number in (2, 10):
        again = nights.build(number)
        assert again.reused
        assert again.newest is (number == 10)
    assert len(nights.names()) == 10


def test_corrected_data_and_late_labels_supersede_and_only_the_last_version_counts(nights: Nights) -> None:
    for number in (1, 2, 3):
        nights.write(number, make_rows(number, labelled=number != 2))
        nights.build(number)
    store = nights.load(1).store("scored")
    first = store.evaluation(str(day(2)))
    assert first.find_value("roc_auc") is None
    nights.write(2)
    late = nights.build(2)
    assert (late.supersedes, late.newest, late.reused) == (first.id, False, False)
    nights.write(2, make_rows(2).vstack(make_rows(9).head(1)))
    corrected = nights.build(2)
    assert corrected.supersedes == late.id
    assert nights.names() == [str(day(number)) for number in (1, 2, 3)]
    assert nights.rows_by_name()[str(day(2))] == 103
    assert store.before(str(day(3))).id == corrected.id
    everything = store.evaluations(superseded=True)
    assert everything["superseded_by"].to_list() == [None, late.id, corrected.id, None, None]
    assert (store.count(), store.count(superseded=True)) == (3, 5)
    assert store.evaluation(first.id).superseded_by == late.id
    # the data of before come back: the numbers of the first correction, in a row of their own
    nights.write(2)
    back = nights.build(2)
    assert (back.supersedes, back.same_data_as) == (corrected.id, None)
    assert store.evaluation(back.id).metrics == store.evaluation(late.id).metrics
    # what is removed is superseded by nothing, and supersedes nothing
    store.remove(corrected.id)
    assert store.evaluation(late.id).superseded_by == back.id
    store.remove(back.id)
    assert store.before(str(day(3))).id == late.id
    store.remove(str(day(2)))
    assert nights.names(superseded=True) == [str(day(1)), str(day(3))]


def test_a_rolling_reference_looks_back_from_its_own_time_and_takes_the_same_data_once(nights: Nights) -> None:
    for number in (1, 2, 3, 5, 6):
        nights.build(number, "roll")
    assert compared_with(nights, 1, "rolled") == []
    window = f"{day(3)} to {day(4)}"
    assert compared_with(nights, 5, "rolled") == [f"{day(n)} to {day(n + 1)}" for n in (1, 2, 3)]
    made = nights.build(4, "roll")
    assert (made.newest, made.time) == (False, f"{day(4)} to {day(5)}")
    assert compared_with(nights, 4, "rolled") == [f"{day(n)} to {day(n + 1)}" for n in (1, 2, 3)]
    # the night after it is evaluated again with the reference of now: its evaluation is superseded
    again = nights.build(5, "roll")
    assert again.supersedes is not None
    assert compared_with(nights, 5, "rolled") == [f"{day(n)} to {day(n + 1)}" for n in (2, 3, 4)]
    for number in (7, 8):
        shutil.copy(nights.folder / "in" / f"{day(6)}.parquet", nights.folder / "in" / f"{day(number)}.parquet")
        nights.build(number, "roll")
    nights.build(9, "roll")
    assert compared_with(nights, 9, "rolled") == [f"{day(n)} to {day(n + 1)}" for n in (4, 5, 8)]
    frame = nights.load(1).store("rolled").evaluations()
    assert frame["name"].to_list()[2] == window
    assert all(later > earlier for earlier, later in pairwise(frame["time.start"]))
    assert (frame["time.end"] - frame["time.start"]).unique().to_list() == [timedelta(days=1)]


def test_the_same_mondays_of_five_weeks(nights: Nights) -> None:
    for week in (0, 1, 3, 4):
        for number in (1, 2):
            nights.build(1 + 7 * week + number - 1, "week")
    monday = nights.load(1).store("weekly").evaluation(str(day(29)))
    assert list(monday.facts["reference"]["evaluations"]) == [str(day(number)) for number in (1, 8, 22)]
    assert f"3 of the 4 earlier periods exist: there is no evaluation with rows for {day(15)}" in monday.notes
    assert monday.reference_rows == sum(100 + number for number in (1, 8, 22))
    first = nights.load(1).store("weekly").evaluation(str(day(1)))
    assert any(note.endswith("so its batch is compared with itself") for note in first.notes)


def test_a_forced_night_supersedes_and_a_store_without_times_is_as_it_was(nights: Nights) -> None:
    first = nights.build(1, "roll")
    forced = nights.build(1, "again")
    assert (forced.supersedes, forced.reused) == (first.id, False)
    assert len(nights.names("rolled")) == 1
    for _ in range(2):
        made = nights.build(1, "plain")
    assert made.reused
    assert (made.time, made.newest) == (None, True)
    shutil.copy(nights.folder / "in" / f"{day(1)}.parquet", nights.folder / "in" / f"{day(2)}.parquet")
    assert nights.build(2, "plain").id == made.id
    frame = nights.load(1).store("plain").evaluations()
    assert "time" not in frame.columns
    assert "repeated_data" not in nights.load(1).store("plain").evaluation().metrics


def test_times_that_are_declared_later_continue_a_history_and_so_does_their_removal(nights: Nights) -> None:
    declared = '{dataset: day, reference: {kind: rolling, last: 3}, evaluation: {time: "${as_of}"}}'
    nights.build(1, "plain")
    nights.build(2, "plain")
    nights.edit("plain: {dataset: day, reference: {kind: rolling, last: 3}}", f"plain: {declared}")
    # days of the past, but later in the history than what was made before there were times
    assert nights.build(4, "plain").newest
    assert not nights.build(3, "plain").newest
    names = nights.names("plain")
    assert names[2:] == [str(day(3)), str(day(4))]
    assert set(compared_with(nights, 3, "plain")) == set(names[:2])  # two of one second have one name
    nights.edit(f"plain: {declared}", "plain: {dataset: day, reference: {kind: rolling, last: 3}}")
    assert nights.build(5, "plain").newest
    assert nights.names("plain")[:4] == names


def test_replay_and_removal_before_a_day_go_by_time_and_model(nights: Nights) -> None:
    for number in (9, 1):
        nights.build(number)
    make_rows(20).write_parquet(nights.folder / "past.parquet")
    nights.build(2)
    store = nights.load(1).store("scored")
    (change,) = store.replay().filter(pl.col("check") == "as many").to_dicts()
    # day 1 and day 2 are the first of their models, and day 9 has 8 rows more than day 1
    assert (change["evaluations"], change["empty"], change["warning"], change["first"]) == (3, 2, 1, str(day(9)))
    chosen = store.select(before=datetime(2026, 3, 3, 1, tzinfo=UTC))
    assert [one.name for one in chosen] == [str(day(1)), str(day(2))]


def test_the_charts_of_a_page_end_at_its_own_time(nights: Nights) -> None:
    for number in (1, 2, 9, 5):
        nights.build(number, "roll")
    nights.edit("display: {metrics: [row_count]}\n  weekly", "display: {metrics: [data_drift]}\n  weekly")
    name = f"{day(5)} to {day(6)}"
    page = nights.load(1).store("rolled").report(nights.folder / "page.html", name).read_text("utf-8")
    texts = re.findall(r'<div role="img" aria-label="([^"]*)"', page)
    shown = [re.findall(r"(2026-03-\d\d) to", text) for text in texts]
    assert [str(day(n)) for n in (1, 2, 5)] in shown
    assert str(day(9)) not in {one for found in shown for one in found}


def test_a_backfill_neither_alerts_nor_recovers(nights: Nights) -> None:
    """Nights as a variable: the runs are all of now, so that their evaluations alone tell what is past."""
    text = nights.path.read_text("utf-8").replace("${as_of", "${night")
    text = text.replace("project: nightly", "project: nightly\nvariables: {night: 2026-03-02}\n"
                        "channels: {box: {kind: file, path: outbox}}")  # fmt: skip
    reporter = (
        "{name: tell, channel: box, run_condition: \"outcome == 'WARNING'\", only_on_change: true, recovery: true}"
    )
    text = text.replace("  roll: {steps", f"    reporters: [{reporter}]\n  roll: {{steps")
    nights.path.write_text(text, encoding="utf-8")

    def run(number: int) -> tuple[str, int]:
        project = engine.load(nights.path, {"night": day(number)}, environ={"PATH": "/usr/bin:/bin"})
        outcome = str(project.run("score").outcome)
        return outcome, len(list((nights.folder / "outbox").glob("*")))

    for number in (1, 2, 3, 4, 5, 6):
        nights.write(number)
    frozen = nights.folder / "in" / f"{day(1)}.parquet"
    assert run(1) == ("SUCCESS", 0)
    assert run(5) == ("SUCCESS", 0)
    shutil.copy(frozen, nights.folder / "in" / f"{day(3)}.parquet")
    assert run(3) == ("WARNING", 0)  # a backfill of a frozen feed
    shutil.copy(frozen, nights.folder / "in" / f"{day(6)}.parquet")
    assert run(6) == ("WARNING", 1)
    assert run(4) == ("SUCCESS", 1)  # a backfill of a good day
    nights.write(6)
    assert run(6) == ("SUCCESS", 2)  # today's feed is mended


def test_a_history_that_goes_on_across_models(nights: Nights) -> None:
    nights.edit("    display: {metrics: [row_count, roc_auc]}", "    across_models: true")
    nights.build(1)
    make_rows(20).write_parquet(nights.folder / "past.parquet")
    nights.build(2)
    store = nights.load(1).store("scored")
    assert store.before(str(day(2))).name == str(day(1))
    assert store.starts_anew() == []


def test_numbers_that_are_taken_over_share_their_files_and_survive_the_removal_of_the_others(nights: Nights) -> None:
    first = nights.build(1)
    shutil.copy(nights.folder / "in" / f"{day(1)}.parquet", nights.folder / "in" / f"{day(2)}.parquet")
    second = nights.build(2)
    store = nights.load(1).store("scored")
    state = nights.folder / ".engine" / "nightly"
    files = [{path.name: path.stat().st_ino for path in (state / "evaluations" / one.id).iterdir()}
             for one in (first, second)]  # fmt: skip
    assert files[0] == files[1]
    store.remove(first.id)
    assert store.compare(second.id, "dataset:past").rows_used == 101
    # files that are damaged are not taken over: the numbers are computed again
    sample = state / "evaluations" / second.id / "sample.parquet"
    sample.write_bytes(b"damaged")
    shutil.copy(nights.folder / "in" / f"{day(1)}.parquet", nights.folder / "in" / f"{day(3)}.parquet")
    third = nights.build(3)
    assert third.same_data_as == second.id
    assert store.compare(third.id, "dataset:past").rows_used == 101


def run_cli(nights: Nights, *arguments: str) -> str:
    done = call_engine(nights.folder, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_command_line_shows_times_supersession_repeated_data_and_a_new_model(nights: Nights) -> None:
    nights.edit('evaluation: {time: "${as_of}"}\n    display', 'evaluation: {name: n, time: "${as_of}"}\n    display')
    for number in (1, 2):
        nights.build(number)
    nights.write(1, make_rows(1, labelled=False))
    nights.build(1)
    shutil.copy(nights.folder / "in" / f"{day(2)}.parquet", nights.folder / "in" / f"{day(3)}.parquet")
    nights.build(3)
    make_rows(20).write_parquet(nights.folder / "past.parquet")
    nights.build(4)
    shown = run_cli(nights, "show", "project.yaml", "scored")
    assert [line.split()[:2] for line in shown.splitlines()[2:6]] == [["n", str(day(n))] for n in (1, 2, 3, 4)]
    assert "n has exactly the same data as another time" in shown
    assert "another model since n: its evaluations are not compared with those before" in shown
    everything = json.loads(run_cli(nights, "show", "project.yaml", "scored", "--superseded", "--format", "json"))
    assert [bool(one["superseded_by"]) for one in everything] == [True, False, False, False, False]
    one = json.loads(run_cli(nights, "show", "project.yaml", "scored", everything[3]["id"], "--format", "json"))
    assert one["time"] == {"start": "2026-03-04T00:00:00Z", "end": None, "declared": "2026-03-04"}
    assert one["same_data_as"] == everything[2]["id"]
    run_cli(nights, "report", "project.yaml", "scored", everything[0]["id"], "--output", "page.html")
    page = (nights.folder / "page.html").read_text("utf-8")
    assert "Superseded: the data of this time has changed since." in page
    assert "for <strong>2026-03-02</strong>" in page
