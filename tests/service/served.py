"""A running `engine serve` for tests, and what its state says."""

import ctypes
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.store import OPEN_STATES, Fire, RunRecord, Store

from ..waiting import PATIENCE, wait_for

TOKEN = "a-token-that-nobody-guesses-0123456789"
"""What a request to the server must have."""

ENTRY = Path(__file__).with_name("crashing_server.py")
"""`engine serve` with points at which it, or the process of a run, ends itself."""

MODULE = """
import os, signal, time
from pathlib import Path

def note(at="run", seconds=0.0):
    with (Path(__file__).parent / "noted.txt").open("a") as file:
        file.write(f"{at} {os.getpid()}\\n")
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(0.02)

def hold(name="go"):
    note("hold")
    while not (Path(__file__).parent / name).exists():
        time.sleep(0.02)

def spin(seconds=60.0):
    note("spin")
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass

def ignore(seconds=60.0):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    spin(seconds)

def take(megabytes):
    note("take")
    return [bytearray(os.urandom(1 << 20)) for _ in range(megabytes)]

def fall(number):
    note("fall")
    os.kill(os.getpid(), number)
    time.sleep(60)
"""


def write_project(folder: Path, spec: str, name: str = "served.yaml") -> Path:
    """Write a spec of the project `served`, and the module that its steps call; return the folder of its state."""
    text = textwrap.dedent(spec)
    (folder / name).write_text(text if "project:" in text else f"version: 1\nproject: served\n{text}")
    (folder / "mine.py").write_text(MODULE)
    return folder / ".engine" / "served"


def _end_with_parent() -> None:
    """Let a process end with the tests that have started it, even if these are killed (prctl(2), PR_SET_PDEATHSIG)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)


def describe_scenario(name: str, call: str, *, every: str | None = "1s", more: str = "", arguments: str = "{}") -> str:
    """Return a scenario of one step that calls a function of the module, and is started by an interval."""
    triggers = f"[{{name: timer, kind: interval, every: {every}}}]" if every else "[]"
    step = f'{{name: step, kind: python, function: "mine:{call}", arguments: {arguments}}}'
    return f"  {name}:\n    triggers: {triggers}\n    steps: [{step}]\n{textwrap.indent(textwrap.dedent(more), '    ')}"


class Served:
    """A running `engine serve --format json`: what it tells, in order."""

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        crash_at: str | None = None,
        environ: Mapping[str, str] | None = None,
        before: Sequence[str] = (),
        entry: Sequence[str] = ("-m", "engine"),
    ) -> None:
        self.folder = folder
        self.out, self.err = folder / f"out-{time.monotonic_ns()}.txt", folder / "err.txt"
        program = [sys.executable, *(entry if crash_at is None else (str(ENTRY),))]
        of_node = "--node" in arguments  # its file says where it listens, and it has tokens of its own
        options = ["--format", "json", *([] if of_node else ["--listen", "127.0.0.1:0"])]
        token = {} if of_node else {"ENGINE_SERVE_TOKEN": TOKEN}
        with self.out.open("wb") as out, self.err.open("ab") as err:
            self.process = subprocess.Popen(
                [*before, *program, "serve", *(arguments or ["served.yaml"]), *options],
                cwd=folder,
                stdout=out,
                stderr=err,
                env={**os.environ, **token, **(environ or {}), **_name_crash(folder, crash_at)},
                start_new_session=True,
                preexec_fn=_end_with_parent,  # noqa: PLW1509 - the tests have no threads when they start a server
            )

    def list_told(self, kind: str | None = None) -> list[dict[str, Any]]:
        lines = self.out.read_text().split("\n")[:-1]
        told = [json.loads(line) for line in lines]
        return [one for one in told if kind in (None, one["kind"])]

    def wait_for(
        self,
        kind: str,
        times: int = 1,
        holds: Callable[[dict[str, Any]], bool] = lambda _: True,
        seconds: float = PATIENCE,
    ) -> Any:
        """Wait until something has been told so often; return the last of these."""
        found: list[dict[str, Any]] = []

        def has_come() -> bool:
            found[:] = [one for one in self.list_told(kind) if holds(one)]
            return len(found) >= times

        wait_until(has_come, f"{kind!r} was not told {times} times", self, seconds)
        return found[times - 1]

    def end(self, number: int = signal.SIGTERM, seconds: float = PATIENCE) -> int:
        self.process.send_signal(number)
        return self.process.wait(seconds)

    def describe(self) -> str:
        return f"it has told:\n{self.out.read_text()[-4000:]}\n{self.err.read_text()[-4000:]}"


def _name_crash(folder: Path, crash_at: str | None) -> dict[str, str]:
    if crash_at is None:
        return {}
    return {"ENGINE_CRASH_AT": crash_at, "ENGINE_CRASH_COUNT": str(folder / "crashes")}


def wait_until(holds: Callable[[], bool], what: str, server: Served | None = None, seconds: float = PATIENCE) -> None:
    """Wait until something holds; what does not is told with what the server has told."""
    wait_for(holds, lambda: f"{what}; {server.describe() if server else ''}", seconds)


def read_state(state: Path) -> tuple[list[Fire], list[RunRecord]]:
    """Return all fires and runs."""
    with Store.open(state) as store:
        return store.fires.history(), store.runs.history()


def list_open(state: Path) -> list[Fire]:
    return [fire for fire in read_state(state)[0] if fire.state in OPEN_STATES]
