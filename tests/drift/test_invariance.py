"""The same numbers for the same rows: in whatever form, order and pieces they come, on however many threads.

There are more rows than a block has, and columns are compared both as exact tables and on the reference's ladder.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from engine.drift import Drift, Profile, compare, profile
from engine.drift.profiles import profiling
from engine.drift.reading.normalization import as_numbers

ROLES = {
    **dict.fromkeys(["odd", "offset", "large", "unsigned", "price", "day", "took", "small"], "numerical"),
    **dict.fromkeys(["flag", "city", "level"], "categorical"),
}


def table(rows: int, seed: int) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    odd = random.standard_cauchy(rows)
    payload = np.array([0x7FF8000000000123, 0xFFF8000000000001], np.uint64).view(np.float64)
    for at, value in enumerate([np.nan, np.inf, -np.inf, -0.0, 5e-324, *payload]):
        odd[at::101] = value
    small = random.integers(0, 50, rows)
    frame = pl.DataFrame(
        {
            "odd": odd,
            "offset": random.normal(1e9, 1, rows),
            "large": random.integers(-(2**63), 2**63 - 1, rows),
            "unsigned": random.integers(0, 2**64 - 1, rows, dtype=np.uint64),
            "price": pl.Series(small).cast(pl.Decimal(20, 2)),
            "day": pl.Series(small * 100).cast(pl.Int32).cast(pl.Date),
            "took": pl.Series(random.integers(-(10**12), 10**12, rows)).cast(pl.Duration("us")),
            "small": small,
            "flag": small % 3 == 0,
            "city": pl.Series(random.integers(0, 9_000, rows)).cast(pl.String) + pl.Series(["é"]),
            "level": pl.Series(
                [["low", "high", "é"][i] for i in (small % 3).tolist()], dtype=pl.Enum(["low", "high", "é"])
            ),
            "card": random.integers(0, rows // 3, rows),
        }
    )
    missing = pl.int_range(pl.len()) % 11 == 0
    return frame.with_columns(
        pl.when(missing).then(None).otherwise(pl.col(name)).alias(name) for name in ("small", "city", "flag", "day")
    )


BATCH, REFERENCE = table(135_000, 1), table(3_000, 2)


def parquet(rows: int) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        BATCH.write_parquet(folder / "t.parquet", row_group_size=rows)
        return folder / "t.parquet"

    return write


def csv(folder: Path) -> Path:
    BATCH.with_columns(as_numbers("took", BATCH.schema["took"])).write_csv(folder / "t.csv")
    return folder / "t.csv"


FORMS: dict[str, Callable[[Path], Any]] = {
    "lazy": lambda _: BATCH.lazy(),
    "small row groups": parquet(7_777),
    "one row group": parquet(1_000_000),
    "csv": csv,
    "arrow": lambda _: BATCH.to_arrow(),
    "record batches": lambda _: BATCH.to_arrow().to_batches(max_chunksize=9_999),
    "pandas": lambda _: BATCH.with_columns(pl.col("large").cast(pl.Int64)).to_pandas(),
    "pieces": lambda _: pl.concat([BATCH[:5], BATCH[5:70_000], BATCH[70_000:]], rechunk=False),
    "columns reversed": lambda _: BATCH.select(reversed(BATCH.columns)),
    "rows shuffled": lambda _: BATCH.sample(fraction=1, shuffle=True, seed=3),
    "other types": lambda _: BATCH.with_columns(
        pl.col("small", "price", "card").cast(pl.Float64),
        pl.col("day").cast(pl.Datetime("ms")),
        pl.col("took").cast(pl.Duration("ns")),
        pl.col("unsigned").cast(pl.Int128),
        pl.col("level").cast(pl.String),
        pl.col("city").cast(pl.Categorical),
    ),
}
SUMS = {"mean", "std", "wasserstein", "wasserstein_normed"}


def different(a: Drift, b: Drift) -> Iterator[str]:
    for name, column in a.columns.items():
        other = b.columns[name]
        for statistic, value in column.statistics.items():
            found = other.statistics[statistic]
            equal = value == found
            if not equal and statistic in SUMS and value is not None and found is not None:
                equal = found == pytest.approx(value, rel=1e-12)
            if not equal:
                yield f"{name}: {statistic} is {value} or {found}"
        for part in ("drift", "drift_p", "significant", "reasons", "bounds"):
            if getattr(column, part) != getattr(other, part):
                yield f"{name}: {part} is {getattr(column, part)} or {getattr(other, part)}"
        if [column.histogram[side] for side in ("reference", "batch", "missing")] != [
            other.histogram[side] for side in ("reference", "batch", "missing")
        ]:
            yield f"{name}: histograms"


@pytest.fixture(scope="module", params=["exact", "exact by entity", "on a ladder"])
def compared(request: pytest.FixtureRequest) -> Iterator[tuple[Profile, Drift]]:
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "on a ladder":
            patch.setattr(profiling, "MAX_DISTINCT_VALUES", 20_000)
        reference = profile(REFERENCE, ROLES, entity="card" if "entity" in request.param else None)
        yield reference, compare(reference, BATCH)


@pytest.mark.parametrize("form", FORMS)
def test_the_form_of_the_rows_changes_nothing(form: str, compared: tuple[Profile, Drift], tmp_path: Path):
    reference, drift = compared
    if form in ("arrow", "record batches", "pandas"):
        pytest.importorskip("pyarrow")
    assert list(different(drift, compare(reference, FORMS[form](tmp_path)))) == []


def test_pieces_add_up_to_the_whole():
    for entity in (None, "card"):
        parts = [profile(BATCH[start : start + 47_000], ROLES, entity=entity) for start in (94_000, 0, 47_000)]
        whole = profile(BATCH, ROLES, entity=entity)
        assert parts[0].merge(parts[1]).merge(parts[2]).fingerprint() == whole.fingerprint()


THREADS = """
import os, sys
cores = int(sys.argv[1])
os.cpu_count = lambda: cores
from engine.drift import compare, profile
path, roles = sys.argv[2], dict(pair.split("=") for pair in sys.argv[3].split())
small = profile(path + "/reference.parquet", roles)
print(compare(small, path + "/batch.parquet"))
for of in (small, None):
    some = profile(path + "/batch.parquet", roles, against=of, most_values=5_000)
    print(some.fingerprint(), compare(some, small))
print(profile(path + "/batch.parquet", roles, entity="card").fingerprint())
"""


@pytest.mark.slow
def test_threads_change_no_bit(tmp_path: Path):
    BATCH.write_parquet(tmp_path / "batch.parquet", row_group_size=30_000)
    REFERENCE.write_parquet(tmp_path / "reference.parquet")
    roles = " ".join(f"{name}={role}" for name, role in ROLES.items())
    printed = {
        subprocess.run(
            [sys.executable, "-c", THREADS, cores, tmp_path, roles],
            env=os.environ | {"POLARS_MAX_THREADS": threads},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for cores, threads in (("1", "2"), ("5", "1"))
    }
    assert len(printed) == 1
    assert "js" in printed.pop()
