"""What fires a trigger of kind `dataset_changed`: real files, written as programs write them."""

import os
import shutil
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from engine.service.sources.trigger_files import TriggerFiles
from engine.spec.resources.triggers import DatasetChangedTrigger
from engine.store import Pause

from .data_triggers import QUIET, Served, write_spec

CSV = "d: {path: d.csv, settle: 300ms}"


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    path = tmp_path / "d.csv"
    path.write_text("a\n1\n")
    return path


def serve(folder: Path, datasets: str = CSV, *triggers: str) -> Served:
    return Served(write_spec(folder, datasets, *(triggers or ["kind: dataset_changed, dataset: d"]))).begin()


def test_what_is_there_first_fires_nothing_and_a_change_fires_once(csv: Path, tmp_path: Path) -> None:
    served = serve(tmp_path)
    assert served.wait(QUIET) == []
    csv.write_text("a\n2\n")
    (fire,) = served.wait()
    assert (fire.scenario, fire.trigger, fire.changed) == ("s", "t0", ("d",))
    assert fire.key.startswith("data:")
    assert served.wait(QUIET) == []


@pytest.mark.slow
def test_a_writer_that_appends_for_seconds_fires_once_after_its_end(csv: Path, tmp_path: Path) -> None:
    served = serve(tmp_path, "d: {path: d.csv, settle: 1s}")
    ended = []

    def append() -> None:
        for row in range(20):
            with csv.open("a") as file:
                file.write(f"{row}\n")
            time.sleep(0.15)
        ended.append(time.monotonic())

    writer = threading.Thread(target=append)
    writer.start()
    assert len(served.wait()) == 1
    assert ended
    assert time.monotonic() - ended[0] > 0.7
    writer.join()
    assert served.wait(QUIET) == []


def test_a_touch_and_the_same_bytes_fire_nothing(csv: Path, tmp_path: Path) -> None:
    served = serve(tmp_path)
    csv.touch()
    assert served.wait(QUIET) == []
    other = tmp_path / "new"
    shutil.copy(csv, other)
    other.replace(csv)
    assert served.wait(QUIET) == []
    csv.write_text("a\n1\n2\n")
    assert len(served.wait()) == 1


def test_a_file_that_is_renamed_into_place_fires(csv: Path, tmp_path: Path) -> None:
    served = serve(tmp_path)
    other = tmp_path / "new"
    other.write_text("a\n7\n")
    os.utime(other, ns=(csv.stat().st_mtime_ns,) * 2)
    other.replace(csv)
    assert len(served.wait()) == 1


def test_content_that_comes_back_fires_each_time(csv: Path, tmp_path: Path) -> None:
    served = serve(tmp_path)
    for text in ("b", "a\n1\n", "b", "a\n1\n"):
        csv.write_text(text)
        assert len(served.wait()) == 1
    assert len({fire.key for fire in served.fires}) == 4


def test_parquet_without_its_footer_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "d.parquet"
    pl.DataFrame({"a": [1]}).write_parquet(path)
    served = serve(tmp_path, "d: {path: d.parquet}")
    whole = tmp_path / "whole"
    pl.DataFrame({"a": range(1000)}).write_parquet(whole)
    content = whole.read_bytes()
    path.write_bytes(content[:-100])
    assert served.wait(QUIET) == []
    assert served.probes.describe_waits() == [f"trigger t0 of scenario s: {path} is not complete: waiting for its end"]
    with path.open("ab") as file:
        file.write(content[-100:])
    assert len(served.wait()) == 1


def test_a_marker_says_when_all_files_are_complete(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "1.csv").write_text("a\n1\n")
    (folder / "_SUCCESS").touch()
    served = serve(tmp_path, "d: {path: out, settle: 200ms, marker: _SUCCESS}")
    (folder / "2.csv").write_text("a\n2\n")
    assert served.wait(QUIET) == []
    served = served.restart()
    assert served.wait(QUIET) == []
    assert "waiting until" in served.probes.describe_waits()[0]
    (folder / "_SUCCESS").write_text("done")
    assert len(served.wait()) == 1
    (folder / "_SUCCESS").write_text("done again")
    assert served.wait(QUIET) == []


def test_a_folder_that_does_not_exist_yet_fires_when_it_has_files(tmp_path: Path) -> None:
    served = serve(tmp_path, "d: {path: in/*.csv, settle: 300ms}")
    assert served.wait(QUIET) == []
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "1.csv").write_text("a\n1\n")
    assert len(served.wait()) == 1


@pytest.mark.slow
def test_a_file_that_is_gone_is_an_error_and_one_that_comes_back_as_it_was_fires_nothing(
    csv: Path, tmp_path: Path
) -> None:
    served = serve(tmp_path)
    csv.unlink()
    assert "there is no file" in served.wait_for_error()
    assert served.states["t0"].error_since is not None
    csv.write_text("a\n1\n")
    assert served.wait(QUIET) == []
    assert served.states["t0"].error is None
    csv.unlink()
    served.wait_for_error()
    csv.write_text("a\n3\n")
    assert len(served.wait()) == 1


