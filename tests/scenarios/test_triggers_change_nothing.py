"""Triggers, retention and the timeout of a scenario say when runs are made, and nothing about their results."""

from collections.abc import Callable
from pathlib import Path

import pytest

from engine import load
from engine.scenarios.session import CallResult

Run = Callable[..., CallResult]
Spec = Callable[[str], Path]

SPEC = """
{top}
datasets:
  usual: {{path: usual.parquet}}
  batch: {{path: batch.parquet}}
evaluation_stores:
  watched: {{dataset: batch, reference: {{kind: dataset, dataset: usual}}}}
scenarios:
  all:
    {keys}
    steps: [{{name: Build, kind: build, target: watched}}]
"""


@pytest.mark.parametrize(
    ("top", "keys"),
    [
        ("", 'triggers: [{name: each night, cron: "30 4 * * *"}]'),
        ("", "triggers: [{name: new, kind: dataset_changed, dataset: batch}]"),
        ("", "triggers: [{name: rows, kind: query_changed, sql: SELECT max(age) AS a FROM batch, active: false}]"),
        ("", "timeout: 10m"),
        ("retention: {runs: {keep: 5}}", ""),
    ],
)
def test_a_change_of_when_runs_are_made_recomputes_nothing(
    top: str, keys: str, spec: Spec, rows: Callable[..., Path], run: Run
) -> None:
    rows("usual.parquet", 200)
    rows("batch.parquet", 200, seed=1)
    path = spec(SPEC.format(top="", keys=""))
    (first,) = run().runs
    spec(SPEC.format(top=top, keys=keys))
    plan = load(path).plan()
    assert {action.because for step in plan.all_steps() for action in step.actions} == {"reused"}
    (second,) = run().runs
    assert [made.id for made in second.steps[0].evaluations] == [made.id for made in first.steps[0].evaluations]
    assert second.steps[0].reused
