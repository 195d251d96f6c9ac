"""The tables that the benchmarks read: many shapes of columns, as real tables have them, of any number of rows.

    python tests/benchmarks/data.py FILE --rows 100_000_000

20 numerical columns (normal, log-normal, heavy-tailed, bimodal, rounded, tied integers, ids, zero-inflated; float64,
float32, int64, int32; a third of them with nulls) and 10 of text with 2 to 10,000 values, frequent and rare. Benchmarks
on uniform noise flatter whatever bins or hashes. Files are zstd Parquet with row groups of 131,072 rows, written part
by part, so 100 million rows (12 GB) need no more memory than one million. The same rows, seed and drift give the same
file.
"""

import argparse
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from polars.io.plugins import register_io_source

PART = 1_000_000
SIZES = (2, 3, 5, 10, 30, 100, 300, 1_000, 3_000, 10_000)
"""Categories of the text columns."""


def table(rows: int, seed: int = 0, drift: float = 0.0) -> pl.DataFrame:
    """Return so many rows; with a drift above 0 a quarter of the columns are moved or stretched by as much."""
    random = np.random.default_rng(seed)

    def normal(kind: Any = np.float64) -> Any:
        return random.standard_normal(rows, kind)

    values: dict[str, Any] = {
        "normal": normal() + drift,
        "normal_offset": normal() + 1e6,
        "normal_f32": normal(np.float32),
        "normal_nulls": normal(),
        "lognormal": np.exp(normal() * (1 + drift)),
        "lognormal_f32": np.exp(normal(np.float32)),
        "lognormal_nulls": np.exp(2 * normal()),
        "heavy": normal() / np.sqrt(random.standard_exponential(rows)),
        "heavy_nulls": normal() / normal(),
        "bimodal": normal() + np.where(random.random(rows) < 0.3 + drift / 4, 8, 0),
        "bimodal_f32": normal(np.float32) + 5 * random.integers(0, 2, rows, np.int32).astype(np.float32),
        "rounded": (10 * normal()).round(1),
        "rounded_nulls": np.exp(3 + normal()).round(2),
        "rounded_f32": (100 * normal(np.float32)).round(0),
        "tied_i64": random.poisson(5 + drift, rows),
        "tied_i32": random.geometric(0.05, rows).astype(np.int32),
        "large_i64": random.integers(0, 10**12, rows),
        "large_i32_nulls": (1e5 * np.exp(normal(np.float32))).clip(0, 2e9).astype(np.int32),
        "zeros": np.where(random.random(rows) < 0.7, 0.0, random.standard_exponential(rows)),
        "zeros_nulls": np.where(random.random(rows) < 0.95 - drift / 4, 0.0, np.exp(normal())),
    }
    columns = [pl.Series(name, column) for name, column in values.items()]
    for size in SIZES:
        # u ** 3 gives the first of a thousand a tenth of the rows, and the last one in 3,000
        codes = (size * random.random(rows) ** (3 if size > 5 else 1 + drift)).astype(np.uint32)
        columns.append(pl.Series([f"value {i}" for i in range(size)])[codes].alias(f"text_{size}"))
    nulls = pl.Series(random.random(rows) < 0.1)
    missing = pl.when(~nulls).then(pl.col("^.*_nulls$", "text_30"))
    return pl.DataFrame(columns).with_columns(missing)


def parts(rows: int, seed: int = 0, drift: float = 0.0) -> Iterator[pl.DataFrame]:
    """Give so many rows, at most a million at once."""
    for part in count():
        if rows <= part * PART:
            return
        yield table(min(PART, rows - part * PART), seed + 1_000_000 * part, drift)


def write(path: Path, rows: int, seed: int = 0, drift: float = 0.0) -> None:
    """Write so many rows to a Parquet file."""
    frame = register_io_source(lambda *_: parts(rows, seed, drift), schema=dict(table(1).schema))
    frame.sink_parquet(path, compression="zstd", row_group_size=131_072, maintain_order=True)


def main() -> None:
    """Write one file."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--drift", type=float, default=0.0)
    chosen = parser.parse_args()
    write(chosen.file, chosen.rows, chosen.seed, chosen.drift)


if __name__ == "__main__":
    main()
