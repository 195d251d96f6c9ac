"""What it costs polars to read a file, with its own settings, in a process that knows nothing of this tool.

    python tests/benchmarks/read_limit.py FILE

Every value is read, and next to nothing done with it. For each line on its input the process reads the file once and
prints the seconds as JSON. `ReadLimit` starts one, so that it takes turns with what is compared to it: the engine sets
how far ahead polars reads and how long it keeps memory, which would change the limit too. It sets them as environment
variables, so the process gets none of these.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import polars as pl
from timing import Cost, cost


def read(path: str) -> pl.DataFrame:
    """Sum numbers, and the lengths of texts."""
    frame = pl.scan_parquet(path)
    texts = [name for name, kind in frame.collect_schema().items() if kind == pl.String]
    sums = frame.select(pl.exclude(texts).sum(), pl.col(texts).str.len_bytes().sum())
    return sums.collect(engine="streaming")


class ReadLimit:
    """A process that reads a file whenever this is called, until the block ends."""

    def __init__(self, path: Path) -> None:
        command = [sys.executable, __file__, str(path)]
        own = {name: value for name, value in os.environ.items() if not name.startswith(("POLARS_", "_RJEM_"))}
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=own)

    def __enter__(self) -> "ReadLimit":
        self()  # the first reading starts polars
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def __call__(self) -> Cost:
        """Read once, and return what it cost."""
        to, answers = self._process.stdin, self._process.stdout
        if to is None or answers is None:
            raise RuntimeError("the process was started without pipes")
        print(file=to, flush=True)
        return Cost(*json.loads(answers.readline()))


if __name__ == "__main__":
    for _ in sys.stdin:
        print(json.dumps(cost(lambda: read(sys.argv[1]))), flush=True)
