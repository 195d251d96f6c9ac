"""Every kernel gives the same bits as Python and compiled; which of the two runs, and when."""

import contextlib
import copy
import os
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.errors import HypothesisDeprecationWarning, UnsatisfiedAssumption

import engine
from engine.drift import kernels
from engine.drift.distributions.quantile_grid import QuantileGrid, RunningMoments
from engine.drift.kernels import (
    boosting,
    cdf_bounds,
    cdf_distance,
    count_distances,
    grid_positions,
    hypergeometric,
    joint_counts,
    key_counts,
    ks_distribution,
    label_permutations,
    moments,
    saddlepoint,
    sampling_keys,
    text_merge,
    tree_paths,
    tree_splits,
    validity,
    value_hashes,
    value_tables,
)
from engine.drift.kernels.lazy import (
    LARGE,
    SECONDS_BEFORE_COMPILING,
    SECONDS_BEFORE_STARTING,
    Kernel,
    kernel,
    list_compiled_kernels,
)

MODULES = [import_module(f"engine.drift.kernels.{module.name}") for module in iter_modules(kernels.__path__)]
KERNELS = {k for module in MODULES for k in vars(module).values() if isinstance(k, Kernel)}

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
    size = len(points) + len(values)
    written = np.zeros(size, points.dtype), np.zeros(size, np.int64), np.zeros(size + 1, np.int64), np.zeros(size + 1)
    return points, counts, gaps, random.standard_normal(len(gaps)), wanted, values, times, *written


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
    slots = np.empty(1 << (key_counts.SLOTS_PER_KEY * rows).bit_length(), np.int32)
    of_keys = np.zeros(2 * rows, np.uint64), np.zeros(rows, np.int32), np.zeros(rows, np.int64)
    return words, valid, first, slots, *of_keys


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
    wanted = random.integers(0, 2, len(laid[-1])).astype(np.uint8)
    return with_odd_ones(random, values), *laid, wanted, np.zeros(len(values) + 1, values.dtype)


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


ARGUMENTS = {
    tree_paths.find_leaves_of_tree: [in_one_tree],
    tree_paths.rotate_column: [rotated],
    boosting._divide_rows: [divided_rows],
    tree_splits.split_leaves: [split_leaves],
    boosting._to_probabilities: [lambda random: (random.normal(0, 5, 300),)],
    validity.copy_present: [of(some_present, kind) for kind in ("f8", "i8", "f4")],
    value_tables.merge_tables: both(for_apart),
    text_merge.merge_texts: [texts],
    cdf_distance.ks_wasserstein: both(for_apart),
    cdf_distance.ks_wasserstein_by_segments: both(for_apart),
    boosting.assign_bins: [
        lambda random: (np.append(some_values(random, "f8"), np.nan), np.unique(some_values(random, "f8", 200)[:250]))
    ],
    cdf_bounds.ks_wasserstein_bounds: both(bounds),
    cdf_bounds.divide_table: both(divided),
    cdf_bounds.ks_wasserstein_in_gaps: both(in_gaps),
    grid_positions.find_buckets: [buckets],
    saddlepoint.chi2_tail: [tail],
    grid_positions.count_positions: both(count),
    count_distances.measure_count_distances: [counts_of],
    joint_counts.count_joint: [joint],
    key_counts.count_keys: [for_distinct],
    key_counts.count_pairs: [for_pairs],
    hypergeometric.expected_divergence_terms: [divergence],
    grid_positions.to_images: [lambda random: (some_values(random, "f8"), bool(random.integers(2)))],
    sampling_keys.make_keys: [
        lambda random: (*random.integers(0, 2**64, (2, 50), np.uint64), np.uint64(random.integers(2**63)))
    ],
    sampling_keys.make_keys_below: [below],
    value_hashes.hash_floats: [
        lambda random: (np.append(some_values(random, "f8"), [-0.0, np.nan]), np.uint64(random.integers(2**63)))
    ],
    value_hashes.hash_integers: [integers],
    value_hashes.hash_sequences: [sequences],
    value_hashes.locate_texts: [views],
    value_hashes.hash_texts: [some_texts],
    value_hashes.mix_sums: [lambda random: (random.integers(0, 2**64, 50, np.uint64),)],
    ks_distribution.one_sided_p: [lambda random: (int(random.integers(1, 20_000)), float(random.uniform(1e-3, 0.9)))],
    ks_distribution.outer_path_share: [paths],
    ks_distribution.outer_path_share_of_square: [lambda random: tuple(int(x) for x in random.integers(1, [500, 50]))],
    value_tables._write_refined: both(refined),
    value_tables.find_pooled_ranks: both(pooled_ranks),
    value_tables.search_sorted: both(lambda random, kind: (a_table(random, kind)[0], a_table(random, kind)[0])),
    label_permutations.draw_permutations: [labels],
    value_tables._write_distinct: both(distinct),
    grid_positions.select_from_buckets: both(select),
    moments.mean_and_squares: both(for_spread),
    hypergeometric.fisher_exact_p: [sides],
}
"""For each kernel and signature, what makes arguments."""


