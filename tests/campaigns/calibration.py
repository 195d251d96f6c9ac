"""How often the verdict alarms where nothing has drifted, and how often it finds what has.

    python tests/campaigns/calibration.py                          # everything: some hours
    python tests/campaigns/calibration.py --quick                  # a sample of it: some minutes
    python tests/campaigns/calibration.py --times 5000 --case "rare flags"
    python tests/campaigns/calibration.py --bounds                 # the coverage of drift_low

Draws pairs of samples from one source (or from two that differ as named), compares them, and counts the comparisons
in which any column's `drift` is above 0. Prints a 95 % interval (Wilson) with each share: without drift it has to lie
at or below the 5 % that the confidence of 0.95 promises. The last column is what the usual practice, chi2 or KS per
column at p < 0.05 without a correction, would have alarmed on the same data.

The cases named "small reference" are a grid: references of 1 to 500 rows, batches of up to 100,000, 1, 20 and 200
columns, continuous, tied and categorical, with five rows per entity or without an entity. Large cases are compared
less often than `--times` says; the number of comparisons is printed.

Where millions of rows a comparison would take days, the counts of every value are drawn instead of rows (a multinomial,
which is what counting rows gives) and judged by the same functions: these cases are marked `counts`.
"""

import argparse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from math import sqrt

import numpy as np
import polars as pl
from numpy.typing import NDArray

from engine import drift
from engine.drift.distributions.numerical import Numerical
from engine.drift.significance import verdict
from engine.drift.significance.hierarchy import adjust_in_groups
from engine.drift.significance.ks_test import ks_p_value
from engine.drift.statistics import binned_distances
from engine.drift.statistics.numerical_statistics import count_bins
from engine.drift.statistics.pooled_bins import choose_pooled_edges

LEVEL = 0.05
MOST_VALUES = 400_000_000
"""Values drawn per case, unless that is fewer than 20 comparisons."""

Draw = Callable[[np.random.Generator, int, bool], Mapping[str, object]]
Shares = NDArray[np.float64]


@dataclass(frozen=True)
class Rows:
    """A source of rows: `draw` gives n of them, drifted or not; with an entity, five copies of each."""

    name: str
    draw: Draw
    reference: int
    batch: int
    drifted: bool = False
    entity: bool = False
    columns: int = 1

    def compared(self, seed: int) -> tuple[bool, bool]:
        """Compare one pair of samples: does any column drift, and would p < 0.05 in any column have said so?"""
        random = np.random.default_rng(seed)
        before = self.rows(random, self.reference, False)
        now = self.rows(random, self.batch, self.drifted)
        roles = {
            name: drift.Role.NUMERICAL if dtype.is_numeric() else drift.Role.CATEGORICAL
            for name, dtype in before.schema.items()
            if name != "entity"
        }
        entity = "entity" if self.entity else None
        found = drift.compare(*(drift.profile(side, roles, entity=entity) for side in (before, now)), seed=seed)
        p_values = [column.statistics.get("ks_p", column.statistics["chi2_p"]) for column in found.columns.values()]
        drifted = any((column.drift or 0) > 0 for column in found.columns.values())
        return drifted, any(p is not None and p < LEVEL for p in p_values)

    def rows(self, random: np.random.Generator, n: int, drifted: bool) -> pl.DataFrame:
        """Draw one side; the entities of the two sides differ."""
        frame = pl.DataFrame(self.draw(random, n, drifted))
        if not self.entity:
            return frame
        entities = pl.Series("entity", np.arange(n) + random.integers(1 << 60))
        return pl.concat([frame.with_columns(entities)] * 5)

    @property
    def values(self) -> int:
        """Number of values that a comparison reads."""
        return (self.reference + self.batch) * self.columns * (5 if self.entity else 1)


