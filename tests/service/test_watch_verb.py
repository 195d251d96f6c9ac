"""`engine watch` as a process: what it runs, when, what it says, and how it ends."""

import http.server
import json
import queue
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

PATIENCE = 90.0
"""Seconds that a run, or what is said, may take on a busy machine."""

SPEC = """
    version: 1
    project: w
    datasets:
      d: {path: d.csv, settle: 300ms, checks: {rows: {metric: row_count, max: 0}}}
"""


class Watcher:
    """A running `engine watch --format json`: its results in order, and all that it has said."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "engine", "watch", *arguments, "--format", "json"],
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
        until = time.monotonic() + PATIENCE
        while self.said.count(text) < times:
            assert time.monotonic() < until, f"it has not said {text!r}, but:\n{self.said}"
            time.sleep(0.05)

    def end(self, number: int = signal.SIGINT) -> int:
        self.process.send_signal(number)
        return self.join()

    def join(self) -> int:
        code = self.process.wait(PATIENCE)
        for thread in self._threads:
            thread.join(PATIENCE)
        return code


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with a spec of one dataset, whose check is always ERROR and so tells the number of its rows."""
    (tmp_path / "w.yaml").write_text(textwrap.dedent(SPEC))
    write_rows(tmp_path, 3)
    return tmp_path


@pytest.fixture
def watch(project: Path) -> Iterator[Callable[..., Watcher]]:
    begun: list[Watcher] = []

    def begin(*arguments: str) -> Watcher:
        begun.append(Watcher(project, *(arguments or ["w.yaml"])))
        return begun[-1]

    yield begin
    for one in begun:
        if one.process.poll() is None:
            one.process.kill()
            one.join()


class Refusing(http.server.BaseHTTPRequestHandler):
    """Refuses what is sent to /refuse, and takes the rest."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(400 if self.path == "/refuse" else 200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_what_becomes_of_messages_is_told(project: Path, watch: Callable[..., Watcher]) -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}).start()
        with (project / "w.yaml").open("a") as spec:
            spec.write(
                textwrap.dedent(f"""
                    channels:
                      hook: {{kind: webhook, url: "http://127.0.0.1:{server.server_port}/refuse"}}
                      chat: {{kind: apprise, url: "ntfy://127.0.0.1:{server.server_port}/alerts/bad!room"}}
                    scenarios:
                      look:
                        steps: [{{name: build, kind: build, target: d}}]
                        reporters: [{{name: refused, channel: hook}}, {{name: remarked, channel: chat}}]
                """)
            )
        watcher = watch()
        found = {one["reporter"]: one for one in watcher.next_result()["deliveries"]}
        assert {name: one["state"] for name, one in found.items()} == {"refused": "REFUSED", "remarked": "SENT"}
        assert "apprise warned" in found["remarked"]["remark"]
        watcher.wait_until_said("refused for good, see engine outbox: refused to hook: 127.0.0.1 answered 400")
        assert "tried again" not in watcher.said
        server.shutdown()


def write_rows(folder: Path, rows: int) -> None:
    part = folder / "d.csv.part"
    part.write_text("x\n" + "".join(f"{row}\n" for row in range(rows)))
    part.replace(folder / "d.csv")


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def rows_of(result: dict[str, Any]) -> str:
    summary: str = result["worst"][0]["summary"]
    return summary.split()[2]


def list_runs(folder: Path) -> list[tuple[str, str]]:
    with sqlite3.connect(next(folder.rglob("state.db"))) as state:
        return state.execute("SELECT outcome, trigger FROM runs ORDER BY number").fetchall()


@pytest.mark.slow
def test_what_a_change_concerns_is_run_and_what_changes_nothing_is_not(
    watch: Callable[..., Watcher], project: Path
) -> None:
    spec = project / "w.yaml"
    watcher = watch()
    first = watcher.next_result()
    assert (first["outcome"], first["scenario"], first["changed"], rows_of(first)) == ("FAILED", "default", [], "3")
    watcher.wait_until_said("watching 2 files in 1 folder; Ctrl-C ends")

    write_rows(project, 5)
    result = watcher.next_result()
    assert (result["changed"], rows_of(result), result["checks"]["ERROR"]) == (["d.csv"], "5", 1)

    (project / "d.csv").touch()
    write_rows(project, 5)
    spec.touch()
    watcher.expect_nothing()

    edit(spec, "max: 0", "max: 2")
    assert watcher.next_result()["changed"] == ["w.yaml"]
    spec.write_text(spec.read_text() + "# a comment\n")
    watcher.wait_until_said("w.yaml says the same as at its last run")
    watcher.expect_nothing()

    # an invalid spec is told, once while its bytes are the same; what changes meanwhile is run afterwards
    good = spec.read_text()
    spec.write_text(good + "checks: {}\n")
    watcher.wait_until_said("w.yaml:7:1: error: ")
    spec.touch()
    write_rows(project, 7)
    watcher.expect_nothing()
    assert watcher.said.count("error: ") == 1
    spec.write_text(good)
    watcher.wait_until_said("w.yaml is valid again")
    result = watcher.next_result()
    assert (result["changed"], rows_of(result)) == (["d.csv"], "7")

    (project / "d.csv").rename(project / "away")
    watcher.wait_until_said("there is no file")
    assert watcher.process.poll() is None
    (project / "away").rename(project / "d.csv")
    watcher.wait_until_said("d.csv changed: nothing to compute, all is reused")
    write_rows(project, 9)
    assert rows_of(watcher.next_result()) == "9"
    assert watcher.end() == 130
    assert "engine: interrupted" in watcher.said
    assert {trigger for _, trigger in list_runs(project)} == {"watch"}

    again = watch()
    again.wait_until_said("watching 2 files")
    again.expect_nothing(1.0)
    assert again.end(signal.SIGTERM) == 130


@pytest.mark.slow
def test_a_changed_function_and_a_new_file_of_a_pattern_are_run(watch: Callable[..., Watcher], project: Path) -> None:
    (project / "w.yaml").write_text(
        textwrap.dedent("""
            version: 1
            project: w
            variables: {month: "2026-01"}
            include: [more.yaml]
            datasets:
              d: {path: "months/${month}.csv", settle: 300ms, metrics: {m: {function: "mine:count"}},
                  checks: {m: {metric: m, max: 0}}}
            scenarios:
              months:
                for_each: [{month: "2026-01"}, {month: "2026-02"}]
                steps:
                  - {name: b, kind: build, target: d, on_failure: warn}
                  - {name: c, kind: run_checks, target: d, on_failure: warn}
        """)
    )
    (project / "more.yaml").write_text("version: 1\n")
    (project / "helper.py").write_text("FACTOR = 1\n")
    (project / "mine.py").write_text(
        "import helper\n\ndef count(frame):\n    return frame.collect().height * helper.FACTOR\n"
    )
    (project / "months").mkdir()
    (project / "months" / "2026-01.csv").write_text("x\n1\n")
    watcher = watch()
    watcher.next_result()
    (project / "helper.py").write_text("FACTOR = 100\n")
    result = watcher.next_result()
    assert (result["changed"], rows_of(result)) == (["helper.py"], "100")
    # the variable has this value in the second iteration only
    (project / "months" / "2026-02.csv").write_text("x\n1\n2\n")
    result = watcher.next_result()
    assert result["changed"] == ["months/2026-02.csv"]
    assert {one["summary"].split()[2] for one in result["worst"]} == {"100", "200"}
    (project / "more.yaml").write_text("version: 1\nchannels: {c: {kind: nothing}}\n")
    watcher.wait_until_said("more.yaml:2:")
    assert watcher.end() == 130


SLEEPING = """
    version: 1
    project: w
    datasets:
      d: {path: d.csv, settle: 300ms, checks: {rows: {metric: row_count, max: 0}}}
    scenarios:
      s:
        steps:
          - {name: b, kind: build, target: d, on_failure: warn}
          - {name: sleep, kind: python, function: "mine:sleep"}
