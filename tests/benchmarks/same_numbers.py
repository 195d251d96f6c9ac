"""Whether two builds of this tool give the same numbers, fingerprints, messages, plans and profiles: for refactors.

    python tests/benchmarks/same_numbers.py OLD_PYTHON NEW_PYTHON

Each is an interpreter in which a build is installed. Ten small projects are made in temporary folders, run under both
in folders of their own and compared, a line for each project and kind, with the first differences in full. Exits with
1 where anything differs. Builds before kernel 5 left the hashing of rows to polars, whose hashes differ between its
versions: nothing is compared where one of them has another polars than the other build. Each project runs twice: what
changes in between has to be found, and its reason told.
A build is called as the command line calls it, all verbs of a project in one process: imports take most of the time.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from same_kept import SAID, SHOWN, report
from same_projects import EXAMPLES
from timing import machine

HASHED_BY_POLARS = ("unknown", "1", "2", "3", "4")
"""Versions of the kernel in which polars hashed the rows."""

LIBRARIES = ("polars", "numpy", "numba", "scikit-learn", "skops", "scipy")
TOLD = """
import importlib.metadata, json, platform
try:
    from engine.drift import KERNEL_VERSION
except ImportError:
    KERNEL_VERSION = "unknown"
import engine
versions = {name: importlib.metadata.version(name) for name in %r}
known = {"KERNEL_VERSION": KERNEL_VERSION, "engine": engine.__file__, "Python": platform.python_version()}
print(json.dumps(known | versions))
"""
CALLED = """
import contextlib, json, shutil, sys
from engine.cli.main import _main  # without what it does to the process around it
for at, line in enumerate(json.loads(sys.argv[1])):
    if line == ["later"]:
        shutil.copytree("later", ".", dirs_exist_ok=True)
        continue
    name = f"said/{at:02} " + " ".join(line)
    with open(name + ".out", "w") as out, open(name + ".err", "w") as err:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            sys.argv = ["engine", *line]
            print("exit code", int(_main()), file=err)
"""
LINES = """
    plan spec.yaml --format json
    run spec.yaml --format json -v
    plan spec.yaml --format json
    later
    validate spec.yaml
    plan spec.yaml --format json
    plan spec.yaml
    run spec.yaml --format json -v
    run spec.yaml watch --var region=south
    plan spec.yaml --format json
    show spec.yaml --format json
    show spec.yaml watched --format json
    show spec.yaml watched second
    show spec.yaml watched --checks --format json
    show spec.yaml --runs --format json
    compare spec.yaml watched --format json
    compare spec.yaml watched --reference dataset:past --format json
"""


def told(python: str) -> dict[str, str]:
    """Return the versions of what is installed in an interpreter."""
    answer = subprocess.run(
        [python, "-c", TOLD % (LIBRARIES,)], check=True, stdout=subprocess.PIPE, text=True, env=_environ(), cwd="/"
    )
    known: dict[str, str] = json.loads(answer.stdout)
    return known


def run(python: str, made: Path, folder: Path) -> None:
    """Run a project under a build in a folder of its own; again, where it had to compile kernels and said so."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(made, folder)
    (folder / SAID).mkdir()
    lines: list[Any] = [line.split() for line in LINES.strip().splitlines()]
    subprocess.run([python, "-c", CALLED, json.dumps(lines)], check=True, cwd=folder, env=_environ())
    if any("compiling numerical code" in path.read_text() for path in (folder / SAID).iterdir()):
        run(python, made, folder)


def _environ() -> dict[str, str]:
    """Return an environment in which a build is found where it is installed, not where one stands.

    The seed of hashes is fixed: some builds keep metrics in the order of a set.
    """
    known = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return known | {"PYTHONSAFEPATH": "1", "PYTHONHASHSEED": "0", "NO_COLOR": "1", "COLUMNS": "160", "TZ": "UTC"}


def main() -> int:
    """Run both and print the lines."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("old", help="the interpreter of one build")
    parser.add_argument("new", help="that of the other")
    parser.add_argument("--project", nargs="*", choices=EXAMPLES, default=list(EXAMPLES), metavar="NAME")
    parser.add_argument("--shown", type=int, default=SHOWN, help="of the differences of a project and kind")
    parser.add_argument("--keep", type=Path, help="a folder for what was run; left out, it is not kept")
    chosen = parser.parse_args()
    builds = [told(python) for python in (chosen.old, chosen.new)]
    for name, build in zip(("old", "new"), builds, strict=True):
        print(f"{name}:", ", ".join(f"{what} {version}" for what, version in build.items()))
    hashed_by_polars = any(build["KERNEL_VERSION"] in HASHED_BY_POLARS for build in builds)
    if hashed_by_polars and builds[0]["polars"] != builds[1]["polars"]:
        print("two versions of polars hash rows differently: install the same in both", file=sys.stderr)
        return 2
    print(machine(), "\n")
    started, equal = time.perf_counter(), True
    with tempfile.TemporaryDirectory() as temporary:
        root = (chosen.keep or Path(temporary)).absolute()
        for name in chosen.project:
            made = root / "made" / name
            shutil.rmtree(made, ignore_errors=True)
            EXAMPLES[name].write(name.replace(" ", "_"), made)
            sides = root / "old" / name, root / "new" / name
            with ThreadPoolExecutor() as both:
                list(both.map(run, (chosen.old, chosen.new), (made, made), sides))
            equal &= report(name, *sides, chosen.shown)
    print(f"\n{'all equal' if equal else 'not equal'}; {time.perf_counter() - started:.0f} s")
    return int(not equal)


if __name__ == "__main__":
    sys.exit(main())
