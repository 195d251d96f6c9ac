"""A project whose datasets are of Spark, and the same project with files, to compare their numbers."""

import json
import math
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

import engine

from ..command_line import call_engine

FUNCTION = """
import polars as pl

def before(folder, spark):
    if not spark:
        return pl.read_parquet(folder)
    from pyspark.sql import SparkSession
    return SparkSession.builder.getOrCreate().read.parquet(folder)

def draw_anew():
    import numpy as np
    from pyspark.sql import SparkSession

    def draw(batches):
        for batch in batches:
            yield batch.from_pydict({"id": np.random.default_rng().integers(0, 10**9, batch.num_rows)})

    return SparkSession.builder.getOrCreate().range(5_000_100).mapInArrow(draw, "id long")

def divide():
    from pyspark.sql import SparkSession

    return SparkSession.builder.getOrCreate().range(9).selectExpr("id / (id - 5) AS share")

def fail():
    from pyspark.sql import SparkSession

    def raise_error(batches):
        raise ValueError("no such hour")

    return SparkSession.builder.getOrCreate().range(9).mapInArrow(raise_error, "id long")
"""

MODEL = {
    "kind": "train",
    "algorithm": "logistic_regression",
    "task": "binary_classification",
    "target": "bad",
    "positive": 1,
    "features": {"include": ["amount", "count", "city", "price"]},
}

STORES = ("drift", "scored", "scored parts", "scored ahead", "scored twice")

SUMS = ("mean", "std", "sum", "median", "q05", "q25", "q75", "q95")


def make_rows(n: int, seed: int, shift: float) -> pl.DataFrame:
    draw = np.random.default_rng(seed)
    amount = draw.normal(shift, 1, n)
    return pl.DataFrame(
        {
            "card": draw.integers(0, n // 2, n),
            "amount": np.where(draw.random(n) < 0.02, np.nan, amount),
            "count": pl.Series(draw.integers(0, 9, n)).set(pl.Series(draw.random(n) < 0.1), None),
            "city": pl.Series(["Oslo", "Rome", "Bonn", None])[draw.integers(0, 4, n).tolist()],
            "price": pl.Series(
                [Decimal(int(one)).scaleb(-2) for one in draw.integers(0, 999, n)], dtype=pl.Decimal(9, 2)
            ),
            "day": [date(2026, 1, 1) + timedelta(int(one)) for one in draw.integers(0, 30, n)],
            "at": [datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=int(one)) for one in draw.integers(0, 9**6, n)],
            "odd.name": draw.integers(0, 3, n).astype(np.int16),
            "bad": (amount + draw.normal(0, 1, n) > 0).astype(np.int64),
        }
    )


def write_project(folder: Path, connection: dict[str, Any], *, spark: bool, stores: tuple[str, ...] = STORES) -> Path:
    folder.mkdir()
    for name, rows in (("before", make_rows(3000, 1, 0)), ("now", make_rows(2000, 2, 0.3))):
        (folder / name).mkdir()
        for part, start in enumerate((0, 10, 10, 900)):  # one file is empty
            end = (10, 10, 900, rows.height)[part]
            rows[start:end].write_parquet(folder / name / f"part-{part}.parquet")
    make_rows(2000, 3, 0).write_parquet(folder / "train.parquet")
    (folder / "made.py").write_text(FUNCTION)
    statistics = ["missing_share", "missing_count", "distinct_count", "distinct_share", "min", "max", *SUMS]
    metrics = {one: {"metric": f"{one}.*", "min": -1e12} for one in statistics}
    metrics |= {one: {"metric": one, "min": 0} for one in ("row_count", "column_count", "age.day", "age.at")}
    stored = {"kind": "stored", "connection": "lake", "entity": "card"}
    spec: dict[str, Any] = {
        "version": 1,
        "project": "clicks",
        "connections": {"lake": connection},
        "datasets": {
            "before": {**stored, "path": "before"},
            "now": {
                **stored,
                "path": "now",
                "checks": metrics,
                "columns": {
                    "count": {"type": "integer", "min": 0, "max": 9},
                    "bad": {"required": True, "allowed": [0, 1]},
                },
            },
            "made": {
                "kind": "python",
                "function": "made:before",
                "arguments": {"folder": str(folder / "before"), "spark": spark},
                "entity": "card",
            },
            "train": {"path": "train.parquet"},
        },
        "models": {
            "risk": {**MODEL, "dataset": "train"},
            "rival": {**MODEL, "dataset": "now", "features": {"include": ["amount", "odd.name"]}},
        },
        "evaluation_stores": {
            "drift": {"dataset": "now", "reference": {"kind": "dataset", "dataset": "before"}},
            "scored": {"dataset": "now", "model": "risk", "reference": {"kind": "dataset", "dataset": "made"}},
            "scored parts": {
                "dataset": "now",
                "model": "risk",
                "reference": {"kind": "dataset", "dataset": "before"},
                "segments": ["city", {"name": "late", "where": "day > '2026-01-20' AND \"odd.name\" > 0"}],
            },
            "scored ahead": {
                "dataset": "now",
                "model": "risk",
                "reference": {"kind": "dataset", "dataset": "before"},
                "estimates": "auto",
                "find_segments": True,
            },
            "scored twice": {
                "dataset": "now",
                "model": "risk",
                "challenger": "rival",
                "reference": {"kind": "dataset", "dataset": "before"},
            },
        },
    }
    spec["evaluation_stores"] = {name: spec["evaluation_stores"][name] for name in stores}
    path = folder / "spec.yaml"
    path.write_text(json.dumps(spec))
    return path


def run_engine(*arguments: str | Path, code: int = 0, **environ: str) -> str:
    done = call_engine(Path.cwd(), *arguments, **environ)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def read_numbers(spec: Path) -> dict[str, tuple[Any, ...]]:
    project = engine.load(spec)
    found: dict[str, tuple[Any, ...]] = {}
    for store in project.stores:
        for row in project.store(store).metrics().iter_rows(named=True):
            found[f"{store} {row['metric']}"] = tuple(row[key] for key in ("value", "low", "high", "p_value", "reason"))
    for row in project.checks("now").iter_rows(named=True):
        found[f"now {row['metric']}"] = (row["value"],)
    return found


def is_close(found: Any, expected: Any) -> bool:
    if isinstance(found, float) and isinstance(expected, float):
        return math.isclose(found, expected, rel_tol=1e-12, abs_tol=1e-12)
    return bool(found == expected)