@dataclass(frozen=True)
class Counted:
    """Columns of values with known shares; `ordered` ones are numbers, with KS and bins of the pooled sample."""

    name: str
    shares: Shares
    columns: int
    reference: int
    batch: int
    ordered: bool = False
    drifted: bool = False

    def compared(self, seed: int) -> tuple[bool, bool]:
        """Compare one pair of counts, as `Rows.compared` does rows."""
        random = np.random.default_rng(seed)
        sides = []
        p_values, usual = [], []
        for i in range(self.columns):
            r, b = (random.multinomial(n, self.shares) for n in (self.reference, self.batch))
            bins = (r, b)
            if self.ordered:
                columns = [Numerical.exact(np.flatnonzero(side), side[side > 0], 0) for side in (r, b)]
                edges, _ = choose_pooled_edges(*columns)
                bins = tuple(count_bins(edges, column) for column in columns)
            sides.append(bins)
            p = verdict.homogeneity_p(*bins, level=LEVEL, tests=self.columns, seed=seed, name=str(i))
            if self.ordered:
                gap = int(np.abs(np.cumsum(r) * self.batch - np.cumsum(b) * self.reference).max())
                usual.append(ks_p_value(gap, self.reference, self.batch))
                p = min(1.0, 2 * min(p, usual[-1]))
            else:
                usual.append(binned_distances.measure_binned_distances(r, b)["chi2_p"])
            p_values.append(p)
        significant = np.flatnonzero(np.array(adjust_in_groups([p_values], [1.0])[0]) < LEVEL)
        return any(verdict.effect_size(*sides[i]) > 0 for i in significant), min(usual) < LEVEL

    values = 1


def normal(columns: int, shift: float = 0.0, outlier: float | None = None) -> Draw:
    """Independent normal columns; the first one moves, and may have one value of another size."""

    def draw(random: np.random.Generator, n: int, moved: bool) -> Mapping[str, object]:
        drawn = {f"x{i}": random.normal(shift * (moved and i == 0), 1, n) for i in range(columns)}
        if outlier is not None:
            drawn["x0"][0] = -outlier if moved else outlier
        return drawn

    return draw


def rounded(columns: int) -> Draw:
    """Counts with many ties, a third of them zero."""
    return lambda random, n, _: {
        f"x{i}": np.where(random.random(n) < 1 / 3, 0, random.poisson(4, n)) for i in range(columns)
    }


def holes(share: float) -> Draw:
    """A normal column with a few missing values, of which the share given goes missing."""
    return lambda random, n, moved: {
        "x": np.where(random.random(n) < (share if moved else 0.02), np.nan, random.normal(size=n))
    }


def mixed(random: np.random.Generator, n: int, _: bool) -> Mapping[str, object]:
    """Columns of all kinds, as tables have them."""
    return (
        dict(normal(8)(random, n, False))
        | {f"tied {i}": values for i, values in enumerate(rounded(4)(random, n, False).values())}
        | {f"hole {i}": holes(0.02)(random, n, False)["x"] for i in range(4)}
        | {f"flag {i}": values for i, values in enumerate(flags(8)(random, n, False).values())}
        | {f"of {size}": categories(size, zipf=True)(random, n, False)["x"] for size in (3, 10, 100, 1_000)}
    )


def flags(columns: int) -> Draw:
    """Rare events: 0.2 to 3 % of the rows."""
    rates = np.linspace(0.002, 0.03, columns)
    return lambda random, n, _: {f"x{i}": (random.random(n) < rates[i]).astype(str) for i in range(columns)}


def categories(size: int, *, zipf: bool = False) -> Draw:
    """One column of so many categories, even or by Zipf; half of them vanish."""
    weights = zipfs(size) if zipf else even(size)

    def draw(random: np.random.Generator, n: int, moved: bool) -> Mapping[str, object]:
        kept = weights * (np.arange(size) % 2 == 0) if moved else weights
        return {"x": random.choice(size, n, p=kept / kept.sum()).astype(str)}

    return draw


def even(size: int) -> Shares:
    """So many equal shares."""
    return np.full(size, 1 / size)


def zipfs(size: int) -> Shares:
    """Shares that fall as 1, 1/2, 1/3, ..."""
    weights = 1 / np.arange(1, size + 1)
    return weights / weights.sum()


def columns_of_categories(columns: int) -> Draw:
    """Columns of eight categories, one of them rare."""
    shares = np.array([0.3, 0.2, 0.14, 0.1, 0.1, 0.1, 0.05, 0.01])
    return lambda random, n, _: {f"x{i}": random.choice(list("abcdefgh"), n, p=shares) for i in range(columns)}


