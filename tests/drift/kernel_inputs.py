"""Input for the kernels, drawn at random, with the values that are usually wrong: none, one, infinite, equal."""

import numpy as np
from hypothesis import assume

from engine.drift.distributions.quantile_grid import QuantileGrid, RunningMoments
from engine.drift.kernels import cdf_bounds, key_counts, tree_paths, tree_splits

EXTREMES = {
    "f8": np.array([0.0, 1.0, -1.0, 0.1, 5e-324, 1e-300, 1e300, -1e308, 2.0**53, 1 / 3]),
    "i8": np.array([0, 1, -1, 2**53, 2**53 + 1, -(2**63), 2**63 - 1]),
}


def some_values(random, kind, most=3_000):
    """One value or more, with ties or without, some extreme; sizes on both sides of every stretch."""
    size = int(random.choice([1, 2, 7, 40, 1_024, 1_025, 2_100, most]))
    if kind == "i8":
        found = random.integers(0, 50, size) if random.random() < 0.5 else random.integers(-(2**40), 2**40, size)
    else:
        found = [random.standard_normal(size), random.integers(0, 50, size) / 10, random.lognormal(0, 9, size)]
        found = found[random.integers(3)]
    extreme = random.random(size) < random.choice([0, 0.1])
    return np.where(extreme, random.choice(EXTREMES[kind], size), found)


def a_table(random, kind):
    values = np.unique(some_values(random, kind))
    return values, random.integers(1, random.choice([2, 1_000]), len(values))


def for_apart(random, kind):
    return *a_table(random, kind), *a_table(random, kind)


def for_segments(random, kind):
    tables = a_table(random, kind), a_table(random, kind)
    return tuple(array for values, counts in tables for array in (values, counts, np.cumsum(counts)))