def test_a_link_that_is_turned_to_another_file_fires(tmp_path: Path) -> None:
    for day in ("1", "2"):
        (tmp_path / f"day{day}.csv").write_text(f"a\n{day}\n")
    link = tmp_path / "d.csv"
    link.symlink_to("day1.csv")
    served = serve(tmp_path)
    other = tmp_path / "link"
    other.symlink_to("day2.csv")
    other.replace(link)
    assert len(served.wait()) == 1


def test_the_newest_file_counts_alone(tmp_path: Path) -> None:
    for day in ("2026-01-01", "2026-01-02"):
        (tmp_path / f"{day}.csv").write_text(f"a\n{day}\n")
    served = serve(tmp_path, "d: {path: '*.csv', pick: newest, settle: 300ms}")
    (tmp_path / "2026-01-01.csv").write_text("a\ncorrected\n")
    assert served.wait(QUIET) == []
    (tmp_path / "2026-01-03.csv").write_text("a\n1\n")
    assert len(served.wait()) == 1
    (tmp_path / "2100-01-01.csv").write_text("a\n1\n")
    assert served.restart().wait(QUIET) == []


def test_all_waits_until_every_dataset_has_changed(tmp_path: Path) -> None:
    for name in "de":
        (tmp_path / f"{name}.csv").write_text("a\n1\n")
    both = "d: {path: d.csv, settle: 300ms}\ne: {path: e.csv, settle: 300ms}"
    served = serve(
        tmp_path, both, "kind: dataset_changed, dataset: [d, e], all: true", "kind: dataset_changed, dataset: [d, e]"
    )
    (tmp_path / "d.csv").write_text("a\n2\n")
    (fire,) = served.wait()
    assert (fire.trigger, fire.changed) == ("t1", ("d",))
    assert served.wait(QUIET) == []
    served = served.restart()
    (tmp_path / "e.csv").write_text("a\n2\n")
    found = served.wait() + served.wait(QUIET)
    assert {fire.trigger: fire.changed for fire in found} == {"t0": ("d", "e"), "t1": ("e",)}


def test_a_query_dataset_changes_with_the_files_that_it_reads(csv: Path, tmp_path: Path) -> None:
    served = serve(
        tmp_path,
        f"{CSV}\nq: {{kind: query, sql: SELECT a FROM d}}\nr: {{kind: query, sql: SELECT a FROM q}}",
        "kind: dataset_changed, dataset: r",
    )
    csv.write_text("a\n2\n")
    (fire,) = served.wait()
    assert fire.changed == ("r",)


def test_after_a_restart_nothing_fires_twice_and_a_change_during_the_downtime_fires_once(
    csv: Path, tmp_path: Path
) -> None:
    served = serve(tmp_path)
    csv.write_text("a\n2\n")
    assert len(served.wait()) == 1
    served = served.restart()
    assert served.wait(QUIET) == []
    csv.touch()
    served = served.restart()
    assert served.wait(QUIET) == []
    csv.write_text("a\n3\n")
    csv.write_text("a\n4\n")
    served = served.restart()
    assert len(served.wait()) == 1
    assert served.wait(QUIET) == []


def test_an_edited_trigger_starts_from_the_present_content(csv: Path, tmp_path: Path) -> None:
    served = serve(tmp_path)
    csv.write_text("a\n2\n")
    served.redefine()
    assert served.wait(QUIET) == []
    csv.write_text("a\n3\n")
    assert len(served.wait()) == 1


def test_a_path_with_variables_is_that_of_the_run(tmp_path: Path) -> None:
    for name in ("north", "south"):
        (tmp_path / f"{name}.csv").write_text("a\n1\n")
    spec = write_spec(
        tmp_path,
        "d: {path: '${region}.csv', settle: 300ms}",
        "kind: dataset_changed, dataset: d",
        "kind: dataset_changed, dataset: d, variables: {region: south}",
        more="variables: {region: north}\n",
    )
    served = Served(spec).begin()
    (tmp_path / "south.csv").write_text("a\n2\n")
    (fire,) = served.wait()
    assert (fire.trigger, fire.values) == ("t1", {"region": "south"})
    (tmp_path / "north.csv").write_text("a\n2\n")
    assert [fire.trigger for fire in served.wait()] == ["t0"]


