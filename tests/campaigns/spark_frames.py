"""Random frames in random partitions: does Spark give the numbers of one machine?

    python tests/campaigns/spark_frames.py [--frames 50] [--seed 1]

Needs pyspark and Java. Each frame has random columns of all types that Parquet and Spark share, with missing values,
NaN, infinities, ties, constants and nothing at all; rows from none to twenty thousand, in 1, 7 or 200 partitions, of
which many are empty, or nearly all rows in one. What executors compute of it, a profile, a comparison, a sample and
the profiles of segments, with an entity or without, must be what one machine computes of the same file.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from engine import drift
from engine.drift.reading.segment_marks import SegmentMarks
from engine.errors import EngineError

sys.path.insert(0, str(Path(__file__).parents[1]))
from drift.spark.test_spark_drift import require_same_drift

Draw = np.random.Generator
COLUMNS: Mapping[str, Callable[[Draw, int], pl.Series]] = {
    "normal": lambda draw, n: pl.Series(draw.normal(0, 10, n)),
    "float32": lambda draw, n: pl.Series(draw.lognormal(0, 3, n).astype(np.float32)),
    "odd floats": lambda draw, n: pl.Series(draw.choice([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e308, 5e-324], n)),
    "rounded": lambda draw, n: pl.Series(np.round(draw.normal(0, 1, n), 1)),
    "int8": lambda draw, n: pl.Series(draw.integers(-128, 128, n), dtype=pl.Int8),
    "int32": lambda draw, n: pl.Series(draw.poisson(3, n), dtype=pl.Int32),
    "int64": lambda draw, n: pl.Series(draw.integers(-(2**63), 2**63, n)),
    "counter": lambda _, n: pl.Series(range(n), dtype=pl.Int64),
    "decimal": lambda draw, n: pl.Series([Decimal(int(x)).scaleb(-2) for x in draw.integers(0, 9**5, n)]).cast(
        pl.Decimal(14, 2)
    ),
    "flag": lambda draw, n: pl.Series(draw.random(n) < 0.3),
    "few texts": lambda draw, n: pl.Series(draw.choice(["a", "ä", "", " ", "Oslo"], n)),
    "many texts": lambda draw, n: pl.Series([f"key {x}" for x in draw.integers(0, 10**6, n)], dtype=pl.String),
    "numbers as texts": lambda draw, n: pl.Series([str(x) for x in draw.integers(0, 50, n)], dtype=pl.String),
    "day": lambda draw, n: pl.Series(draw.integers(20_000, 20_400, n), dtype=pl.Int32).cast(pl.Date),
    "time": lambda draw, n: pl.Series(draw.integers(0, 10**15, n)).cast(pl.Datetime("us", "UTC")),
    "local time": lambda draw, n: pl.Series(draw.integers(0, 10**15, n)).cast(pl.Datetime("us")),
    "constant": lambda _, n: pl.Series([7] * n, dtype=pl.Int16),
}
"""How each kind of column is drawn."""


def draw_frame(draw: Draw, kinds: list[str], n: int) -> pl.DataFrame:
    """Return a frame with a column of each kind, in most of which values are missing."""
    frame = pl.DataFrame({kind: COLUMNS[kind](draw, n).alias(kind) for kind in kinds})
    shares = draw.choice([0.0, 0.0, 0.05, 0.5, 1.0], len(kinds), p=[0.3, 0.2, 0.3, 0.1, 0.1])
    missing = {
        kind: pl.Series(draw.random(n) < share) for kind, share in zip(kinds, shares, strict=True) if kind != "counter"
    }
    gaps = [pl.when(~mask).then(pl.col(kind)).alias(kind) for kind, mask in missing.items()]
    return frame.with_columns(gaps, entity=pl.Series(draw.integers(0, max(n // 3, 1), n), dtype=pl.Int64))


def mark_rows(limit: int, block: pl.DataFrame) -> dict[str, pl.Series]:
    """Return masks of the rows of two segments that overlap."""
    entity = block["entity"]
    return {"below": (entity < limit).alias("below"), "even": (entity % 2 == 0).alias("even")}


def divide(frame: Any, way: str) -> Any:
    """Return a DataFrame in other partitions."""
    return frame.repartitionByRange(6, "entity") if way == "skewed" else frame.repartition(int(way))


def try_frame(spark: Any, seed: int, folder: Path) -> str:
    """Compare what Spark computes of a random frame with what one machine computes; return what it was."""
    draw = np.random.default_rng(seed)
    kinds = [str(kind) for kind in draw.choice(list(COLUMNS), draw.integers(2, 7), replace=False)]
    sizes = int(draw.choice([50, 3000, 20_000])), int(draw.choice([0, 1, 60, 2000, 20_000]))
    way = str(draw.choice(["1", "7", "200", "skewed"]))
    entity = "entity" if draw.random() < 0.4 else None
    told = f"seed {seed}: {kinds}, {sizes} rows, {way}, entity {entity}"
    paths = folder / f"{seed}-reference.parquet", folder / f"{seed}-batch.parquet"
    for path, rows in zip(paths, sizes, strict=True):
        draw_frame(draw, kinds, rows).write_parquet(path)
    before, now = (divide(spark.read.parquet(str(path)), way) for path in paths)
    roles = {kind: role for kind, role in drift.roles(pl.read_parquet(paths[0]))[0].items() if kind != "entity"}
    if not roles:
        return f"{told}: no roles"
    reference = drift.profile(paths[0], roles, entity=entity)
    assert drift.profile(before, roles, entity=entity).fingerprint() == reference.fingerprint(), "profile"
    sides = [
        drift.profile(data, roles, entity=entity, against=reference) if entity else data for data in (now, paths[1])
    ]
    found, expected = (drift.compare(reference, side) for side in sides)
    require_same_drift(found, expected)
    for columns in (list(roles), ["entity"]):
        one, other = (drift.sample(data, columns, 30, seed=seed) for data in (now, paths[1]))
        assert one.equals(other.cast(dict(one.schema))), f"sample of {columns}"
    mark = partial(mark_rows, sizes[1] // 6)
    local = pl.read_parquet(paths[1])
    parts = drift.profile_segments(now, roles, SegmentMarks(["below", "even"], ["entity"], mark), entity=entity)
    whole = drift.profile_segments(local.lazy(), roles, mark(local), entity=entity)
    for name, of_rows in whole.items():
        assert parts[name].fingerprint() == of_rows.fingerprint(), f"segment {name}"
    return told


def main() -> None:
    """Try frames, and print those of which the numbers differ."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--frames", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    from pyspark.sql import SparkSession

    os.environ["PYSPARK_PYTHON"] = sys.executable
    settings = {
        "spark.ui.enabled": "false",
        "spark.log.level": "OFF",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.shuffle.partitions": "3",
    }
    settings |= {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
    builder = SparkSession.builder.master("local[2]").config("spark.sql.session.timeZone", "UTC")
    for name, value in settings.items():
        builder = builder.config(name, value)
    spark, wrong = builder.getOrCreate(), 0
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(chosen.seed, chosen.seed + chosen.frames):
            try:
                print(try_frame(spark, seed, Path(folder)), flush=True)
            except (AssertionError, EngineError) as failure:
                wrong += 1
                print(f"WRONG: seed {seed}: {type(failure).__name__}: {failure}", flush=True)
    print(f"{wrong} of {chosen.frames} frames differ")
    spark.stop()
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
