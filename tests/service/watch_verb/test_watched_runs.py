"""`engine watch` while a run works: what changes meanwhile, what the run writes, and how both end."""

import signal
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ...processes import is_alive
from ...waiting import wait_for
from .watcher import Watcher, list_runs, rows_of, write_rows

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


@pytest.mark.slow
def test_what_changes_during_a_run_is_one_more_run(watch: Callable[..., Watcher], project: Path) -> None:
    (project / "w.yaml").write_text(textwrap.dedent(SLEEPING))
    (project / "mine.py").write_text(MODULE.replace("SECONDS", "3"))
    watcher = watch()
    wait_for((project / "asleep").exists, "the step")
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
    wait_for((project / "asleep").exists, "the step")
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
    wait_for((project / "asleep").exists, "the step")
    child = int((project / "asleep").read_text())
    watcher.end(signal.SIGKILL)
    wait_for(lambda: not is_alive(child), "the end of the run")


@pytest.mark.slow
def test_a_file_that_the_run_has_removed_is_not_named_beside_the_one_that_has_come(
    watch: Callable[..., Watcher], project: Path
) -> None:
    (project / "in").mkdir()
    for name in ("kept.csv", "taken.csv"):
        (project / "in" / name).write_text("x\n1\n")
    (project / "w.yaml").write_text(
        textwrap.dedent(SLEEPING).replace("path: d.csv, settle: 300ms", 'path: "in/*.csv", settle: 3s')
    )
    (project / "mine.py").write_text(
        "import pathlib\n"
        "def sleep():\n"
        "    pathlib.Path(__file__).with_name('in').joinpath('taken.csv').unlink(missing_ok=True)\n"
    )
    watcher = watch()
    assert watcher.next_result()["changed"] == []
    (project / "in/new.csv").write_text("x\n2\n")  # settles together with the removal
    assert watcher.next_result()["changed"] == ["in/new.csv"]
    assert watcher.end() == 130


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
    assert "5 runs in a row were started by a file that changed only during the previous run: d.csv" in watcher.said
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
