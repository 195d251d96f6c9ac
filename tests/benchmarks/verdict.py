"""What the verdict costs once both profiles are there: every distance, KS and homogeneity p, and Holm over all columns.

    python tests/benchmarks/verdict.py

Starts from counts, as a comparison of two ready profiles does, with kernels compiled. `one` and `two` are the seconds
with one and two threads, medians; `drawn` counts the columns whose labels had to be exchanged at random.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import median

import numpy as np
from numpy.typing import NDArray

from engine.drift.significance import verdict
from engine.drift.significance.hierarchy import adjust_in_groups
from engine.drift.significance.ks_test import ks_p_value
from engine.drift.statistics import binned_distances

LEVEL = 0.05
Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Column:
    """Counts of both sides; of a numerical column n * m times the KS distance."""

    r: Counts
    b: Counts
    gap: int | None = None


def numerical(random: np.random.Generator, n: int, m: int, shift: float = 0.0) -> Column:
    """Rows of a normal column in decile bins, some missing."""
    reference, batch = np.sort(random.normal(size=n)), np.sort(random.normal(shift, 1, m))
    both = np.concatenate([reference, batch])
    below = [np.searchsorted(side, both, side="right") for side in (reference, batch)]
    gap = int(np.abs(below[0] * m - below[1] * n).max())
    edges = np.quantile(reference, np.arange(1, 10) / 10, method="inverted_cdf")
    bins = [np.bincount(np.searchsorted(edges, side), minlength=11) for side in (reference, batch)]
    return Column(
        bins[0] + random.multinomial(n // 50, np.eye(11)[10]), bins[1] + m // 50 * np.eye(11, dtype=int)[10], gap
    )


def categorical(random: np.random.Generator, n: int, m: int, k: int) -> Column:
    """Rows of Zipf's categories."""
    shares = zipf(k)
    return Column(random.multinomial(n, shares), random.multinomial(m, shares))


def near_the_level(random: np.random.Generator, n: int, m: int, k: int, p: float) -> Column:
    """Rows of Zipf's categories, every other one the more frequent in the batch, so much that the p is about `p`."""
    shares, seed = zipf(k), int(random.integers(1 << 30))
    r = random.multinomial(n, shares)
    tilt = np.where(np.arange(k) % 2 == 0, 1.0, -1.0)
    low, high = 0.0, 0.9
    for _ in range(25):
        middle = (low + high) / 2
        moved = shares * (1 + middle * tilt)
        b = np.random.default_rng(seed).multinomial(m, moved / moved.sum())
        found = verdict.homogeneity_p(r, b, level=1.0, tests=1, seed=0, name="")
        low, high = (middle, high) if found > p else (low, middle)
    return Column(r, b)


def zipf(k: int) -> NDArray[np.float64]:
    """Shares that fall as 1, 1/2, 1/3, ..."""
    weights = 1 / np.arange(1, k + 1)
    return weights / weights.sum()


def judge(columns: list[Column], each: Callable[..., Iterator[float]]) -> int:
    """Do everything that a comparison does once it has counts; return how many columns are significant."""
    tests = len(columns)

    def p_of(i: int) -> float:
        c = columns[i]
        binned_distances.measure_binned_distances(c.r, c.b)
        p = verdict.homogeneity_p(c.r, c.b, level=LEVEL, tests=tests, seed=0, name=str(i))
        if c.gap is None:
            return p
        # as many rows as have a value: the last bin is of those that are missing
        return min(1.0, 2 * min(p, ks_p_value(c.gap, int(c.r[:-1].sum()), int(c.b[:-1].sum()))))

    significant = np.flatnonzero(np.array(adjust_in_groups([list(each(p_of, range(tests)))], [1.0])[0]) < LEVEL)
    list(each(lambda i: verdict.effect_size(columns[i].r, columns[i].b), significant))
    return len(significant)


def cases(random: np.random.Generator) -> Iterator[tuple[str, list[Column]]]:
    """Make the tables, name by name."""
    sizes = (2, 3, 5, 8, 20, 50, 100, 200, 500, 1_000)
    for n, m in ((1_000_000, 1_000_000), (1_000_000, 50_000), (9_000, 1_000)):
        ordinary = [numerical(random, n, m) for _ in range(20)] + [categorical(random, n, m, k) for k in sizes]
        yield f"30 ordinary columns, {n:,} and {m:,} rows", ordinary
    moved = [numerical(random, 9_000, 1_000, 0.3) for _ in range(20)] + [
        near_the_level(random, 9_000, 1_000, k, 1e-5) for k in sizes if k > 2
    ]
    yield "29 ordinary columns, all of them drifted, 9,000 and 1,000 rows", moved
    wide = [numerical(random, 6_000, 5_999) for _ in range(400)]
    wide += [categorical(random, 6_000, 5_999, sizes[i % 10]) for i in range(200)]
    yield "600 columns, 6,000 and 5,999 rows", wide
    for n, m in ((1_000_000, 1_000_000), (1_000_000, 10_000), (10_000, 10_000)):
        rich = [categorical(random, n, m, 10_000) for _ in range(200)]
        yield f"200 columns of 10,000 categories, {n:,} and {m:,} rows", rich
        near = [near_the_level(random, n, m, 10_000, LEVEL / 200) for _ in range(20)]
        yield "  the same, a tenth of them near the level", rich[20:] + near


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--times", type=int, default=5, help="repetitions a figure")
    times = parser.parse_args().times
    print(f"{'case':66} {'one':>8} {'two':>8}  {'significant':>11}  {'drawn':>5}")
    with ThreadPoolExecutor(2) as pool:
        for name, columns in cases(np.random.default_rng(0)):
            drawn = count_drawn(columns)
            seconds: list[list[float]] = [[], []]
            for _ in range(times):
                for taken, each in zip(seconds, (map, pool.map), strict=True):
                    begun = time.perf_counter()
                    significant = judge(columns, each)
                    taken.append(time.perf_counter() - begun)
            one, two = map(median, seconds)
            print(f"{name:66} {one:7.3f}s {two:7.3f}s  {significant:11}  {drawn:5}", flush=True)


def count_drawn(columns: list[Column]) -> int:
    """Return how many columns' p depends on the seed of the draws, so was drawn."""
    return sum(
        len({verdict.homogeneity_p(c.r, c.b, level=LEVEL, tests=len(columns), seed=s, name="") for s in (1, 2)}) > 1
        for c in columns
    )


if __name__ == "__main__":
    main()
