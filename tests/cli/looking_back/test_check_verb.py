"""`engine compare` and `engine check` on a project of three weeks: what they print, and how they exit."""

import csv
import io
import json
import re
from itertools import pairwise
from pathlib import Path

import pytest

import engine

from .three_weeks import Engine


def test_compare_says_what_moved_from_what_to_what(said: Engine) -> None:
    told = said("compare", "drift").out
    assert "from w2 to w3" in told
    assert re.search(r"2 of 3 columns drifted: (age|flower) ", told)
    still = said("compare", "drift", "w2", "--reference", "dataset:before").out
    assert "0 of 3 columns drifted\n" in still
    rows = csv.DictReader(io.StringIO(said("compare", "drift", "w3", "--reference", "w1", "--format", "csv").out))
    told_of = {row["column"]: float(row["drift"]) for row in rows}
    assert told_of["a column of a rather long name"] == 0 < told_of["age"]
    document = json.loads(said("compare", "drift", "--format", "json").out)
    assert document["compared_with"] == "w2"


def test_check_applies_and_records_with_the_exit_codes_of_run(said_to_a_copy: Engine) -> None:
    said = said_to_a_copy
    again = said("check", "drift")
    assert again.code == 0
    assert re.match(r"drift, evaluation w3 of 2\S+ \S+ UTC: \d (OK|WARNING), \d (OK|WARNING)\n", again.out)
    assert said("check", "drift", "--fail-on", "warning").code == 1
    assert said("check", "drift", "w1", "--fail-on", "warning").code == 0
    strict = said("check", "drift", "--var", "most=0.1", "--format", "github")
    assert strict.code == 1
    assert strict.out.startswith("::error file=weeks.yaml,line=14,")
    assert said("check", "drift", "--var", "most=0.1", "--fail-on", "never").code == 0
    assert len(json.loads(said("check", "drift", "--format", "json").out)) == 4
    history = json.loads(said("show", "drift", "w3", "--checks", "--format", "json").out)
    assert [row["run"] is None for row in history].count(True) == 5 * 4
    assert json.loads(said("show", "drift", "--format", "json").out)[-1]["checks.all is well"] == "WARNING"


def test_checks_are_replayed_with_declared_and_tried_bounds_and_nothing_is_recorded(said: Engine, built: Path) -> None:
    before = said("show", "drift", "--checks", "--format", "json").out
    told = json.loads(
        said(
            *("check", "drift", "--replay", "--format", "json", "--set", "all is well.soft_max=null"),
            *("--set", "all is well.except.drift.age.max=0.2", "--set", "enough rows.min=401"),
        ).out
    )
    rows = {(row["check"], row["tried"]): row for row in told["checks"]}
    counts = ("evaluations", "error", "warning", "empty", "ok", "not_measured", "alarms", "first", "last")
    assert [rows["all is well", False][key] for key in counts] == [3, 0, 1, 0, 2, 0, 1, "w3", "w3"]
    assert [rows["all is well", True][key] for key in counts] == [3, 1, 0, 0, 2, 0, 1, "w3", "w3"]
    assert rows["all is well", True]["metrics"] == "drift.age 1"
    assert [rows["enough rows", True][key] for key in counts] == [3, 3, 0, 0, 0, 0, 3, "w1", "w3"]
    assert said("show", "drift", "--checks", "--format", "json").out == before
    # what is replayed is what was recorded by the runs
    recorded = [row for row in json.loads(before) if row["check"] == "all is well"]
    assert {row["evaluation"] for row in recorded if row["outcome"] == "WARNING"} == {"w3"}
    page = said("check", "drift", "--replay").out
    assert "applied to 3 stored evaluations" in page
    assert re.search(r"all is well +soft_max 0\.1, max 0\.5 +0 +1 +2 +w3 +w3 +drift\.age 1, drift\.flower 1", page)
    frame = engine.load(built / "weeks.yaml").store("drift").replay({"enough rows": {"min": 401}})
    assert frame.filter(frame["tried"])["error"].to_list() == [3]


def test_a_replay_of_changes_takes_the_evaluations_in_their_order(said_to_a_copy: Engine) -> None:
    spec = Path("weeks.yaml")
    change = "{metric: psi.age, compare: previous, soft_max: 0.05}"
    text = spec.read_text().replace("    checks:\n", "    metrics: {unheard: {function: 'own:f'}}\n    checks:\n", 1)
    text = re.sub(
        r"( +)enough rows:", lambda m: f"{m[1]}moved: {change}\n{m[1]}mine: {{metric: unheard, max: 1}}\n{m[0]}", text
    )
    spec.write_text(text)
    rows = {
        row["check"]: row
        for row in json.loads(said_to_a_copy("check", "drift", "--replay", "--format", "json").out)["checks"]
    }
    psi = engine.load("weeks.yaml").store("drift").evaluations(["psi.age"])["psi.age"].to_list()
    expected = [now - was > 0.05 for was, now in pairwise(psi)]
    assert rows["moved"]["warning"] == sum(expected)
    assert rows["moved"]["empty"] == 1
    assert rows["moved"]["reason"] == "no earlier evaluation to compare with"
    assert rows["moved"]["alarms"] == sum(expected)  # the first evaluation raises no alarm
    assert (rows["mine"]["not_measured"], rows["mine"]["alarms"]) == (3, 0)
    assert rows["mine"]["reason"] == "unheard was not measured"


@pytest.mark.parametrize(
    ("arguments", "help_"),
    [
        (("--set", "enough rows.min=1"), "--set applies only to --replay"),
        (("w1", "--replay"), "leave out EVALUATION"),
        (("--replay", "--fail-on", "error"), "takes no --fail-on"),
        (("--replay", "--set", "enough row.min=1"), "did you mean 'enough rows'?"),
        (("--replay", "--set", "enough rows.minimum=1"), "has no bound 'minimum'; did you mean \"min\"?"),
        (("--replay", "--set", "enough rows.metric=x"), "has no bound 'metric'; there are"),
        (("--replay", "--set", "enough rows.min=many"), '"min" must be a number'),
        (("--replay", "--set", "all is well.soft_max=0.9"), "max 0.5 is below soft_max 0.9"),
        (("--replay", "--set", "enough rows.min"), "has no value"),
        (("--replay", "--set", "enough rows"), "not CHECK.KEY=VALUE"),
        (("--replay", "--set", "enough rows.min=1", "--set", "enough rows.min=2"), "twice"),
        (("--replay", "--set", "all is well.except.psi.age.max=1"), "is not one of the metrics drift.*"),
    ],
)
def test_a_setting_that_cannot_be_tried_is_reported_with_what_can(
    arguments: tuple[str, ...], help_: str, said: Engine
) -> None:
    refused = said("check", "drift", *arguments)
    assert refused.code == 2
    assert help_ in refused.err
