"""How many evaluations with segments have a false alarm, and how often what happens to the few is found.

    python tests/campaigns/segments.py [--runs 1000] [--seed 1]

Both sides are drawn from the same populations: columns of several shapes, eight segments of unlike size. Counted are
the evaluations in which any column of the whole or of any segment is found to have drifted: at most 5 % may. To
compare, the same with a family of its own for each segment. Then one segment drifts in one column by half a standard
deviation: how often is it found there, and how often is anything wrongly found elsewhere? Shares are given with two
standard errors.
"""

import argparse

import numpy as np
import polars as pl

from engine.drift import ComparedGroup, Role, compare_groups, profile, profile_segments
from engine.drift.significance.hierarchy import weigh_groups

WEIGHTS = np.array([0.3, 0.2, 0.15, 0.1, 0.1, 0.05, 0.05, 0.05])
ROLES = {
    "normal": Role.NUMERICAL,
    "skewed": Role.NUMERICAL,
    "tied": Role.NUMERICAL,
    "few": Role.CATEGORICAL,
    "many": Role.CATEGORICAL,
}
DRIFTING = "p3"


def draw_side(random: np.random.Generator, rows: int, shift: float) -> pl.DataFrame:
    part = random.choice(len(WEIGHTS), rows, p=WEIGHTS)
    return pl.DataFrame(
        {
            "normal": random.normal(size=rows) + part + shift * (part == int(DRIFTING[1:])),
            "skewed": random.lognormal(size=rows),
            "tied": random.poisson(3, rows),
            "few": random.choice(["a", "b", "c"], rows, p=[0.7, 0.25, 0.05]),
            "many": random.zipf(1.5, rows).clip(max=300).astype(str),
            "part": [f"p{i}" for i in part],
        }
    )


def find_alarms(before: pl.DataFrame, now: pl.DataFrame, *, together: bool) -> set[tuple[str, str]]:
    """Return the columns that are found to have drifted, each with its segment, or `whole`."""
    names = [f"p{i}" for i in range(len(WEIGHTS))]
    masks = [{name: side["part"] == name for name in names} for side in (before, now)]
    reference = profile_segments(before.lazy(), ROLES, masks[0])
    batch = profile_segments(now.lazy(), ROLES, masks[1], against=reference)
    whole = profile(before, ROLES)
    sides = {
        "whole": (whole, profile(now, ROLES, against=whole)),
        **{one: (reference[one], batch[one]) for one in names},
    }
    weights = weigh_groups(len(names))
    groups = [ComparedGroup([pair], weight=weight) for pair, weight in zip(sides.values(), weights, strict=True)]
    if together:
        compared = [drifts[0] for drifts, _ in compare_groups(groups)]
    else:
        compared = [compare_groups([ComparedGroup([pair])])[0][0][0] for pair in sides.values()]
    return {
        (segment, column)
        for segment, drift in zip(sides, compared, strict=True)
        for column, one in drift.columns.items()
        if one.drift
    }


def tell(what: str, count: int, runs: int) -> None:
    share = count / runs
    print(f"{what:<64} {100 * share:5.1f} % ± {200 * (share * (1 - share) / runs) ** 0.5:.1f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    for rows, batch_rows in ((4_000, 4_000), (20_000, 4_000)):
        print(f"{rows:,} rows in the reference, {batch_rows:,} in the batch, seed {given.seed}")
        random = np.random.default_rng(given.seed)
        any_, alone, found, wrong = 0, 0, 0, 0
        for _ in range(given.runs):
            before, now = draw_side(random, rows, 0.0), draw_side(random, batch_rows, 0.0)
            any_ += bool(find_alarms(before, now, together=True))
            alone += bool(find_alarms(before, now, together=False))
            moved = find_alarms(before, draw_side(random, batch_rows, 0.5), together=True)
            found += (DRIFTING, "normal") in moved
            wrong += bool(moved - {(DRIFTING, "normal"), ("whole", "normal")})
        tell("no drift: evaluations with an alarm", any_, given.runs)
        tell("no drift, each segment a family of its own", alone, given.runs)
        tell(f"half a deviation in one segment of {WEIGHTS[int(DRIFTING[1:])]:.0%}: found there", found, given.runs)
        tell("the same: something wrongly found elsewhere", wrong, given.runs)


if __name__ == "__main__":
    main()
