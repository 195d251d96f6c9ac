"""The instructions that numpy uses, chosen before it is imported."""

import os
import re
import sys
from importlib.util import find_spec
from pathlib import Path

DISABLED = "NPY_DISABLE_CPU_FEATURES"
"""The variable in which numpy reads, when it is imported, what it must not use."""


def avoid_slow_sort() -> None:
    """Keep numpy from using AVX-512 on AMD's Zen 4, unless the user has chosen what it uses.

    Its sort stores with an instruction that takes more than a hundred cycles there: a million numbers take 80 ms, and
    9 ms without AVX-512 (github.com/numpy/x86-simd-sort, issue 6).
    """
    if DISABLED not in os.environ and "NPY_ENABLE_CPU_FEATURES" not in os.environ and "numpy" not in sys.modules:
        features = name_slow_features(_read_start(Path("/proc/cpuinfo")), _read_version_of_numpy())
        if features:
            os.environ[DISABLED] = features


def name_slow_features(processor: str, version_of_numpy: str) -> str:
    """Return the features that numpy should not use on a processor described as in Linux' `/proc/cpuinfo`, or none."""
    is_zen4 = re.search(r"^cpu family\s*: 25$", processor, re.M) and re.search(r"^flags\b.* avx512f ", processor, re.M)
    known = re.search(r'^version = "(\d+)\.(\d+)', version_of_numpy, re.M)
    # before 2.4 numpy names features otherwise, and warns of names that it does not know
    return "X86_V4" if is_zen4 and known and (int(known[1]), int(known[2])) >= (2, 4) else ""


def _read_version_of_numpy() -> str:
    """Return the text of the module that holds numpy's version; importlib.metadata takes 20 ms to import."""
    found = find_spec("numpy")
    return _read_start(Path(found.origin).with_name("version.py")) if found and found.origin else ""


def _read_start(path: Path) -> str:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.read(4096)
    except OSError:
        return ""  # no Linux, or no numpy
