"""A project survives an upgrade of its libraries: one environment, made with old versions, then upgraded in place.

It takes minutes, and so runs only with ENGINE_UPGRADE_TEST=1. The environments are made with uv, which needs an index
of packages; where there is none, the tests say why they are skipped.
"""

import json
import os
import shutil
import sqlite3
import subprocess
import textwrap
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1200),
    pytest.mark.skipif("ENGINE_UPGRADE_TEST" not in os.environ, reason="takes minutes: set ENGINE_UPGRADE_TEST=1"),
]

CHECKOUT = Path(__file__).parents[2]
TRAINED = {
    "hist_gradient_boosting": "{task: binary_classification, target: label, parameters: {max_iter: 10}}",
    "random_forest": "{task: binary_classification, target: label, parameters: {n_estimators: 5}}",
    "decision_tree": "{task: regression, target: score}",
    "logistic_regression": "{task: binary_classification, target: label}",
}
OF_DATASET = ("of_skops", "rolling", "named", "of_function")
STORES = (*(f"of_{algorithm}" for algorithm in TRAINED), *OF_DATASET)


def frame(seed: int, n: int = 400) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    age, amount = random.normal(40, 10, n), random.normal(size=n)
    risk = age / 10 + amount + random.normal(size=n)
    return pl.DataFrame(
        {
            "person": random.integers(0, n // 2, n),
            "age": age,
            "amount": amount,
            "group": random.choice(["a", "b", "c"], n),
            "label": np.where(risk > 4, "yes", "no"),
            "level": random.choice(["low", "mid", "high"], n),
            "score": risk,
        }
    )


def write_project(folder: Path) -> Path:
    """Write the data and the spec: every family of estimator, every kind of model, of dataset and of reference."""
    folder.mkdir()
    frame(1).write_parquet(folder / "train.parquet")
    for number in (1, 2):
        frame(10 + number).write_csv(folder / f"batch_{number}.csv")
    (folder / "mine.py").write_text(
        "from pathlib import Path\n\nimport polars as pl\n\n\n"
        "def read():\n    return pl.read_parquet(Path(__file__).parent / 'train.parquet').head(300)\n\n\n"
        "def score(frame):\n    return {'probability': (frame['age'] / 100).clip(0, 1)}\n"
    )
    features = "features: {include: [age, amount, group]}"
    models = [
        f"{algorithm}: {{algorithm: {algorithm}, dataset: train, {features}, {settings[1:]}"
        for algorithm, settings in TRAINED.items()
    ]
    stores = [f"of_{algorithm}: {{model: {algorithm}, dataset: batch, {{name}}}}" for algorithm in TRAINED]
    text = f"""\
version: 1
project: upgraded
variables: {{batch: batch_1}}
datasets:
  train: {{path: train.parquet, entity: person}}
  file: {{path: "${{batch}}.csv"}}
  batch: {{kind: query, sql: "SELECT * FROM file", entity: person}}
  made: {{kind: python, function: "mine:read"}}
models:
{textwrap.indent(chr(10).join(models), "  ")}
  skops: {{kind: skops, path: m.skops, task: binary_classification, target: label, {features.replace(", group", "")}}}
  python: {{kind: python, function: "mine:score", task: binary_classification, target: label, {features}}}
evaluation_stores:
{textwrap.indent(chr(10).join(stores), "  ")}
  of_skops: {{model: skops, dataset: batch, reference: {{kind: dataset, dataset: train}}, {{name}}}}
  rolling: {{model: python, dataset: batch, reference: {{kind: rolling, last: 3}}, {{name}}}}
  named: {{dataset: batch, reference: {{kind: evaluation, name: batch_1}}, {{name}}}}
  of_function: {{dataset: batch, reference: {{kind: dataset, dataset: made}}, {{name}}}}
"""
    path = folder / "spec.yaml"
    path.write_text(text.replace("{name}", 'evaluation: {name: "${batch}"}, checks: {n: {metric: row_count, min: 1}}'))
    return path


SAVE_SKOPS = """
import polars, skops.io
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import FixedThresholdClassifier
frame = polars.read_parquet("train.parquet")
fitted = FixedThresholdClassifier(LogisticRegression(), threshold=0.7, pos_label="yes")
skops.io.dump(fitted.fit(frame.select("age", "amount").to_numpy(), frame["label"].to_numpy()), "m.skops")
"""


@dataclass(frozen=True)
class Installation:
    """An environment, and the variables of its processes: no cache is shared with anything else."""

    folder: Path

    def run(self, program: str, *arguments: str, cwd: Path | None = None, code: int = 0) -> str:
        done = subprocess.run(
            [self.folder / "bin" / program, *arguments],
            cwd=cwd,
            env={**os.environ, "XDG_CACHE_HOME": str(self.folder / "cache"), "COLUMNS": "400"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        # One line of the engine's own is written while numerical code is compiled; nothing else is: no raw warning.
        assert [line for line in done.stderr.splitlines() if "compiling numerical code" not in line] == []
        return done.stdout

    def install(self, *options: str) -> None:
        install(["uv", "pip", "install", "-q", "-p", str(self.folder), *options])

    def version(self, package: str) -> str:
        return self.run("python", "-c", f"import importlib.metadata as m; print(m.version({package!r}))").strip()


def install(command: list[str]) -> None:
    """Run uv; skip the test where it cannot install, for want of uv or of an index."""
    reason = "uv is not installed"
    if shutil.which("uv"):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return
        reason = f"{' '.join(command)}: {done.stderr.strip()[-500:]}"
    pytest.skip(reason)


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    """Give an environment of the lowest versions that pyproject.toml allows."""
    made = Installation(tmp_path / "venv")
    install(["uv", "venv", "-q", "-p", "3.11", str(made.folder)])
    made.install("--resolution", "lowest-direct", str(CHECKOUT))
    return made


def planned(installation: Installation, spec: Path, *variables: str) -> dict[str, Mapping[str, Any]]:
    """Return the actions of a plan by what they do and to what."""
    plan = json.loads(installation.run("engine", "plan", str(spec), "--format", "json", *variables))
    assert not plan["findings"]
    steps = [step for scenario in plan["scenarios"] for step in scenario["steps"]]
    assert [step["problem"] for step in steps if step["problem"]] == []
    return {f"{one['kind']} {one['target']}": one for step in steps for one in step["actions"]}


def count_evaluations(state: Path) -> dict[str, int]:
    with closing(sqlite3.connect(state / "state.db")) as database:
        return dict(database.execute("SELECT store, count(*) FROM evaluations GROUP BY store").fetchall())


def run_everything(installation: Installation, spec: Path, batch: str) -> str:
    return installation.run("engine", "run", str(spec), "--var", f"batch={batch}", cwd=spec.parent)


def upgrade_to_newest(installation: Installation) -> None:
    installation.install("--upgrade", "--reinstall-package", "engine", str(CHECKOUT))


@pytest.mark.parametrize("scikit_learn", ["the lowest allowed", "1.8.0"])
def test_nothing_is_lost_and_everything_is_reported_when_the_libraries_are_upgraded(
    scikit_learn: str, installation: Installation, tmp_path: Path
) -> None:
    """1.8.0 is not allowed any more, but models that it saved exist, and later versions cannot load all of them."""
    if scikit_learn == "1.8.0":
        installation.install("--no-deps", "scikit-learn==1.8.0")
    spec = write_project(tmp_path / "project")
    installation.run("python", "-c", SAVE_SKOPS, cwd=spec.parent)
    for batch in ("batch_1", "batch_2"):
        run_everything(installation, spec, batch)
    state, old = spec.parent / ".engine" / "upgraded", installation.version("scikit-learn")
    before = count_evaluations(state)
    assert before == dict.fromkeys(STORES, 2)
    held_out = {one: (state / "models" / one / "1" / "test.parquet").read_bytes() for one in TRAINED}

    upgrade_to_newest(installation)
    new = installation.version("scikit-learn")
    assert new != old
    plan = planned(installation, spec, "--var", "batch=batch_2")
    trained = {one for one in TRAINED if plan[f"train {one}"]["because"] != "reused"}
    for one in trained:
        says = "; ".join(change["says"] for change in plan[f"train {one}"]["changes"])
        assert f"scikit-learn {new}" in says
        assert f"version 1, which scikit-learn {old}" in says
    assert ("hist_gradient_boosting" in trained) == (scikit_learn == "1.8.0")

    run_everything(installation, spec, "batch_2")
    after = count_evaluations(state)
    evaluated = {store for store in STORES if plan[f"evaluate {store}"]["because"] != "reused"}
    assert {store for store in STORES if after[store] > before[store]} == evaluated
    assert all(after[store] >= before[store] for store in STORES)
    for one in trained:  # the reference is made of the same rows
        assert pl.read_parquet(state / "models" / one / "2" / "test.parquet").equals(pl.read_parquet(held_out[one]))
    again = planned(installation, spec, "--var", "batch=batch_2")
    assert {action["because"] for action in again.values()} <= {"reused", "always"}
    run_everything(installation, spec, "batch_2")
    assert count_evaluations(state) == after


def test_going_back_to_old_versions_works_or_says_why_not(installation: Installation, tmp_path: Path) -> None:
    spec = write_project(tmp_path / "project")
    upgrade_to_newest(installation)
    installation.run("python", "-c", SAVE_SKOPS, cwd=spec.parent)
    run_everything(installation, spec, "batch_1")
    installation.install("--resolution", "lowest-direct", "--reinstall-package", "engine", str(CHECKOUT))
    planned(installation, spec, "--var", "batch=batch_2")
    run_everything(installation, spec, "batch_2")
    assert count_evaluations(spec.parent / ".engine" / "upgraded") == dict.fromkeys(STORES, 2)
