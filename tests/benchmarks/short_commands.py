"""What short commands cost beside `import pydantic, yaml, typer`, which no command that reads a spec can avoid.

    python tests/benchmarks/short_commands.py
    python tests/benchmarks/short_commands.py --times 21 --only validate "validate again"

`help` is `engine --help`. `validate` never finds a kept verdict, `validate again` finds one, and `run again` is
`engine run` of a project in which everything is up to date. `show`, `outbox` and `status` look at its state alone. All
are processes of their own, in turns; medians of CPU seconds, and their ratios to the import. With `--most NAME=RATIO`
the exit code is 1 if a ratio is larger.
"""

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median

from timing import alone, machine

SPECS = Path(__file__).parents[2] / "specs"
IMPORTS = "import pydantic, yaml, typer"
COMMANDS: dict[str, tuple[str, ...]] = {
    "help": ("--help",),
    "validate": ("validate", "card_fraud.yaml"),
    "validate again": ("validate", "card_fraud.yaml"),
    "run again": ("run", "card_fraud.yaml"),
    "show": ("show", "card_fraud.yaml"),
    "outbox": ("show", "card_fraud.yaml", "--outbox"),
    "status": ("status", "card_fraud.yaml"),
}
ENGINE = """
import os, sys
os.chdir(sys.argv[1])
for descriptor in (1, 2):
    os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
sys.argv = ["engine", *sys.argv[2:]]
from engine.cli.main import main
try:
    main()
except SystemExit as ended:
    os._exit(2 if ended.code not in (0, 1) else 0)
"""


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--times", type=int, default=11, help="how often each is measured")
    parser.add_argument("--only", choices=COMMANDS, nargs="*", default=list(COMMANDS), help="what to measure")
    parser.add_argument("--most", action="append", default=[], metavar="NAME=RATIO", help="the largest allowed ratio")
    chosen = parser.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # without kept bytecode, compiling it would be measured
    with tempfile.TemporaryDirectory() as root:
        project, cache = Path(root, "project"), Path(root, "cache")
        shutil.copytree(SPECS, project, ignore=shutil.ignore_patterns(".engine", "outbox"))

        def ask(name: str) -> float:
            if name == "validate":
                shutil.rmtree(cache / "engine" / "verdicts", ignore_errors=True)
            # -P: the engine of this interpreter, not the one in the current folder
            command = ("-P", "-c", ENGINE, project, *COMMANDS[name])
            cost: float = alone(*command, XDG_CACHE_HOME=str(cache))["process_cpu"]
            return cost

        asked: dict[str, Callable[[], float]] = {IMPORTS: lambda: float(alone("-P", "-c", IMPORTS)["process_cpu"])}
        asked |= {name: lambda name=name: ask(name) for name in chosen.only}
        for ask_first in asked.values():  # what the first call of each leaves: bytecode, kernels, the state of the run
            ask_first()
        found: dict[str, list[float]] = {name: [] for name in asked}
        for _ in range(chosen.times):
            for name, ask_again in asked.items():
                found[name].append(ask_again())
    base = median(found[IMPORTS])
    print("CPU seconds, and how often that of the import;", machine())
    for name, costs in found.items():
        print(f"{name:30} {median(costs):7.3f} {median(costs) / base:7.2f}")
    allowed = dict(text.rsplit("=", 1) for text in chosen.most)
    over = [name for name, most in allowed.items() if median(found[name]) / base > float(most)]
    if over:
        sys.exit(f"more than allowed: {', '.join(over)}")


if __name__ == "__main__":
    main()
