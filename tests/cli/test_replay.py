"""`engine check --replay`: bounds of today, or bounds that are tried, over all stored evaluations."""

import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import engine
from engine.errors import SpecError, UsageError

SPEC = """
    version: 1
    project: weeks
    variables: {week: w1}
    datasets:
      before: {path: w0.csv}
      now: {path: "${week}.csv"}
    evaluation_stores:
      drift:
        dataset: now
        evaluation: {name: "${week}"}
        reference: {kind: dataset, dataset: before}
        checks:
          x <= 0.1: {metric: drift.*, soft_max: 0.1, max: 0.9}
          jump: {metric: mean.x, compare: previous, soft_max: 0.5, soft_min: -0.5}
          judge: {kind: python, function: "judge:judge"}
    scenarios:
      all weeks:
        for_each: [{week: w1}, {week: w2}, {week: w3}, {week: w4}]
        steps:
          - {name: build, kind: build, target: drift}
"""
JUDGE = "def judge(metrics):\n    return ('ERROR', 'far') if metrics['mean.x'] > 1 else 'OK'\n"
SHIFTS = {"w0": 0.0, "w1": 0.0, "w2": 0.4, "w3": 2.0, "w4": 2.1}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("replayed")
    (folder / "weeks.yaml").write_text(textwrap.dedent(SPEC))
    (folder / "judge.py").write_text(JUDGE)
    for number, (name, shift) in enumerate(SHIFTS.items()):
        random = np.random.default_rng(number)
        pl.DataFrame({"x": random.normal(shift, 1, 800), "y": random.normal(0, 1, 800)}).write_csv(
            folder / f"{name}.csv"
        )
    engine.load(folder / "weeks.yaml").run("all weeks")
    return folder


def check(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("engine")), "check", "weeks.yaml", *arguments]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, env=os.environ | {"COLUMNS": "160"}
    )


def test_each_check_is_applied_to_every_evaluation_and_nothing_is_recorded(built: Path) -> None:
    store = engine.load(built / "weeks.yaml").store("drift")
    moved, jump, judged = store.replay()
    assert (moved.warnings, moved.errors, moved.last) == (("w2", "w3", "w4"), (), "w4")
    assert moved.metrics == (("drift.x", 3),)
    # w1 has nothing before it, which is no alarm; the mean of w3 jumps by 1.6
    assert (jump.warnings, jump.unmeasured, jump.evaluations) == (("w3",), 1, 4)
    assert judged.errors == ("w3", "w4")
    assert store.checks().is_empty()


def test_a_bound_is_tried(built: Path) -> None:
    moved, jump, _ = (
        engine.load(built / "weeks.yaml").store("drift").replay({"x <= 0.1.soft_max": 0.4, "jump.compare": "reference"})
    )
    assert moved.warnings == ("w3", "w4")
    assert jump.warnings == ("w3", "w4")  # from the reference both are far away


def test_the_table_says_what_would_have_been(built: Path) -> None:
    told = check(built, "drift", "--replay", "--set", "x <= 0.1.soft_max=0.4")
    assert told.returncode == 0
    assert told.stdout.splitlines()[0] == "drift: 4 evaluations, nothing is recorded"
    line = next(line for line in told.stdout.splitlines() if "x <= 0.1" in line)
    assert "warned in 2 of 4" in line
    assert "warned in 3 of 4" in line  # as declared
    assert "drift.x (2)" in line


def test_programs_get_names_and_counts(built: Path) -> None:
    found = json.loads(check(built, "drift", "--replay", "--set", "jump.soft_max=5", "--format", "json").stdout)
    jump = next(one for one in found if one["check"] == "jump")
    assert (jump["warnings"], jump["declared"]["warnings"]) == ([], ["w3"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--set", "jump.soft_max=1"), "--set: needs --replay"),
        (("--replay", "--set", "jump.soft_max"), "is not CHECK.KEY=VALUE"),
        (("--replay", "--set", "jump=1"), "'jump' is not CHECK.KEY, such as x <= 0.1.soft_max"),
        (("--replay", "--set", "jmp.soft_max=1"), "there is no check 'jmp'; did you mean 'jump'?"),
        (("--replay", "--set", "jump.soft_mx=1"), 'jump.soft_mx:1:1: error: unknown key "soft_mx"'),
        (("--replay", "--set", "jump.soft_max=high"), 'error: "soft_max" must be a number'),
        (("--replay", "--set", "jump.soft_max=[1"), "jump.soft_max:1:"),
        (("--replay", "--set", "x <= 0.1.soft_max=0.95"), "max 0.9 is below soft_max 0.95"),
        (("w1", "--replay"), "takes no EVALUATION"),
        (("--replay", "--format", "github"), "has no --format github"),
    ],
)
def test_what_cannot_be_tried_is_told(built: Path, arguments: tuple[str, ...], message: str) -> None:
    told = check(built, "drift", *arguments)
    assert (told.returncode, told.stdout) == (2, "")
    assert message in told.stderr


def test_an_empty_store_and_a_dataset_cannot_be_replayed(built: Path, tmp_path: Path) -> None:
    for name in ("weeks.yaml", "w0.csv", "w1.csv", "judge.py"):
        shutil.copy(built / name, tmp_path)
    project = engine.load(tmp_path / "weeks.yaml")
    with pytest.raises(UsageError, match="has no evaluations yet"):
        project.store("drift").replay()
    with pytest.raises(SpecError):
        engine.load(built / "weeks.yaml").store("drift").replay({"jump.change": "twice"})
    told = check(built, "now", "--replay")
    assert (told.returncode, "an evaluation store is needed" in told.stderr) == (2, True)


def test_a_metric_that_old_evaluations_do_not_hold_judges_nothing(built: Path) -> None:
    copied = engine.load(built / "weeks.yaml").store("drift")
    (_, jump, _) = copied.replay({"jump.metric": "missing_share.y", "jump.compare": "previous"})
    assert jump.warnings == ()
