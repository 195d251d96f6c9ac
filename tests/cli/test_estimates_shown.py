"""Estimated performance through the command line: what runs, checks, conditions and reports make of it."""

import json
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import pytest

from engine.cli import main

from ..command_line import call_engine

SPEC = """
    version: 1
    project: foreseen
    datasets:
      past: {path: past.parquet}
      unlabelled: {path: unlabelled.parquet}
      partly: {path: partly.parquet}
    models:
      loans:
        kind: scored
        task: binary_classification
        target: y
        positive: 1
        probability: p
        features: {include: [x]}
    evaluation_stores:
      early:
        model: loans
        dataset: unlabelled
        evaluation: {name: may}
        reference: {kind: dataset, dataset: past}
        estimates: auto
        checks:
          estimate holds: {metric: estimated_roc_auc, soft_min: 0.6, certain: true}
          estimate is low: {metric: estimated_roc_auc, soft_max: 0.6}
          metric holds: {metric: roc_auc, soft_min: 0.6}
          labels agree: {metric: estimate_contradicted, soft_max: 0}
      late:
        model: loans
        dataset: partly
        evaluation: {name: june}
        reference: {kind: dataset, dataset: past}
        estimates: auto
        checks:
          labels agree: {metric: estimate_contradicted, soft_max: 0}
          metric holds: {metric: roc_auc, soft_min: 0.6}
    scenarios:
      watch:
        steps:
          - {name: foresee, kind: build, target: early}
          - {name: judge, kind: run_checks, target: early}
          - name: on the estimate
            kind: python
            function: "mine:go"
            run_condition: metrics['estimated_roc_auc'] > 0.6
          - {name: look back, kind: build, target: late}
          - {name: judge again, kind: run_checks, target: late}
          - name: on the labels
            kind: python
            function: "mine:go"
            run_condition: metrics['estimate_contradicted'] > 0
      trust:
        steps:
          - {name: foresee, kind: build, target: early}
          - {name: on the metric, kind: python, function: "mine:go", run_condition: "metrics['roc_auc'] > 0.6"}
"""


class Said(NamedTuple):
    code: int
    out: str


Engine = Callable[..., Said]


def draw(seed: int, *, slope: float = 2.0, known: float = 1.0) -> pl.DataFrame:
    """Draw loans whose scores promise a slope of 2; a share of them has a label."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=1200)
    y = pl.Series((rng.random(1200) < 1 / (1 + np.exp(-slope * x))).astype(int))
    label = pl.when(pl.Series(rng.random(1200) < known)).then(y)
    return pl.DataFrame({"x": x, "p": 1 / (1 + np.exp(-2 * x))}).with_columns(y=label)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """Run both scenarios as a process; return the folder and what was printed as JSON."""
    folder = tmp_path_factory.mktemp("foreseen")
    (folder / "p.yaml").write_text(textwrap.dedent(SPEC))
    (folder / "mine.py").write_text("def go():\n    return 'SUCCESS', 'gone'\n")
    draw(0).write_parquet(folder / "past.parquet")
    draw(1, known=0).write_parquet(folder / "unlabelled.parquet")
    draw(2, slope=-0.6, known=0.5).write_parquet(folder / "partly.parquet")
    done = call_engine(folder, "run", "p.yaml", "watch", "trust", "--format", "json")
    return folder, json.loads(done.stdout)


@pytest.fixture
def said(
    ran: tuple[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Engine:
    """The command line, in this process and in the folder of the project."""
    monkeypatch.chdir(ran[0])

    def say(verb: str, *arguments: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["engine", verb, "p.yaml", *arguments])
        code = main._main()
        return Said(code, capsys.readouterr().out)

    return say


def test_a_check_or_condition_of_an_estimate_is_never_one_of_the_metric(ran: tuple[Path, dict[str, Any]]) -> None:
    watched, trusted = ran[1]["runs"]
    steps = {step["name"]: step for step in watched["steps"]}
    early = {check["check"]: check["outcome"] for check in steps["judge"]["checks"]}
    # the estimate is far above 0.6, but nobody knows the metric
    assert early == {
        "estimate holds": "OK",
        "estimate is low": "WARNING",
        "metric holds": "EMPTY",
        "labels agree": "EMPTY",
    }
    late = {check["check"]: check["outcome"] for check in steps["judge again"]["checks"]}
    assert late == {"labels agree": "WARNING", "metric holds": "WARNING"}
    assert {name: steps[name]["outcome"] for name in ("on the estimate", "on the labels")} == {
        "on the estimate": "SUCCESS",
        "on the labels": "SUCCESS",
    }
    refused = trusted["steps"][-1]
    assert refused["outcome"] == "FAILED"
    assert "the metric 'roc_auc' has no value" in refused["reason"]


def test_check_applied_again_says_the_same(said: Engine) -> None:
    again = " ".join(said("check", "early", "may").out.split())
    assert "WARNING estimate is low estimated_roc_auc" in again
    assert "EMPTY metric holds roc_auc - soft_min 0.6 no labels: no row has a value in the target column 'y'" in again


def test_show_has_the_estimate_beside_the_labels_and_says_what_it_cannot_see(said: Engine) -> None:
    shown = " ".join(said("show", "late", "june").out.split())
    assert "corrected by the labels that are there (prediction-powered)" in shown
    assert "The labels contradict the estimate: of the rows with a label" in shown
    assert "metric estimated on the rows with a label" in shown
    assert "calibration_error 0." in shown
    assert "An estimate does not see whether the relation between the columns and the target has changed." in shown
    early = " ".join(said("show", "early", "may").out.split())
    assert "by what the scores of the reference came to (calibrated)" in early
    assert "contradict" not in early.partition("estimated performance")[2]


def test_json_names_the_method_and_gives_every_estimate_an_interval_or_a_reason(said: Engine) -> None:
    told = json.loads(said("show", "late", "june", "--format", "json").out)
    evaluation = told.get("evaluation", told)
    assert evaluation["performance"]["estimate"]["method"] == "prediction-powered"
    metrics = evaluation["metrics"]
    estimated = {name: one for name, one in metrics.items() if name.startswith("estimated_")}
    assert len(estimated) == 13
    assert [name for name, one in estimated.items() if None in (one["value"], one["low"], one["high"])] == []
    assert metrics["estimate_contradicted"]["value"] == 1


def test_a_comparison_estimates_against_the_other_reference(said: Engine) -> None:
    told = json.loads(said("compare", "early", "may", "--reference", "dataset:partly", "--format", "json").out)
    metrics = told.get("evaluation", told)["metrics"]
    # of the past they come to 0.87, of the rows whose scores mislead to less than chance
    assert metrics["estimated_roc_auc"]["value"] < 0.5
    assert metrics["roc_auc"]["value"] is None


def test_the_report_has_a_section_of_estimates(said: Engine, ran: tuple[Path, dict[str, Any]]) -> None:
    assert said("report", "late", "june", "-o", "june.html").code == 0
    page = (ran[0] / "june.html").read_text()
    section = page.partition('<section id="estimates">')[2].partition("</section>")[0]
    assert "The labels contradict the estimate" in section
    assert "An estimate does not see" in section
    assert section.count("<tr>") == 14  # a row of each metric, and of their names
