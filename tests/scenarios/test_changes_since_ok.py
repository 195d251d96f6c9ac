"""`${changesSummary}`: what has changed since the last evaluation whose checks were all OK."""

import email
import email.policy
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine.scenarios.session import CallResult

Rows = Callable[..., Path]
Run = Callable[..., CallResult]
Spec = Callable[[str], Path]

SPEC = """
    variables: {name: monday, most: 0.3}
    datasets:
      batch: {path: "${name}.parquet"}
      old: {path: old.parquet}
    models:
      m:
        kind: train
        task: binary_classification
        dataset: old
        target: label
        algorithm: logistic_regression
        features: {exclude: [person]}
    evaluation_stores:
      s:
        dataset: batch
        model: m
        evaluation: {name: "${name}"}
        reference: {kind: dataset, dataset: old}
        drift: {seed: SEED}
        checks: {moved: {metric: drift.age, soft_max: "${most}"}}
      plain: {dataset: batch, reference: {kind: dataset, dataset: old}, evaluation: {name: "${name}"}}
    channels: {box: {kind: file, path: box}}
    scenarios:
      S:
        steps:
          - {name: b, kind: build, target: s}
          - {name: p, kind: build, target: plain}
          - {name: c, kind: run_checks, target: s}
        reporters: [{name: tell, channel: box}]
"""


def read_mail(folder: Path) -> str:
    newest = max((folder / "box").iterdir())
    letter: Any = email.message_from_bytes(newest.read_bytes(), policy=email.policy.default)
    return str(letter.get_body(("plain",)).get_content()).replace("\r\n", "\n")


def test_changes_are_those_since_the_last_evaluation_that_was_ok(
    spec: Spec, run: Run, rows: Rows, tmp_path: Path
) -> None:
    spec(SPEC.replace("SEED", "0"))
    rows("old.parquet", n=800)
    for number, name in enumerate(("monday", "tuesday", "wednesday", "thursday")):
        rows(f"{name}.parquet", seed=number + 1, shift=30 * (name == "tuesday"))
    run()
    first = read_mail(tmp_path)
    assert "s: there is no earlier evaluation whose checks were OK to compare with" in first
    assert "plain: there is no earlier evaluation to compare with" in first

    (warned,) = run(name="tuesday").runs
    assert str(warned.outcome) == "WARNING"
    second = read_mail(tmp_path)
    assert "s, changed since monday: nothing but the data" in second
    assert "- dataset batch: file tuesday.parquet is new" in second

    spec(SPEC.replace("SEED", "7"))
    run(name="wednesday")
    third = read_mail(tmp_path)
    # tuesday was not OK; the store without checks is compared with the evaluation before
    assert "s, changed since monday:\n- evaluation_stores.s.drift.seed 0 → 7 (project.yaml:" in third.replace(
        str(tmp_path) + "/", ""
    )
    assert "- dataset batch: file wednesday.parquet is new" in third
    assert "plain, changed since tuesday: nothing but the data" in third

    rows("old.parquet", n=900, seed=9)
    run(name="thursday")
    fourth = read_mail(tmp_path)
    lines = fourth[fourth.index("s, changed since wednesday:") :].splitlines()
    assert lines[1] == "- model m version 1 → version 2"  # what tells most comes first
    assert any("old.parquet has changed" in line for line in lines)


def test_a_run_without_evaluations_has_nothing_to_tell(spec: Spec, run: Run, rows: Rows, tmp_path: Path) -> None:
    spec("""
        datasets: {old: {path: old.parquet}}
        channels: {box: {kind: file, path: box}}
        scenarios:
          S:
            steps: [{name: b, kind: build, target: old}]
            reporters: [{name: tell, channel: box, message: "changes: ${changesSummary}."}]
    """)
    rows("old.parquet")
    run()
    assert read_mail(tmp_path).strip() == "changes: ."
