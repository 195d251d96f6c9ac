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
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.errors import HypothesisDeprecationWarning, UnsatisfiedAssumption

import engine
from engine.drift import kernels
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

from .kernel_inputs import (
    a_table,
    below,
    both,
    bounds,
    buckets,
    count,
    counts_of,
    distinct,
    divergence,
    divided,
    divided_rows,
    for_apart,
    for_distinct,
    for_pairs,
    for_segments,
    for_spread,
    in_gaps,
    in_one_tree,
    integers,
    joint,
    labels,
    of,
    paths,
    pooled_ranks,
    refined,
    rotated,
    select,
    sequences,
    sides,
    some_present,
    some_texts,
    some_values,
    split_leaves,
    tail,
    texts,
    views,
)

MODULES = [import_module(f"engine.drift.kernels.{module.name}") for module in iter_modules(kernels.__path__)]

KERNELS = {k for module in MODULES for k in vars(module).values() if isinstance(k, Kernel)}

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
    cdf_distance.ks_wasserstein_by_segments: both(for_segments),
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
    """To import, register and compile that takes .3 s in each process. Every kernel gives what it gives with it."""
    here = results_of_all_kernels()
    same_engine, tests = Path(engine.__file__).parents[1], Path(__file__).parents[2]
    code = (
        "import sys\n"
        f"sys.path[:] = [{str(same_engine)!r}, *sys.path, {str(tests)!r}]\n"
        "from tests.drift import test_lazy\n"
        "print(test_lazy.results_of_all_kernels())\n"
        "from numba.core.runtime import rtsys\n"
        "print({'numba.typed.typeddict', 'numba.np.arraymath'} & sys.modules.keys(), rtsys._init)"
    )
    command = [sys.executable, "-P", "-W", "error", "-c", code]
    there = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (there.stdout, there.stderr) == (f"{here}\nset() False\n", "")
