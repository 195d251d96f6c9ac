"""numpy does not use what is slow on a processor; what the user has chosen stays."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from engine.numpy_features import name_slow_features

ZEN4 = "vendor_id\t: AuthenticAMD\ncpu family\t: 25\nmodel\t\t: 17\nflags\t\t: fpu avx2 avx512f avx512dq\n"
ZEN3 = "vendor_id\t: AuthenticAMD\ncpu family\t: 25\nmodel\t\t: 1\nflags\t\t: fpu avx2 vaes\n"
ZEN5 = "vendor_id\t: AuthenticAMD\ncpu family\t: 26\nmodel\t\t: 2\nflags\t\t: fpu avx2 avx512f avx512dq\n"
INTEL = "vendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 143\nflags\t\t: fpu avx2 avx512f avx512dq\n"
SEEN = """
import json, os, sys
{before}
import engine
import numpy
from numpy._core._multiarray_umath import __cpu_features__
print(json.dumps([os.environ.get("NPY_DISABLE_CPU_FEATURES"), __cpu_features__.get("X86_V4")]))
"""


@pytest.mark.parametrize(
    ("processor", "version", "features"),
    [
        (ZEN4, 'version = "2.4.6"\n', "X86_V4"),
        (ZEN4, '"""Of numpy."""\nversion = "3.0.0"\n', "X86_V4"),
        (ZEN4, 'version = "2.3.5"\n', ""),
        (ZEN4, "", ""),
        (ZEN3, 'version = "2.4.6"\n', ""),
        (ZEN5, 'version = "2.4.6"\n', ""),
        (INTEL, 'version = "2.4.6"\n', ""),
        ("", 'version = "2.4.6"\n', ""),
    ],
)
def test_only_zen4_has_slow_features_which_numpy_names_since_2_4(processor, version, features):
    assert name_slow_features(processor, version) == features


def look(before="", **variables):
    """Return the variable, and whether numpy uses AVX-512, in a process that turns warnings into errors."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("NPY_")} | variables
    program = [sys.executable, "-W", "error", "-c", SEEN.format(before=before)]
    found = subprocess.run(program, env=environment, capture_output=True, text=True, check=True)
    return json.loads(found.stdout)


def test_numpy_uses_nothing_that_is_slow_here():
    cpu_info = Path("/proc/cpuinfo")
    version = Path(np.__file__).with_name("version.py").read_text()
    features = name_slow_features(cpu_info.read_text() if cpu_info.exists() else "", version)
    variable, used = look()
    assert (variable or "") == features
    assert not (features and used)


def test_what_the_user_has_chosen_stays():
    assert look(NPY_DISABLE_CPU_FEATURES="")[0] == ""
    assert look(before="import numpy")[0] is None