def test_the_run_is_given_the_states_in_which_the_changed_files_were_complete(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in "12":
        (tmp_path / "in" / f"{name}.csv").write_text("a\n1\n")
    served = serve(tmp_path, "d: {path: in, settle: 300ms}")
    assert served.probes.settled_states("s") == {}
    changed = tmp_path / "in" / "2.csv"
    changed.write_text("a\n2\n")
    assert len(served.wait()) == 1
    settled = served.probes.settled_states("s")
    assert list(settled) == [str(changed)]
    assert settled[str(changed)].mtime_ns == changed.stat().st_mtime_ns
    assert served.probes.settled_states("other") == {}


def test_a_pipe_in_place_of_a_file_is_an_error(csv: Path, tmp_path: Path) -> None:
    served = serve(tmp_path)
    csv.unlink()
    os.mkfifo(csv)
    assert "is not a regular file" in served.wait_for_error()


def test_what_cannot_be_looked_at_keeps_what_was_seen(csv: Path, tmp_path: Path) -> None:
    served = serve(tmp_path)
    csv.unlink()
    csv.symlink_to("d.csv")  # a link to itself
    assert f"{csv} cannot be read: " in served.wait_for_error()
    csv.unlink()
    csv.write_text("a\n1\n")
    assert served.wait(QUIET) == []
    assert served.states["t0"].error is None


@pytest.mark.slow
def test_files_that_are_replaced_and_removed_while_they_are_read_fire_once_they_are_still(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in range(20):
        (folder / f"{name}.csv").write_text("a\n" + "1\n" * 200_000)
    served = serve(tmp_path, "d: {path: in, settle: 100ms}")
    ended = []

    def rewrite() -> None:
        for turn in range(30):
            (folder / f"{turn % 20}.csv").unlink()
            (folder / f"{(turn + 7) % 20}.csv").write_text(f"a\n{turn}\n" * 200_000)
        ended.append(time.monotonic())

    writer = threading.Thread(target=rewrite)
    writer.start()
    fires = []
    while not ended:
        fires += served.tick()
        time.sleep(0.02)
    writer.join()
    while len(fires) < 4 and (new := served.wait(4.0)):
        fires += new
    assert 1 <= len(fires) <= 3
    content = served.states["t0"].seen["files"]["d"]["content"]
    assert Served(served.project.path).begin().states["t0"].seen["files"]["d"]["content"] == content


@pytest.mark.slow
def test_runs_that_change_what_starts_them_are_stopped(csv: Path, tmp_path: Path) -> None:
    served = serve(tmp_path)
    csv.write_text("a\nfirst\n")
    runs = 0
    while fires := served.wait(5.0):
        served.probes.chains.begin_run(f"run {runs}", fires[0], datetime.now(UTC))
        csv.write_text(f"a\n{runs}\n")
        served.probes.chains.end_run(f"run {runs}", datetime.now(UTC))
        runs += 1
    assert runs == 6
    stopped = served.states["t0"]
    assert f"5 runs in a row were started by a file that changed only during the previous run: {csv}" in str(
        stopped.error
    )
    csv.write_text("a\nother\n")
    served = served.restart()
    assert served.wait(QUIET) == []
    assert served.states["t0"] == stopped
    resumed = served.restart()
    now = datetime.now(UTC)
    resumed.pauses = [Pause("s", None, "me", "", now, ended=now, ended_by="me")]
    assert resumed.wait(QUIET) == []
    assert resumed.states["t0"].error is None
    spec = served.project.path
    spec.write_text(spec.read_text().replace("target: d}", "target: d, on_warning: fail}"))
    served = served.restart()
    assert served.wait(QUIET) == []
    assert served.states["t0"].error is None
    csv.write_text("a\nlast\n")
    assert len(served.wait()) == 1


@pytest.mark.slow
def test_what_a_scheduled_run_writes_starts_another_each_time(csv: Path, tmp_path: Path) -> None:
    served = serve(tmp_path)
    for night in range(8):
        served.probes.chains.begin_run(f"writer {night}", None, datetime.now(UTC))
        csv.write_text(f"a\n{night}\n")
        served.probes.chains.end_run(f"writer {night}", datetime.now(UTC))
        (fire,) = served.wait()
        served.probes.chains.begin_run(f"reader {night}", fire, datetime.now(UTC))
        served.probes.chains.end_run(f"reader {night}", datetime.now(UTC))


@pytest.mark.slow
def test_ten_thousand_files_are_looked_at_in_less_than_a_second(tmp_path: Path) -> None:
    for name in range(10_000):
        folder = tmp_path / "in" / str(name % 100)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.csv").write_text("a\n1\n")
    served = serve(tmp_path, "d: {path: in/**/*.csv, settle: 300ms}")
    trigger = served.project.scenarios["s"].triggers[0]
    assert isinstance(trigger, DatasetChangedTrigger)
    files = TriggerFiles()
    files.look(served.project, trigger, served.states["t0"], {}, datetime.now(UTC))
    began = time.process_time()
    files.look(served.project, trigger, served.states["t0"], {}, datetime.now(UTC))
    assert time.process_time() - began < 1.0  # half of it is usual
    (tmp_path / "in" / "7" / "7.csv").write_text("a\n2\n")
    assert len(served.wait()) == 1
