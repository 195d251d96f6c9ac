"""The first use on a machine compiles the kernels and says so; from then on they come from the cache."""

import os
import subprocess
import sys

import pytest

USE = "from engine.drift.kernels.text_merge import merge_texts; merge_texts.compile(0)"


def told(cache):
    environ = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    command = [sys.executable, "-W", "error", "-c", USE]
    done = subprocess.run(
        command, env=environ | {"XDG_CACHE_HOME": str(cache)}, capture_output=True, text=True, check=True
    )
    return done.stderr


@pytest.mark.slow
def test_compiling_is_announced_once(tmp_path):
    assert told(tmp_path) == "compiling numerical code, which is then kept for later runs: this takes some seconds\n"
    assert told(tmp_path) == ""


@pytest.mark.slow
def test_first_uses_at_the_same_time_do_not_disturb_each_other(tmp_path):
    environ = os.environ | {"XDG_CACHE_HOME": str(tmp_path)}
    environ.pop("NUMBA_CACHE_DIR", None)
    code = "import numpy as np; from engine.drift.kernels.text_merge import merge_texts as align; "
    code += "t, e = np.frombuffer(b'ab', np.uint8).copy(), np.array([1, 2]); print(align.compile(0)(t, e, t, e)[2])"
    both = [subprocess.Popen([sys.executable, "-c", code], env=environ, stdout=subprocess.PIPE) for _ in range(3)]
    assert [process.communicate()[0].strip() for process in both] == [b"2"] * 3
