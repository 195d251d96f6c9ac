"""`engine watch` for hours: many files, a thousand saves in random patterns, memory over hundreds of runs.

    python tests/campaigns/watched_saves.py files --number 10_000
    python tests/campaigns/watched_saves.py saves --number 1_000 --seed 1
    python tests/campaigns/watched_saves.py memory --number 500

`files`: the seconds until a pattern of so many Parquet files is watched, the CPU of the idle watch, and the seconds
from one new file, and from a change of all, to the result; most are those of the plan and the run, which read them all.
`saves`: saves a data file in ways drawn at random, after pauses drawn at random; after each burst the last result must
be that of the last content, and no run may have seen half a file; one that meets a file which is just written FAILS.
`memory`: the memory of the watching process and its open files after each tenth of so many runs.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import polars as pl

SPEC = """
version: 1
project: w
datasets:
  d: {path: PATH, settle: 300ms, checks: {rows: {metric: row_count, max: 0}}}
"""


class Watch:
    """A running `engine watch` of a dataset whose only check tells the number of its rows."""

    def __init__(self, folder: Path, path: str) -> None:
        (folder / "w.yaml").write_text(SPEC.replace("PATH", path))
        self._said = folder / "said.txt"  # no pipe: nobody reads it, and a full one would stop the watch
        with self._said.open("wb") as said:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "engine", "watch", "w.yaml", "--format", "json"],
                cwd=folder,
                stdout=subprocess.PIPE,
                stderr=said,
            )
        assert self.process.stdout is not None
        os.set_blocking(self.process.stdout.fileno(), False)
        self._kept = b""
        self.runs = self.misses = 0
        self.seen: set[int] = set()

    def next_rows(self, seconds: float) -> int | None:
        """Return the number of rows that the next run has counted; None if there is no run so long."""
        until = time.monotonic() + seconds
        assert self.process.stdout is not None
        while time.monotonic() < until:
            self._kept += self.process.stdout.read() or b""
            line, newline, rest = self._kept.partition(b"\n")
            if newline:
                self._kept = rest
                self.runs += 1
                result: dict[str, Any] = json.loads(line)
                if result["failures"]:  # the file was gone or written at that moment, and the next run is good again
                    self.misses += 1
                    continue
                rows = int(result["worst"][0]["summary"].split()[2].replace(",", ""))
                self.seen.add(rows)
                return rows
            assert self.process.poll() is None, self._said.read_text()
            time.sleep(0.02)
        return None

    def expect_rows(self, rows: int, seconds: float = 1800.0) -> None:
        """Wait for the run that counts so many rows; earlier ones are passed over."""
        until = time.monotonic() + seconds
        while (found := self.next_rows(until - time.monotonic())) != rows:
            assert found is not None, f"no run has counted {rows} rows"

    def cpu_seconds(self) -> float:
        """Return the CPU seconds of the watching process alone."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / 100

    def memory(self) -> tuple[float, int, int]:
        """Return the MB of the watching process, its threads and its open files."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        size = int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1024
        threads, files = (len(list(Path("/proc", str(self.process.pid), of).iterdir())) for of in ("task", "fd"))
        return size, threads, files

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(60)


def text_of(rows: int) -> bytes:
    """Return a CSV file of so many rows."""
    return b"x\n" + b"".join(b"%d\n" % row for row in range(rows))


def replace(path: Path, content: bytes, draw: random.Random) -> None:
    """Rename a complete file over it."""
    part = path.with_name(".part")
    part.write_bytes(content)
    part.replace(path)


def rewrite(path: Path, content: bytes, draw: random.Random) -> None:
    """Truncate it and write it in pieces, with pauses shorter than the file must stay as it is."""
    with path.open("wb", buffering=0) as file:
        at = 0
        while at < len(content):
            size = draw.randint(1, len(content))
            file.write(content[at : at + size])
            at += size
            time.sleep(draw.random() * 0.15)


def remove_first(path: Path, content: bytes, draw: random.Random) -> None:
    """Remove it, and write it anew a moment later."""
    path.unlink()
    time.sleep(draw.random() * 0.1)
    path.write_bytes(content)


WAYS: list[Callable[[Path, bytes, random.Random], None]] = [replace, rewrite, remove_first]


def save_at_random(folder: Path, number: int, seed: int) -> None:
    """Save so often; print how many runs that were."""
    draw = random.Random(seed)
    path = folder / "d.csv"
    path.write_bytes(text_of(1))
    with Watch(folder, "d.csv") as watch:
        watch.expect_rows(1)
        saved, rows, written = 0, 1, {1}
        while saved < number:
            for _ in range(min(number - saved, draw.choice([1, 1, 2, 5, 20, 60]))):
                rows = rows % 5000 + draw.randint(1, 50)
                written.add(rows)
                draw.choice(WAYS)(path, text_of(rows), draw)
                if draw.random() < 0.2:
                    path.touch()
                saved += 1
                time.sleep(draw.choice([0, 0, 0.05, 0.3, 1.0, 3.0]) * draw.random())
            watch.expect_rows(rows)
            print(f"{saved:5} saves, {watch.runs:4} runs, {watch.misses} failed", flush=True)
            assert watch.seen <= written, (
                f"runs have seen {sorted(watch.seen - written)} rows, which nobody has written"
            )
        if watch.next_rows(5.0) is not None:
            raise AssertionError("a run that nothing has changed for")


def watch_many_files(folder: Path, number: int) -> None:
    """Print what so many files cost."""
    paths = [folder / "data" / f"{index % 100:02}" / f"{index}.parquet" for index in range(number)]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        pl.DataFrame({"x": [1]}).write_parquet(path)
    began = time.monotonic()
    with Watch(folder, "data/**/*.parquet") as watch:
        watch.expect_rows(number)
        print(f"{number:,} files: first result after {time.monotonic() - began:.1f} s", flush=True)
        watch.next_rows(30.0)
        before = watch.cpu_seconds()
        watch.next_rows(60.0)
        idle = (watch.cpu_seconds() - before) / 60
        print(f"idle: {idle:.1%} of a core; memory {watch.memory()[0]:.0f} MB", flush=True)
        before, began = watch.cpu_seconds(), time.monotonic()
        pl.DataFrame({"x": [1]}).write_parquet(folder / "data" / "00" / "new.parquet")
        watch.expect_rows(number + 1)
        cpu = watch.cpu_seconds() - before
        print(f"one new file: {time.monotonic() - began:.1f} s, of these {cpu:.1f} s CPU of the watch", flush=True)
        before, began = watch.cpu_seconds(), time.monotonic()
        for path in paths:
            pl.DataFrame({"x": [1, 2]}).write_parquet(path)
        written = time.monotonic() - began
        watch.expect_rows(2 * number + 1)
        cpu, took = watch.cpu_seconds() - before, time.monotonic() - began
        print(f"all: written in {written:.1f} s, result after {took:.1f} s, {cpu:.1f} s CPU of the watch", flush=True)


def measure_memory(folder: Path, number: int) -> None:
    """Print the memory after each tenth of so many runs."""
    path = folder / "d.csv"
    path.write_bytes(text_of(1))
    with Watch(folder, "d.csv") as watch:
        watch.expect_rows(1)
        for run in range(1, number + 1):
            replace(path, text_of(1 + run), random.Random(run))
            watch.expect_rows(1 + run)
            if run % max(1, number // 10) == 0:
                size, threads, files = watch.memory()
                print(f"{run:4} runs: {size:.1f} MB, {threads} threads, {files} open files", flush=True)


def main() -> None:
    """Run one of the campaigns."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("campaign", choices=["files", "saves", "memory"])
    parser.add_argument("--number", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if chosen.campaign == "files":
            watch_many_files(Path(folder), chosen.number)
        elif chosen.campaign == "saves":
            save_at_random(Path(folder), chosen.number, chosen.seed)
        else:
            measure_memory(Path(folder), chosen.number)


if __name__ == "__main__":
    main()