def bits(found):
    """Everything that can be seen of a result, so that == compares all of it; which NaN it is cannot be seen."""
    if isinstance(found, np.ndarray):
        plain = np.where(np.isnan(found), np.nan, found) if found.dtype == np.float64 else found
        return "array", str(found.dtype), found.shape, plain.tobytes()
    if isinstance(found, tuple):
        return tuple(map(bits, found))
    return type(found), found.hex() if isinstance(found, float) else found


def test_every_kernel_is_in_the_table():
    assert {tested.__name__: len(makers) for tested, makers in ARGUMENTS.items()} == {
        found.__name__: len(found.signatures) for found in KERNELS
    }


@pytest.mark.parametrize(
    ("tested", "signature"),
    [(tested, at) for tested, makers in ARGUMENTS.items() for at in range(len(makers))],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_every_kernel_gives_the_same_bits_interpreted_and_compiled(tested, signature):
    @settings(max_examples=20)
    @given(st.integers(0, 2**32))
    def compare(seed):
        given_to_both = ARGUMENTS[tested][signature](np.random.default_rng(seed))
        seen = []
        for run in (tested.interpret, tested.compile(signature)):
            arguments = copy.deepcopy(given_to_both)
            with np.errstate(all="raise"):
                result = run(*arguments)
            if tested is key_counts.count_keys:  # the rest is scratch
                arguments = [written[:result] for written in arguments[2:]]
            if tested is key_counts.count_pairs:
                arguments = [arguments[-3][: 2 * result], *(written[:result] for written in arguments[-2:])]
            if tested is validity.copy_present:
                arguments = [arguments[-1][:result]]
            seen.append((bits(result), [bits(a) for a in arguments if isinstance(a, np.ndarray)]))
        assert seen[0] == seen[1]

    compare()


def run(code, cache, **environment):
    inherited = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    command = [sys.executable, "-W", "error", "-c", code]
    environ = inherited | {"XDG_CACHE_HOME": str(cache)} | environment
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=True)


def test_nothing_is_compiled_before_it_is_needed(tmp_path):
    code = "import sys, numpy as np, engine.drift.comparison, engine.drift.classifier.domain_classifier; "
    code += "from engine.drift.kernels.value_tables import count_distinct_sorted; "
    code += "count_distinct_sorted(np.arange(9)); print('numba' in sys.modules)"
    done = run(code, tmp_path)
    assert (done.stdout, done.stderr) == ("False\n", "")


def scaled(*signatures, **how):
    def scale(values, factor):
        for i in range(len(values)):
            values[i] = values[i] * factor
        return values[0]

    return kernel(*signatures, **how)(scale)