def small_references(quick: bool) -> Iterator[Rows]:
    """Give the grid of references of a few rows; if `quick`, a sample of it."""
    kinds = {"continuous": normal, "tied": rounded, "categorical": columns_of_categories}
    references = (1, 4, 20, 100) if quick else (1, 2, 4, 7, 10, 20, 50, 100, 200, 500)
    batches = (50, 2_000) if quick else (5, 50, 1_000, 10_000, 100_000)
    widths = (1, 20) if quick else (1, 20, 200)
    for entity, (kind, draw), columns, n, m in product((False, True), kinds.items(), widths, references, batches):
        name = f"small reference, {columns} {kind}{', by entity' if entity else ''}"
        yield Rows(name, draw(columns), n, m, entity=entity, columns=columns)


CASES: tuple[Rows | Counted, ...] = (
    Rows("normal, 1 column", normal(1), 50, 50),
    Rows("normal, 1 column", normal(1), 1_000, 1_000),
    Rows("normal, 50 columns", normal(50), 1_000, 1_000),
    Rows("normal, 200 columns", normal(200), 400, 300),
    Rows("normal, 20 columns", normal(20), 50_000, 50),
    Rows("ties, 20 columns", rounded(20), 50, 50),
    Rows("ties, 20 columns", rounded(20), 5_000, 500),
    Rows("rare flags, 50 columns", flags(50), 10_000, 1_000),
    Rows("28 columns of all kinds", mixed, 100, 100),
    Rows("28 columns of all kinds", mixed, 30_000, 300),
    Rows("28 columns of all kinds", mixed, 5_000, 5_000),
    Rows("1,000 categories, even", categories(1_000), 100_000, 1_000),
    Rows("1,000 categories, Zipf", categories(1_000, zipf=True), 100_000, 1_000),
    Counted("flag of 0.2 %, 200 columns", np.array([0.998, 0.002]), 200, 1_000_000, 1_000),
    Counted("flag of 0.2 %, 200 columns", np.array([0.998, 0.002]), 200, 10_000_000, 10_000_000),
    Counted("3 categories, 1 in 1,000, 50 columns", np.array([0.8, 0.199, 0.001]), 50, 100_000, 1_000),
    Counted("10 categories, Zipf, 200 columns", zipfs(10), 200, 300, 200),
    Counted("10 categories, Zipf, 200 columns", zipfs(10), 200, 10_000_000, 10_000),
    Counted("10 categories, Zipf, 200 columns", zipfs(10), 200, 10_000_000, 9_000_000),
    Counted("1,000 categories, Zipf, 50 columns", zipfs(1_000), 50, 10_000_000, 10_000),
    Counted("10,000 categories, even, 10 columns", even(10_000), 10, 10_000, 9_000),
    Counted("10,000 categories, even, 10 columns", even(10_000), 10, 10_000_000, 10_000),
    Counted("10,000 categories, Zipf, 10 columns", zipfs(10_000), 10, 100_000, 2_000),
    Counted("10,000 categories, Zipf, 10 columns", zipfs(10_000), 10, 10_000_000, 1_000_000),
    Counted("40 tied values, 50 columns", zipfs(40), 50, 10_000_000, 10_000_000, ordered=True),
    Counted("5,000 ordered values, 20 columns", even(5_000), 20, 10_000_000, 1_000_000, ordered=True),
    Counted("5,000 ordered values, 20 columns", even(5_000), 20, 1_000_000, 1_000, ordered=True),
    Rows("half a sd in 1 of 50 columns", normal(50, 0.5), 1_000, 1_000, drifted=True),
    Rows("half of 1,000 categories gone", categories(1_000), 100_000, 200, drifted=True),
    Rows("half a sd, one value of 1e6 a side", normal(1, 0.5, 1e6), 1_000, 1_000, drifted=True),
    Rows("90 % go missing", holes(0.9), 1_000, 50, drifted=True),
    Rows("10 % go missing", holes(0.1), 1_000, 1_000, drifted=True),
    Rows("half a sd in 1 of 50 columns", normal(50, 0.5), 200, 200, drifted=True),
    Rows("half a sd in 1 of 50 columns", normal(50, 0.5), 100, 10_000, drifted=True),
    Rows("one sd in 1 of 20 columns", normal(20, 1.0), 50, 1_000, drifted=True),
    Rows("one sd in 1 column", normal(1, 1.0), 20, 1_000, drifted=True),
    Rows("three sd in 1 column", normal(1, 3.0), 4, 1_000, drifted=True),
)


