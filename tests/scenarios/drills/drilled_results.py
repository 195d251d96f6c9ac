"""Projects to be drilled, and what a drill has found in them."""

import hashlib
from collections.abc import Callable
from pathlib import Path

from engine.scenarios.drill_result import DrilledCheck, DrillResult

Write = Callable[[str], Path]

Rows = Callable[..., Path]

PLAIN = """
    datasets:
      before: {path: before.parquet}
      now: {path: now.parquet, checks: {enough rows: {metric: row_count, min: 100}}}
    evaluation_stores:
      drift:
        dataset: now
        reference: {kind: dataset, dataset: before}
        checks:
          age moved: {metric: drift.age, soft_max: 0.1, max: 0.3}
          group moved: {metric: drift.group, soft_max: 0.1}
"""

REPORTING = (
    PLAIN
    + """
    channels:
      ops: {kind: mail, url: "smtp://localhost:1", from: engine@example.com}
    scenarios:
      weekly:
        steps:
          - {name: Build, kind: build, target: drift}
          - {name: Check, kind: run_checks, target: drift}
        reporters:
          - name: age alarm
            run_condition: checks['age moved'].outcome == 'ERROR'
            channel: ops
            to: [ops@example.com]
            subject: age has moved
"""
)


def hash_files(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def by_check(drilled: DrillResult) -> dict[str, DrilledCheck]:
    return {check.result.check: check for check in drilled.compare_checks()}