"""
MODULE = """
import pathlib, time
def sleep():
    pathlib.Path(__file__).with_name("asleep").touch()
    time.sleep(SECONDS)
"""


def wait_for(path: Path) -> None:
    until = time.monotonic() + PATIENCE
    while not path.exists():
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.mark.slow
def test_what_changes_during_a_run_is_one_more_run(watch: Callable[..., Watcher], project: Path) -> None:
    (project / "w.yaml").write_text(textwrap.dedent(SLEEPING))
    (project / "mine.py").write_text(MODULE.replace("SECONDS", "3"))
    watcher = watch()
    wait_for(project / "asleep")
    for rows in (4, 5, 6):
        write_rows(project, rows)
        time.sleep(0.6)
    assert rows_of(watcher.next_result()) == "3"
    assert rows_of(watcher.next_result()) == "6"
    watcher.expect_nothing(2.0)
    assert watcher.end() == 130


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_is_aborted(number: int, watch: Callable[..., Watcher], project: Path) -> None:
    (project / "w.yaml").write_text(textwrap.dedent(SLEEPING))
    (project / "mine.py").write_text(MODULE.replace("SECONDS", "600"))
    watcher = watch()
    wait_for(project / "asleep")
    assert watcher.end(number) == 130
    assert list_runs(project) == [("ABORTED", "watch")]


@pytest.mark.slow
def test_no_process_outlives_a_watch_that_is_killed(watch: Callable[..., Watcher], project: Path) -> None:
    (project / "w.yaml").write_text(textwrap.dedent(SLEEPING))
    (project / "mine.py").write_text(
        "import os, pathlib, time\n"
        "def sleep():\n"
        "    part = pathlib.Path(__file__).with_name('part')\n"
        "    part.write_text(str(os.getpid()))\n"
        "    part.rename(part.with_name('asleep'))\n"
        "    time.sleep(600)\n"
    )
    watcher = watch()
    wait_for(project / "asleep")
    child = int((project / "asleep").read_text())
    watcher.end(signal.SIGKILL)
    until = time.monotonic() + PATIENCE
    while Path(f"/proc/{child}").exists():
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.mark.slow
def test_runs_that_change_what_they_read_are_stopped(watch: Callable[..., Watcher], project: Path) -> None:
    (project / "w.yaml").write_text(textwrap.dedent(SLEEPING))
    (project / "mine.py").write_text(
        "import pathlib\n"
        "def sleep():\n"
        "    with pathlib.Path(__file__).with_name('d.csv').open('a') as file:\n"
        "        file.write('1\\n')\n"
    )
    watcher = watch()
    assert watcher.join() == 3
    assert "5 runs in a row were started by a file that changed only while the run before worked: d.csv" in watcher.said
    assert watcher.results.qsize() == 6


@pytest.mark.slow
def test_a_program_that_answers_each_result_is_not_taken_for_the_run(
    watch: Callable[..., Watcher], project: Path
) -> None:
    watcher = watch()
    watcher.next_result()
    for rows in range(4, 13):  # more than the runs after which a watch stops
        write_rows(project, rows)
        assert rows_of(watcher.next_result()) == str(rows)


@pytest.mark.slow
def test_lost_events_lose_no_change(watch: Callable[..., Watcher], project: Path) -> None:
    watcher = watch()
    watcher.next_result()
    watcher.wait_until_said("watching")
    watcher.process.send_signal(signal.SIGSTOP)
    most = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    for number in range(most // 2 + 100):
        trial = project / f"trial{number % 50}"
        trial.touch()
        trial.unlink()
    write_rows(project, 8)
    watcher.process.send_signal(signal.SIGCONT)
    result = watcher.next_result()
    assert (result["changed"], rows_of(result)) == (["d.csv"], "8")
    write_rows(project, 9)
    assert rows_of(watcher.next_result()) == "9"
    assert "overflow" not in watcher.said
    assert watcher.end() == 130


@pytest.mark.slow
def test_several_specs_are_watched_by_one_process(watch: Callable[..., Watcher], project: Path) -> None:
    text = (project / "w.yaml").read_text()
    (project / "second.yaml").write_text(text.replace("project: w", "project: second").replace("max: 0", "max: 1"))
    watcher = watch("w.yaml", "second.yaml")
    assert [watcher.next_result()["project"] for _ in range(2)] == ["w", "second"]
    write_rows(project, 4)
    assert {watcher.next_result()["project"] for _ in range(2)} == {"w", "second"}
    edit(project / "second.yaml", "max: 1", "max: 2")
    result = watcher.next_result()
    assert (result["project"], result["changed"]) == ("second", ["second.yaml"])
    watcher.expect_nothing(1.0)
    assert watcher.end() == 130


def test_what_cannot_be_watched_is_refused(project: Path) -> None:
    def refuse(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "engine", "watch", *arguments],
            cwd=project,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 2
        assert done.stdout == ""
        return done.stderr

    assert "nothing.yaml" in refuse("nothing.yaml")
    assert "there is no scenario 'nightly'" in refuse("w.yaml", "--scenario", "nightly")
    assert "several specs are given" in refuse("w.yaml", "w.yaml", "--scenario", "default")


def test_a_program_that_watches_loads_no_data_library() -> None:
    code = (
        "import sys, engine.service.watch.watch_loop, engine.cli.verbs.watch, engine.cli.printers.watch_printers\n"
        "print(sorted({'polars', 'numba', 'numpy', 'sqlalchemy', 'sklearn'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.slow
def test_what_runs_write_and_clear_starts_nothing(watch: Callable[..., Watcher], project: Path) -> None:
    (project / "in").mkdir()
    (project / "in" / "a.csv").write_text("x\n1\n")
    (project / "w.yaml").write_text(
        textwrap.dedent("""
            version: 1
            project: w
            datasets:
              arrivals: {path: in/*.csv, settle: 300ms, checks: {rows: {metric: row_count, max: 0}}}
              d: {path: d.csv, settle: 300ms}
              seen: {path: "*.csv", settle: 300ms}
            channels: {rows: {kind: dataset, path: alerts.csv}}
            scenarios:
              s:
                steps:
                  - {name: b, kind: build, target: arrivals, on_failure: warn}
                  - {name: e, kind: export, dataset: d, path: copy.csv}
                  - {name: c, kind: clear, target: arrivals}
                reporters: [{name: r, channel: rows, message: "${outcome}"}]
        """)
    )
    watcher = watch()
    assert rows_of(watcher.next_result()) == "1"
    assert (project / "copy.csv").exists()
    assert (project / "alerts.csv").exists()
    assert not list((project / "in").iterdir())
    watcher.expect_nothing(6.0)
    (project / "in" / "b.csv").write_text("x\n1\n2\n")
    result = watcher.next_result()
    assert (result["changed"], rows_of(result)) == (["in/b.csv"], "2")
    watcher.expect_nothing(6.0)
    assert watcher.end() == 130
