"""A project that evaluates a model on the days of a folder, here and where it is deployed, for tests of pulling."""

import os
import random
import subprocess
import sys
from pathlib import Path

SPEC = """
version: 1
project: watched
variables: {day: 2026-03-01}
secrets: {factory_token: {env: FACTORY_TOKEN, optional: true}}
connections: {local: {root: here}}
datasets:
  before: {connection: local, path: before.csv}
  now: {connection: local, path: "${day}.csv"}
evaluation_stores:
  drift:
    dataset: now
    reference: {kind: dataset, dataset: before}
    evaluation: {name: "day ${day}", labels: {day: "${day}"}, time: "${day}"}
    checks:
      inputs: {metric: data_drift, soft_max: 0.6}
      columns: {metric: drift.*, soft_max: 0.1}
  sizes: {dataset: now, reference: {kind: rolling, last: 2}, evaluation: {name: "day ${day}", time: "${day}"}}
scenarios:
  monitor:
    steps:
      - {name: build, kind: build, target: drift}
      - {name: check, kind: run_checks, target: drift}
  count:
    steps: [{name: build, kind: build, target: sizes}]
bundles:
  v3: {include: {}}
infrastructures:
  automation: {path: automation}
  factory: {kind: node, url: "URL", token: "${secret.factory_token}"}
deployments:
  production: {infrastructure: automation, bundle: v3, connections: {local: {kind: file, root: there}}}
  distant: {infrastructure: factory, bundle: v3}
"""


def write_days(folder: Path, *days: int, shift: float = 0.0) -> None:
    """Write the rows of some days of March, whose values are moved by `shift`."""
    folder.mkdir(exist_ok=True)
    for day in days:
        chance = random.Random(day)
        lines = [f"{chance.gauss(shift * day, 1):.6f},{chance.choice('abc')}" for _ in range(300)]
        (folder / f"2026-03-{day:02}.csv").write_text("\n".join(["amount,kind", *lines]) + "\n")


def write_project(folder: Path, url: str = "http://127.0.0.1:1") -> Path:
    """Write the spec with its data, and return its path."""
    for place in ("here", "there"):
        write_days(folder / place, 1, 2, 3, shift=0.0 if place == "here" else 0.3)
        (folder / place / "before.csv").write_text((folder / place / "2026-03-01.csv").read_text())
    path = folder / "spec.yaml"
    path.write_text(SPEC.replace("URL", url))
    return path


def call(folder: Path, *arguments: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    """Call the command line in a folder."""
    return subprocess.run(
        [sys.executable, "-m", "engine", *arguments],
        cwd=folder,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
        stdin=subprocess.DEVNULL,
    )
