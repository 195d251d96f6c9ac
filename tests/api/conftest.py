"""A shop whose sales of four weeks are compared with last year's: no model, so that it is built in a second."""

import shutil
import textwrap
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import engine

SHOP = """
    version: 1
    project: shop
    variables: {week: w1, most: 0.3, mail: "smtp://localhost:1"}
    datasets:
      last_year: {path: last_year.parquet}
      sales:
        path: "${week}.parquet"
        checks:
          enough: {metric: row_count, min: 10}
          as much: {metric: row_count, compare: previous, change: relative, soft_min: -0.3}
    evaluation_stores:
      mes:
        dataset: sales
        reference: {kind: dataset, dataset: last_year}
        evaluation: {name: "${week}", labels: {year: "2026", week: "${week}"}}
        metrics: {north: {kind: python, function: "own:north"}, lazy: {kind: python, function: "own:lazy"}}
        display: {metrics: [drift.amount, data_drift]}
        checks:
          columns: {metric: drift.*, soft_max: "${most}", max: 0.9}
          north as before: {metric: north, compare: previous, soft_min: -0.2, soft_max: 0.2}
          mine: {kind: python, function: "own:judge"}
          lazy: {metric: lazy, max: 1, when_empty: ok}
      rolling: {dataset: sales, reference: {kind: rolling, last: 2}, evaluation: {name: "${week}"}}
    channels:
      post: {kind: mail, url: "${mail}", from: engine@example.com, timeout: 1}
    scenarios:
      watch:
        steps:
          - {name: build, kind: build, target: mes}
          - {name: check, kind: run_checks, target: mes}
      weeks:
        for_each: [{week: w1}, {week: w2}, {week: w3}]
        steps: [{name: one, kind: run_scenario, scenario: watch}]
      roll: {steps: [{name: build, kind: build, target: rolling}]}
      page: {steps: [{name: page, kind: report, target: mes, path: "pages/${week}.html"}]}
      tell:
        steps: [{name: count, kind: compute_metrics, target: sales}]
        reporters: [{name: all is well, channel: post, to: [ops@example.com], subject: "${week}", message: fine}]
"""

OWN = """
import polars as pl
def north(frame):
    return frame.select((pl.col("shop") == "north").mean()).collect().item()
def lazy(frame):
    return None
def judge(metrics):
    return ("WARNING", "most is from the north") if metrics["north"] > 0.7 else "OK"
"""


def write_sales(path: Path, seed: int, n: int = 120, *, shift: float = 0.0, north: float = 0.5) -> None:
    random = np.random.default_rng(seed)
    pl.DataFrame(
        {
            "amount": random.lognormal(3 + shift, 1, n).round(2),
            "shop": random.choice(["north", "south"], n, p=[north, 1 - north]),
        }
    ).write_parquet(path)


@pytest.fixture(scope="session")
def new_shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the shop before its first run."""
    folder = tmp_path_factory.mktemp("new shop")
    (folder / "spec.yaml").write_text(textwrap.dedent(SHOP))
    (folder / "own.py").write_text(OWN)
    write_sales(folder / "last_year.parquet", 0, 400)
    for seed, (week, shift, north) in enumerate(
        [("w1", 0.0, 0.5), ("w2", 0.0, 0.55), ("w3", 1.5, 0.9), ("w4", 0, 0.5)], 1
    ):
        write_sales(folder / f"{week}.parquet", seed, shift=shift, north=north)
    return folder


@pytest.fixture(scope="session")
def built_shop(new_shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the shop after three weeks."""
    folder = Path(shutil.copytree(new_shop, tmp_path_factory.mktemp("built") / "shop"))
    engine.load(folder / "spec.yaml").run("weeks")
    return folder


@pytest.fixture(scope="session")
def shop(built_shop: Path) -> engine.Project:
    """To be read; a test that writes takes `shop_copy`."""
    return engine.load(built_shop / "spec.yaml")


@pytest.fixture
def shop_copy(built_shop: Path, tmp_path: Path) -> engine.Project:
    return engine.load(Path(shutil.copytree(built_shop, tmp_path / "shop")) / "spec.yaml")


@pytest.fixture
def empty_shop(new_shop: Path, tmp_path: Path) -> engine.Project:
    return engine.load(Path(shutil.copytree(new_shop, tmp_path / "new")) / "spec.yaml")