def bounds(random, kind):
    """Tables some of whose rows are in intervals; a side has at least one row."""
    sides = [a_table(random, kind) for _ in range(2)]
    found = []
    for values, counts in sides:
        gaps = random.integers(0, 5, len(values) + 1) * (random.random(len(values) + 1) < 0.5)
        gaps[0] += 1
        found += [values, counts * random.integers(0, 2, len(values)), gaps, gaps * random.standard_normal(len(gaps))]
    ends = np.concatenate([values for values, _ in sides])
    number = np.int64 if kind == "i8" else np.float64
    return *found, number(ends[len(ends) // 2]), number(ends.min()), number(ends.max())


def refined(random, kind):
    points, counts = a_table(random, kind)
    values, times = a_table(random, kind)
    wanted, gaps = random.random(len(points) + 1) < 0.5, random.integers(0, 9, len(points) + 1)
    rows = np.repeat(values, np.minimum(times, 3))
    size = len(points) + len(rows)
    written = np.zeros(size, points.dtype), np.zeros(size, np.int64), np.zeros(size + 1, np.int64), np.zeros(size + 1)
    return points, counts, gaps, random.standard_normal(len(gaps)), wanted, rows, *written


def distinct(random, kind):
    ordered = np.sort(some_values(random, kind))
    size = len(np.unique(ordered))
    return ordered, np.zeros(size, ordered.dtype), np.zeros(size, np.int64)


def divided(random, kind):
    values, counts = a_table(random, kind)
    return values, counts, a_table(random, kind)[0], values[len(values) // 2]


def in_gaps(random, kind):
    """A table divided at some values of another, which has rows between neighbouring ones of these."""
    (values, counts), (others, more) = a_table(random, kind), a_table(random, kind)
    places = np.flatnonzero(random.random(len(others)) < random.choice([0.1, 0.5, 1]))
    centre = values[len(values) // 2]
    table = cdf_bounds.divide_table(values, counts, others[places], centre)
    ends = np.diff(places, prepend=-1, append=len(others)) == 1  # intervals that are whole gaps
    gaps = np.zeros(len(others) + 1, np.int64)
    gaps[np.append(places, len(others))[ends]] = random.integers(0, 5, ends.sum())
    more *= random.integers(0, 2, len(more))
    more[0] += 1
    upto = np.cumsum(more + gaps[:-1])
    m, both = int(upto[-1] + gaps[-1]), np.append(values, others)
    sums = gaps * random.standard_normal(len(gaps))
    return (
        values, counts, *table, centre, others, more, gaps, sums, others[0], upto, places, int(counts.sum()), m,
        both.min(), both.max(),
    )  # fmt: skip


def rows_of_trees(random):
    n, columns = int(random.choice([40, 500, 3_000])), int(random.integers(1, 5))
    codes = random.integers(0, random.choice([3, 60, 255], columns), (n, columns)).astype(np.uint8)
    starts = np.concatenate([[0], np.cumsum(codes.max(axis=0).astype(np.int64) + 1)])
    rows = random.permutation(n)[: int(random.integers(1, n + 1))].astype(np.int32)
    weights = (random.integers(-1_000, 1_000, n) << 32) + 1
    return codes, rows, weights, starts, np.empty(starts[-1], np.int64)


def some_present(random, kind):
    values = random.integers(0, 50, random.integers(0, 300)).astype(kind)
    first = int(random.integers(0, 8))
    valid = random.integers(0, 256, (first + len(values) + 7) // 8).astype(np.uint8)
    return values, valid, first, np.zeros(len(values) + 1, kind)


def split_leaves(random):
    codes, rows, weights, starts, _ = rows_of_trees(random)
    moved, left_rows = np.split(rows, [random.integers(0, len(rows) + 1)])
    sums = np.zeros((2, starts[-1]), np.int64)
    for column in range(codes.shape[1]):
        np.add.at(sums[0], starts[column] + codes[rows, column], weights[rows])
    whole, new_whole = int(weights[rows].sum()), int(weights[moved].sum())
    categorical, left = random.random(codes.shape[1]) < 0.5, np.zeros((2, tree_splits.CODES), np.bool_)
    part = np.sort(random.integers(0, codes.shape[1] + 1, 2)).tolist()
    return (
        *(codes, left_rows, moved, weights, starts, categorical, sums, left),
        *(0, 1, whole - new_whole, new_whole, *part, float(random.lognormal(8, 2))),
    )


def divided_rows(random):
    codes = rows_of_trees(random)[0]
    rows = random.permutation(len(codes))[: random.integers(0, len(codes) + 1)].astype(np.int32)
    left = random.random(tree_splits.CODES) < 0.5
    return codes, rows, int(random.integers(codes.shape[1])), left, np.zeros(len(codes), np.int32)


def some_trees(random, columns, trees):
    """Columns, masks, children and values of trees, each a path of up to 30 nodes, which may repeat a column."""
    nodes = random.integers(0, 31, trees)
    asked = np.where(np.arange(30) < nodes[:, None], random.integers(0, columns, (trees, 30)), -1).astype(np.int32)
    children = np.array([[[-1 - i, i + 1 if i + 1 < n else -2 - i] for i in range(30)] for n in nodes], np.int32)
    return asked, random.random((trees, 30, tree_splits.CODES)) < 0.5, children, random.random((trees, 31))


def in_one_tree(random):
    codes = rows_of_trees(random)[0]
    columns, lefts, children, _ = some_trees(random, codes.shape[1], 1)
    return codes, columns[0], lefts[0], children[0]


def rotated(random):
    codes = rows_of_trees(random)[0]
    model = some_trees(random, codes.shape[1], 3)
    leaves = tree_paths.find_leaves(codes, model)
    return codes, *model, leaves, int(random.integers(codes.shape[1])), int(random.integers(len(codes) + 1))


def below(random):
    contents = random.integers(0, 2**64, random.integers(0, 300), np.uint64)
    return (
        contents,
        random.integers(0, 4, len(contents)),
        np.uint64(7),
        np.uint64(random.integers(0, 2**64, dtype=np.uint64)),
    )


def for_distinct(random):
    keys = random.integers(0, random.choice([50, 2**63]), random.integers(0, 2_000)).astype(np.uint64)
    slots = np.empty(1 << (key_counts.SLOTS_PER_KEY * len(keys)).bit_length(), np.int32)
    of_keys = (np.zeros(len(keys), kind) for kind in (np.uint64, np.int32, np.int64))
    return keys * np.uint64(0x9E3779B97F4A7C15), slots, *of_keys


def counts_of(random):
    k = random.integers(1, 40)
    r, b = random.integers(0, random.choice([2, 50, 100_000]), (2, k))
    r[0] += 1
    b[-1] += 1
    return r, b


def for_pairs(random):
    words = random.choice(random.integers(0, 2**64, 4, np.uint64), 2 * random.integers(0, 2_000))
    if random.random() < 0.3:
        words = random.integers(0, 2**64, len(words), np.uint64)
    rows, first = len(words) // 2, int(random.integers(8))
    valid = random.integers(0, 256, (first + rows + 7) // 8 if random.random() < 0.5 else 0).astype(np.uint8)
    slots = np.empty(1 << (key_counts.SLOTS_PER_KEY * (rows + 2)).bit_length(), np.int32)
    known = int(random.integers(3))
    keys = known + rows
    of_keys = np.zeros(2 * keys, np.uint64), np.zeros(keys, np.int32), np.zeros(keys, np.int64)
    of_keys[0][: 2 * known] = np.append(words[: 2 * min(known, 1)], np.arange(4, dtype=np.uint64))[: 2 * known]
    return words, valid, first, known, slots, *of_keys


def sides(random):
    n, m = (int(x) for x in random.integers(1, random.choice([30, 1_000, 10**7]), 2))
    t = int(random.integers(1, n + m))
    return int(random.integers(max(0, t - m), min(t, n) + 1)), t, n, m


def divergence(random):
    r, b = counts_of(random)
    return (r + b)[(r + b) > 0], int(r.sum()), int(b.sum())


def pooled_ranks(random, kind):
    (values, counts), (others, more) = a_table(random, kind), a_table(random, kind)
    ranks = random.integers(1, counts.sum() + more.sum() + 1, 9)
    return values, np.cumsum(counts), others, np.cumsum(more), ranks


def paths(random):
    n, m = (int(x) for x in random.integers(1, random.choice([10, 400]), 2))
    return n, m, int(random.integers(1, n * m + 1))


def labels(random):
    pooled = random.integers(1, 20, 30)
    found = random.permutation(np.repeat(np.arange(30), pooled))
    return found, 1 / pooled, len(found) // 3, 5, np.uint64(random.integers(2**63))


def on_ladder(random, kind):
    ladder = QuantileGrid.from_counts(*a_table(random, kind), 64)
    laid = ladder.by_bits, ladder.low, ladder.scale, ladder.cells, ladder.pivots
    return ladder, some_values(random, kind), laid


def count(random, kind):
    ladder, values, laid = on_ladder(random, kind)
    running = RunningMoments(values)
    number = values.dtype.type
    values = with_odd_ones(random, values)
    return (
        values, *laid, number(ladder.centre), *ladder.empty_counts(), number(running.middle), running.spread,
        running.ends,
    )  # fmt: skip


def select(random, kind):
    _, values, laid = on_ladder(random, kind)
    wanted, cells = (random.integers(0, 2, len(sized)).astype(np.uint8) for sized in (laid[-1], laid[-2]))
    return with_odd_ones(random, values), *laid, wanted, cells, np.zeros(len(values) + 1, values.dtype)


def with_odd_ones(random, values):
    """Put some NaN and -0.0 among floats."""
    if values.dtype == np.int64:
        return values
    odd = random.choice([np.nan, -0.0], len(values))
    return np.where(random.random(len(values)) < random.choice([0, 0.1, 1]), odd, values)


def buckets(random):
    _, values, laid = on_ladder(random, "f8")
    return values, *laid[:-1]


def tail(random):
    pooled = np.unique(random.integers(1, random.choice([10, 300, 100_000]), random.integers(2, 12)))
    times = random.integers(1, 50, len(pooled))
    k, mean, moments = int(times.sum()), times.sum() - 1, np.sqrt(2 * times.sum())
    statistic = float(mean + random.uniform(-1, 12) * moments)
    assume(statistic > 0 and k > 2)
    share = float(random.uniform(0.02, 0.5))
    return pooled, times, share, statistic, (1 - mean / statistic) / 2, float(random.choice([16, 25]))


def texts(random):
    found = []
    for _ in range(2):
        words = sorted({bytes(random.integers(97, 100, random.integers(0, 4)).tolist()) for _ in range(20)})
        words = words[: random.integers(0, 21)]
        found += [np.frombuffer(b"".join(words), np.uint8).copy(), np.cumsum([0, *map(len, words)])[1:]]
    return tuple(found)


def integers(random):
    near = np.array([2**53, 2**53 + 1, 2**63, 2**63 + 1, 2**64 - 2**53 - 1, 2**64 - 1, 0], np.uint64)
    words = random.integers(0, 2**64, 50, np.uint64) >> random.integers(0, 64, 50).astype(np.uint64)
    return np.concatenate([near, words]), bool(random.integers(2)), np.uint64(random.integers(2**63))


def sequences(random):
    lengths = random.integers(0, 5, random.integers(0, 20))
    return random.integers(0, 2**64, lengths.sum(), np.uint64), lengths, np.uint64(random.integers(2**63))


def some_texts(random):
    lengths = random.integers(0, random.choice([9, 40]), random.integers(0, 20))
    data = random.integers(0, 256, 100).astype(np.uint8)
    return data, random.integers(0, 60, len(lengths)), lengths, np.uint64(random.integers(2**63))


def views(random):
    found = random.integers(0, 40, (random.integers(0, 20), 4)).astype(np.uint32)
    found[:, 2] %= 3
    return found.ravel(), random.integers(0, 2**40, 4)


def for_spread(random, kind):
    values = some_values(random, kind)
    counts = random.integers(1, 9, len(values)) if random.random() < 0.5 else np.empty(0, np.int64)
    return values, counts, values[len(values) // 2]


def of(make, kind):
    return lambda random: make(random, kind)


def both(make):
    return [of(make, "f8"), of(make, "i8")]


def joint(random):
    sizes, groups = np.array([4, 1, 6]), 8
    bins = np.column_stack([random.integers(0, size, 50, np.uint8) for size in sizes])
    starts = np.cumsum(sizes) - sizes
    return np.ascontiguousarray(bins), starts, random.integers(0, groups, 50), np.zeros((groups, sizes.sum()), np.int64)
