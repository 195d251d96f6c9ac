"""`engine watch` as a process: what it runs, when, what it says, and how it ends."""

import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from ...command_line import call_engine
from .watcher import Watcher, list_runs, rows_of, write_rows


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


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
    watcher.wait_until_said("w.yaml has not changed since its last run")
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
        done = call_engine(project, "watch", *arguments)
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