def print_bounds(times: int) -> None:
    """Print how often `drift_low` lies at or below the effect size of the populations that the samples come from."""
    print(f"{'categories':>10} {'effect':>7} {'reference':>10} {'batch':>10}  {'holds':>7}  {'mean bound':>10}")
    random = np.random.default_rng(0)
    for k, target, (n, m) in product(
        (2, 3, 5, 20, 200),
        (0.1, 0.25, 0.6),
        ((50, 50), (50, 5_000), (5_000, 50), (1_000, 1_000), (100_000, 100_000)),
    ):
        bounds, held = [], 0
        for _ in range(times):
            before = random.dirichlet(np.full(k, 2.0))
            after = tilted(before, random.normal(size=k), target)
            bound = verdict.effect_lower_bound(random.multinomial(n, before), random.multinomial(m, after), LEVEL)
            held += bound <= js_distance(before, after)
            bounds.append(bound)
        print(f"{k:10} {target:7} {n:10,} {m:10,}  {held / times:7.1%}  {np.mean(bounds):10.3f}", flush=True)


def tilted(shares: Shares, direction: Shares, distance: float) -> Shares:
    """Return other shares at this Jensen-Shannon distance, or as far as they can be moved in the direction."""
    low, high = 0.0, 50.0
    for _ in range(40):
        middle = (low + high) / 2
        moved = shares * np.exp(middle * (direction - direction.max()))
        moved /= moved.sum()
        low, high = (middle, high) if js_distance(shares, moved) < distance else (low, middle)
    return moved


def js_distance(p: Shares, q: Shares) -> float:
    """Return the Jensen-Shannon distance of two distributions, base 2."""
    middle = (p + q) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        divergence = np.nansum(p * np.log2(p / middle)) + np.nansum(q * np.log2(q / middle))
    return sqrt(max(0.0, float(divergence) / 2))


def main() -> None:
    """Run every case and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--times", type=int, default=400, help="comparisons a case")
    parser.add_argument("--case", default="", help="only cases whose name has this in it")
    parser.add_argument("--quick", action="store_true", help="fewer cases of small references, 100 comparisons each")
    parser.add_argument("--bounds", action="store_true", help="the coverage of drift_low instead of alarms")
    chosen = parser.parse_args()
    if chosen.bounds:
        print_bounds(chosen.times)
        return
    heads = f"{'case':46} {'':6} {'reference':>10} {'batch':>10} {'times':>6}  {'alarms':>6}  {'95 % interval':>16}"
    print(f"{heads}  {'usual practice':>14}")
    for case in (*CASES, *small_references(chosen.quick)):
        if chosen.case not in case.name:
            continue
        alarms = usual = 0
        wanted = 100 if chosen.quick else chosen.times
        times = min(wanted, max(20, MOST_VALUES // case.values))
        for seed in range(times):
            ours, theirs = case.compared(seed)
            alarms += ours
            usual += theirs
        low, high = wilson(alarms, times)
        what = f"{case.name}{' (drifted)' if case.drifted else ''}"
        how = "counts" if isinstance(case, Counted) else "rows"
        print(
            f"{what:46} {how:6} {case.reference:10,} {case.batch:10,} {times:6}  {alarms / times:6.1%}  "
            f"{low:6.1%} to {high:6.1%}  {usual / times:14.1%}",
            flush=True,
        )


def wilson(hits: int, n: int) -> tuple[float, float]:
    """Return Wilson's 95 % interval of a share."""
    z, share = 1.959964, hits / n
    middle, spread = share + z * z / (2 * n), z * sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return (middle - spread) / (1 + z * z / n), (middle + spread) / (1 + z * z / n)


if __name__ == "__main__":
    main()