def test_large_input_is_compiled_for_the_signature_that_it_has():
    scale = scaled("f8(f8[::1], f8)", "i8(i8[::1], i8)")
    scale(np.ones(LARGE // 4), 2.0)  # an earlier run of the tests may have left it in the cache: loading takes little
    assert scale._compiled == [None, None]
    assert scale(np.ones(LARGE + 1, np.int64), 2) == 2
    assert scale._compiled[0] is None
    assert scale._compiled[1] is not None
    assert scale(np.ones(1, np.int64), 3) == 3, "and small input then runs there too"


def test_what_has_run_long_enough_is_compiled():
    scale = scaled("f8(f8[::1], f8)")
    scale._spent = SECONDS_BEFORE_COMPILING + 0.01
    assert scale(np.ones(1), 2.0) == 2.0
    assert scale._compiled[0] is not None


def test_what_the_cache_holds_is_loaded_sooner(tmp_path):
    code = "import numpy as np; from engine.drift.kernels.value_tables import merge_tables as align; "
    code += "print(align.is_cached(0), align.is_cached(1), align._affordable_seconds(0)); align.compile(0); "
    code += "print(align.is_cached(0), align.is_cached(1))"
    assert run(code, tmp_path).stdout == f"False False {SECONDS_BEFORE_COMPILING}\nTrue False\n"
    assert run(code, tmp_path).stdout == f"True False {SECONDS_BEFORE_STARTING}\nTrue False\n"


def test_threads_compile_once():
    scale = scaled("f8(f8[::1], f8)", work=None)
    with ThreadPoolExecutor(8) as pool:
        compiled = list(pool.map(lambda _: (scale(np.ones(4), 2.0), scale._compiled[0])[1], range(8)))
    assert len(set(map(id, compiled))) == 1


@pytest.mark.parametrize("values", [np.ones(3, np.float32), np.ones((3, 1)), np.ones(6)[::2], [1.0]])
@pytest.mark.parametrize("work", [None, len])
def test_only_declared_types_are_taken(values, work):
    scale = scaled("f8(f8[::1], f8)", work=work)
    with pytest.raises(TypeError, match=r"f8\[::1\]"):
        scale(values, 2.0)


def test_read_only_arrays_are_taken_where_the_signature_says_const():
    values = np.ones(3)
    values.flags.writeable = False
    with pytest.raises(TypeError, match="signatures"):
        scaled("f8(f8[::1], f8)")(values, 2.0)
    first = kernel("f8(const f8[::1])")(lambda values: values[0])
    assert first.interpret(values) == first.compile(0)(values) == 1.0
    writable = np.ones(3)
    assert first.interpret(writable) == first.compile(0)(writable) == 1.0


def test_interpreted_results_are_numbers_of_python():
    scale = scaled("f8(f8[::1], f8)")
    assert type(scale(np.ones(1), 2.0)) is float


def test_kernels_call_kernels():
    scale = scaled("f8(f8[::1], f8)", work=None)
    twice = kernel("f8(f8[::1])", work=None)(lambda values: scale(values, 2.0) + scale(values, 3.0))
    assert twice.interpret(np.ones(2)) == 8.0


def test_what_one_process_has_compiled_another_loads_before_it_is_called():
    ks_distribution.outer_path_share.compile(0)
    compiled = list_compiled_kernels()
    assert ("engine.drift.kernels.ks_distribution", "outer_path_share", 0) in compiled
    code = (
        "from engine.drift.kernels import lazy\n"
        "lazy.load_kernel('engine.drift.kernels.ks_distribution', 'outer_path_share', 0)\n"
        "print(lazy.list_compiled_kernels())"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed == "[('engine.drift.kernels.ks_distribution', 'outer_path_share', 0)]\n"


def results_of_all_kernels():
    """Return what every signature of every kernel gives, compiled, for one input of its own: as text."""
    found = {}
    for tested, makers in ARGUMENTS.items():
        for index, make in enumerate(makers):
            for seed in range(9):
                with contextlib.suppress(UnsatisfiedAssumption), warnings.catch_warnings():
                    warnings.simplefilter("ignore", HypothesisDeprecationWarning)
                    arguments = make(np.random.default_rng(seed))
                    found[tested.__name__, index] = bits(tested.compile(index)(*arguments))
                    break
    assert len(found) == sum(map(len, ARGUMENTS.values()))
    return repr(found)


def test_compiled_code_is_loaded_without_what_only_compiling_needs():
    """To import and register that takes .3 s in each process. Every kernel gives what it gives with it."""
    here = results_of_all_kernels()
    same_engine, tests = Path(engine.__file__).parents[1], Path(__file__).parents[2]
    code = (
        "import sys\n"
        f"sys.path[:] = [{str(same_engine)!r}, *sys.path, {str(tests)!r}]\n"
        "from tests.drift import test_lazy\n"
        "print(test_lazy.results_of_all_kernels())\n"
        "print({'numba.typed.typeddict', 'numba.np.arraymath'} & sys.modules.keys())"
    )
    command = [sys.executable, "-P", "-W", "error", "-c", code]
    there = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (there.stdout, there.stderr) == (f"{here}\nset()\n", "")
