"""`engine watch` as a process, and what it says."""

import json
import queue
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ...waiting import PATIENCE, wait_for


class Watcher:
    """A running `engine watch --format json`: its results in order, and all that it has said."""

    def __init__(self, folder: Path, *arguments: str, before: Sequence[str] = ()) -> None:
        self.process = subprocess.Popen(
            [*before, sys.executable, "-m", "engine", "watch", *arguments, "--format", "json"],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        self.results: queue.Queue[dict[str, Any]] = queue.Queue()
        self.said = ""
        self._threads = [threading.Thread(target=take, daemon=True) for take in (self._take_results, self._take_said)]
        for thread in self._threads:
            thread.start()

    def _take_results(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                self.results.put(json.loads(line))

    def _take_said(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as lines:
            for line in lines:
                self.said += line

    def next_result(self) -> dict[str, Any]:
        try:
            return self.results.get(timeout=PATIENCE)
        except queue.Empty:
            raise AssertionError(f"no result; it has said:\n{self.said}") from None

    def expect_nothing(self, seconds: float = 3.0) -> None:
        with pytest.raises(queue.Empty):
            raise AssertionError(self.results.get(timeout=seconds))

    def wait_until_said(self, text: str, times: int = 1) -> None:
        wait_for(lambda: self.said.count(text) >= times, lambda: f"{text!r} after:\n{self.said}")

    def end(self, number: int = signal.SIGINT) -> int:
        self.process.send_signal(number)
        return self.join()

    def join(self) -> int:
        code = self.process.wait(PATIENCE)
        for thread in self._threads:
            thread.join(PATIENCE)
        return code


def write_rows(folder: Path, rows: int) -> None:
    part = folder / "d.csv.part"
    part.write_text("x\n" + "".join(f"{row}\n" for row in range(rows)))
    part.replace(folder / "d.csv")


def rows_of(result: dict[str, Any]) -> str:
    summary: str = result["worst"][0]["summary"]
    return summary.split()[2]


def list_runs(folder: Path) -> list[tuple[str, str]]:
    with sqlite3.connect(next(folder.rglob("state.db"))) as state:
        return state.execute("SELECT outcome, trigger FROM runs ORDER BY number").fetchall()
