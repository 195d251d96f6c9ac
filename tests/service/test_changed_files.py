"""Which writes of programs count as a change, and when: real system calls, real events, the content decides."""

import mmap
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from watchdog.observers.inotify_c import InotifyFD

from engine.service.sources.file_set import FileSet
from engine.service.sources.watched_sources import WatchedSource
from engine.service.watch.watched_folders import POLL_SECONDS

from ..waiting import PATIENCE
from .conftest import Watching, data

Watch = Callable[..., Watching]


def replace_by_rename(path: Path, text: str) -> None:
    """Save as most programs do: another file in the folder, then a rename over the old one."""
    part = path.with_name(f".{path.name}.part")
    part.write_text(text)
    part.replace(path)


def write_in_place(path: Path, text: str) -> None:
    """Save as VS Code does: open, truncate, write, close."""
    descriptor = os.open(path, os.O_WRONLY | os.O_TRUNC)
    os.write(descriptor, text.encode())
    os.fsync(descriptor)
    os.close(descriptor)


def save_as_vim_does(path: Path, text: str) -> None:
    """The file is renamed to a backup, written anew, and the backup removed, after a try whether a file can be made."""
    trial = path.with_name("4913")
    trial.touch()
    trial.unlink()
    backup = path.with_name(f"{path.name}~")
    path.rename(backup)
    path.write_text(text)
    backup.unlink()


def save_as_gedit_does(path: Path, text: str) -> None:
    part = path.with_name(".goutputstream-A1B2C3")
    part.write_text(text)
    path.rename(path.with_name(f"{path.name}~"))
    part.rename(path)


def rewrite_through_a_map(path: Path, text: str) -> None:
    with path.open("r+b") as file:
        file.truncate(len(text.encode()))
        with mmap.mmap(file.fileno(), 0) as memory:
            memory[:] = text.encode()
            memory.flush()


def write_through_a_hard_link(path: Path, text: str) -> None:
    folder = path.parent.parent / "elsewhere"
    folder.mkdir()
    (folder / "link").hardlink_to(path)
    (folder / "link").write_text(text)


def copy_over(path: Path, text: str) -> None:
    other = path.parent.parent / "other"
    other.write_text(text)
    subprocess.run(["cp", "-p", other, path], check=True)


def move_over(path: Path, text: str) -> None:
    other = path.parent.parent / "other"
    other.write_text(text)
    subprocess.run(["mv", other, path], check=True)


def link_another(path: Path, text: str) -> None:
    other = path.parent.parent / "other"
    other.write_text(text)
    subprocess.run(["ln", "-sfn", other, path], check=True)


def edit_by_sed(path: Path, text: str) -> None:
    subprocess.run(["sed", "-i", f"s/.*/{text}/", path], check=True)


def edit_by_vim(path: Path, text: str) -> None:
    if shutil.which("vim") is None:
        pytest.skip("vim is not installed")
    commands = ["-c", f"%s/.*/{text}/", "-c", "wq"]
    subprocess.run(["vim", "-es", "-u", "NONE", *commands, path], check=True, timeout=60)


def edit_by_nano(path: Path, text: str) -> None:
    if shutil.which("nano") is None:
        pytest.skip("nano is not installed")
    pty = pytest.importorskip("pty")
    child, terminal = pty.fork()
    if child == 0:
        os.environ["TERM"] = "xterm"
        os.execvp("nano", ["nano", "--ignorercfiles", str(path)])
    time.sleep(1)
    os.write(terminal, text.encode() + b"\x13\x18")  # Ctrl-S saves, Ctrl-X leaves
    with suppress(OSError):  # the terminal ends with the program
        while os.read(terminal, 65536):
            pass
    os.waitpid(child, 0)
    os.close(terminal)


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


SAVES = [
    *(replace_by_rename, write_in_place, save_as_vim_does, save_as_gedit_does, rewrite_through_a_map, append),
    *(write_through_a_hard_link, copy_over, move_over, link_another, edit_by_sed, edit_by_vim, edit_by_nano),
]


@pytest.mark.parametrize("save", SAVES, ids=lambda save: save.__name__)
def test_every_way_to_save_a_file_is_one_change(
    save: Callable[[Path, str], None], watch: Watch, tmp_path: Path
) -> None:
    path = tmp_path / "specs" / "spec.yaml"
    path.parent.mkdir()
    path.write_text("before\n")
    watching = watch(WatchedSource("spec", path))
    save(path, "after")
    # writes through a map or another link make no event: the sweep of the loop finds them
    quiet = save in (rewrite_through_a_map, write_through_a_hard_link)
    if quiet:
        watching.look()
    assert watching.wait() == {"spec.yaml"}
    assert watching.wait(1.0) == set()


def test_a_touch_or_a_save_of_the_same_bytes_does_not_count_as_a_change(watch: Watch, tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text("same\n")
    watching = watch(WatchedSource("spec", path), data(tmp_path / "d.csv"))
    path.touch()
    assert watching.wait(1.0) == set()
    replace_by_rename(path, "same\n")
    assert watching.wait(1.0) == set()
    write_in_place(path, "other\n")
    write_in_place(path, "same\n")
    assert watching.wait(1.0) == set()
    path.chmod(0o600)
    assert watching.wait(1.0) == set()


def test_a_touched_file_of_data_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    path.write_text("a\n1\n")
    files, source = FileSet(lambda: 0.0), data(path)
    files.look([source], lambda _: False)
    for content, changed in (("a\n1\n", False), ("a\n2\n", True), ("a\n1\n", False), ("a\n12\n", True)):
        path.write_text(content)
        os.utime(path)
        files.look([source], lambda _: False)
        assert (path in files.changed) is changed, content


def test_files_that_editors_leave_beside_a_file_do_not_count_as_a_change(watch: Watch, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("A = 1\n")
    watching = watch(WatchedSource("code", tmp_path), data(tmp_path / "*", several=True))
    for name in ("4913", ".a.py.swp", "a.py~", ".#a.py", "#a.py#", "a.py.tmp", ".~lock.b.csv#", ".a.csv.Ab12Cd"):
        (tmp_path / name).write_text("x")
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "a.cpython-311.pyc").write_text("x")
    assert watching.wait(1.5) == set()


def write_by_polars(path: Path, rows: int) -> None:
    pl.DataFrame({"x": range(rows)}).write_parquet(path)


def write_by_pandas(path: Path, rows: int) -> None:
    pd.DataFrame({"x": range(rows)}).to_parquet(path)


def write_by_pyarrow(path: Path, rows: int) -> None:
    pq.write_table(pa.table({"x": list(range(rows))}), path)


def sink_by_polars(path: Path, rows: int) -> None:
    pl.LazyFrame({"x": range(rows)}).sink_parquet(path)


@pytest.mark.parametrize("write", [write_by_polars, write_by_pandas, write_by_pyarrow, sink_by_polars])
def test_a_parquet_file_counts_when_its_end_is_there(
    write: Callable[[Path, int], None], watch: Watch, tmp_path: Path
) -> None:
    path = tmp_path / "d.parquet"
    write(path, 3)
    watching = watch(WatchedSource("data", path, "dataset d"))
    write(path, 2_000_000)
    assert watching.wait() == {"d.parquet"}
    assert len(pl.read_parquet(path)) == 2_000_000
    assert watching.wait(1.0) == set()


def test_half_a_parquet_file_is_waited_for(watch: Watch, tmp_path: Path) -> None:
    whole, path = tmp_path / "whole", tmp_path / "d.parquet"
    write_by_polars(whole, 1000)
    write_by_polars(path, 10)
    watching = watch(WatchedSource("data", path, "dataset d"))
    content = whole.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    assert watching.wait(2.0) == set()
    assert watching.files.describe_wait(1.0) == f"{path} is not complete: waiting for its end"
    with path.open("ab") as file:
        file.write(content[len(content) // 2 :])
    assert watching.wait() == {"d.parquet"}


def test_a_csv_file_that_grows_counts_when_it_has_stayed_as_it_is(watch: Watch, tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    path.write_text("x\n")
    watching = watch(data(path, settle=1.0))
    for row in range(8):
        append(path, f"{row}\n")
        assert watching.wait(0.25) == set()
    assert watching.wait() == {"d.csv"}


def test_a_csv_file_without_settle_is_waited_for_half_a_minute(watch: Watch, tmp_path: Path) -> None:
    path = tmp_path / "d.csv"
    path.write_text("x\n")
    watching = watch(WatchedSource("data", path, "dataset d"))
    append(path, "1\n")
    assert watching.wait(1.0) == set()
    assert 25 < watching.files.wait_seconds() <= 30
    assert "stays as it is for 30 s" in watching.files.describe_wait(3.0)


def test_a_marker_says_that_all_other_files_are_complete(watch: Watch, tmp_path: Path) -> None:
    folder = tmp_path / "events"
    folder.mkdir()
    (folder / "a.csv").write_text("x\n1\n")
    marker = folder / "_SUCCESS"
    marker.touch()
    watching = watch(data(folder / "*.csv", several=True, marker="_SUCCESS"))
    (folder / "b.csv").write_text("x\n2\n")
    assert watching.wait(1.0) == set()  # the marker is that of the last time
    assert "_SUCCESS is written again" in watching.files.describe_wait(3.0)
    (folder / "c.csv").write_text("x\n3\n")
    marker.unlink()
    assert watching.wait(1.0) == set()
    marker.touch()
    assert {"b.csv", "c.csv"} <= watching.wait()


@pytest.mark.slow
def test_a_folder_that_is_removed_and_made_again_is_watched_on(watch: Watch, tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "data"
    folder.mkdir(parents=True)
    (folder / "a.csv").write_text("x\n1\n")
    watching = watch(data(folder, several=True))
    shutil.rmtree(folder.parent)
    assert watching.wait() == {"a.csv"}
    folder.mkdir(parents=True)
    (folder / "a.csv").write_text("x\n2\n")
    assert watching.wait() == {"a.csv"}
    folder.rename(tmp_path / "away")
    assert watching.wait() == {"a.csv"}
    folder.mkdir()
    time.sleep(1)
    (folder / "b.csv").write_text("x\n3\n")
    assert watching.wait() == {"b.csv"}
    (folder / "b.csv").write_text("x\n4\n")
    assert watching.wait() == {"b.csv"}


def test_links_that_are_turned_to_another_folder_are_a_change(watch: Watch, tmp_path: Path) -> None:
    """Kubernetes changes a mounted ConfigMap so: spec.yaml -> ..data/spec.yaml, and ..data -> ..2026_01."""
    mounted = tmp_path / "config"
    for version in ("..2026_01", "..2026_02"):
        (mounted / version).mkdir(parents=True)
        (mounted / version / "spec.yaml").write_text(version)
    (mounted / "..data").symlink_to("..2026_01")
    (mounted / "spec.yaml").symlink_to("..data/spec.yaml")
    watching = watch(WatchedSource("spec", mounted / "spec.yaml"))
    (mounted / "..data_tmp").symlink_to("..2026_02")
    (mounted / "..data_tmp").rename(mounted / "..data")
    shutil.rmtree(mounted / "..2026_01")
    assert watching.wait() == {"spec.yaml"}
    (mounted / "..2026_02" / "spec.yaml").write_text("again")
    assert watching.wait() == {"spec.yaml"}


def test_a_new_file_of_a_pattern_and_one_that_is_gone_are_changes(watch: Watch, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    watching = watch(data(tmp_path / "d" / "**" / "*.csv", several=True))
    (tmp_path / "d" / "day=1" / "part").mkdir(parents=True)
    (tmp_path / "d" / "day=1" / "part" / "a.csv").write_text("x\n1\n")
    assert watching.wait() == {"a.csv"}
    (tmp_path / "d" / "day=1" / "part" / "a.csv").unlink()
    assert watching.wait() == {"a.csv"}


def test_events_go_on_after_two_folders_that_had_one_path_are_removed(watch: Watch, tmp_path: Path) -> None:
    """The library's thread ends with an error at the last removal: all later changes waited for the sweep."""
    folder, outside = tmp_path / "d" / "day=1", tmp_path / "outside"
    folder.mkdir(parents=True)
    watching = watch(data(tmp_path / "d" / "**" / "*.csv", several=True))
    folder.rename(outside)
    assert watching.wait(1) == set()  # a folder that only moves has its events after half a second
    folder.mkdir()
    for removed in (folder, outside):
        assert watching.wait(0.5) == set()
        removed.rmdir()
    assert watching.wait(0.5) == set()
    (tmp_path / "d" / "a.csv").write_text("x\n1\n")
    assert watching.wait() == {"a.csv"}


def test_files_are_polled_once_the_observer_has_ended(watch: Watch, tmp_path: Path) -> None:
    watching = watch(data(tmp_path / "*.csv", several=True))
    thread = [one for one in threading.enumerate() if isinstance(one, InotifyFD)][-1]  # the newest
    thread.stop()
    thread.join()
    assert watching.wait(0.1) == set()
    assert watching.said == [
        "the system's reports of changes are no longer read (a thread has ended): its files are checked every 5 s"
    ]
    assert watching.folders.seconds_between_looks == POLL_SECONDS


def test_many_new_folders_are_watched_without_a_warning(tmp_path: Path) -> None:
    """The library warns about a subfolder that it finds twice, in a text of all its folders."""
    code = f"""
from pathlib import Path
from engine.service.watch.watched_folders import WatchedFolders
folder = Path({str(tmp_path)!r})
with WatchedFolders(print) as folders:
    folders.observe({{folder: True}})
    for number in range(300):
        (folder / str(number) / "a" / "b" / "c" / "d" / "e" / "f").mkdir(parents=True)
    while folders.wait(1):
        pass
    (folder / "299" / "a" / "b" / "c" / "d" / "e" / "f" / "a.csv").touch()
    print(folders.wait({PATIENCE}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("True\n", "")


@pytest.mark.slow
def test_a_checkout_of_500_files_is_one_change_and_one_back_at_once_none(watch: Watch, tmp_path: Path) -> None:
    def git(*arguments: str) -> None:
        names = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=one"]
        subprocess.run(["git", *names, "-C", tmp_path, *arguments], check=True, capture_output=True)

    for number in range(500):
        (tmp_path / f"{number:03}.csv").write_text(f"x\n{number}\n")
    git("init")
    git("add", ".")
    git("commit", "-m", "one")
    git("checkout", "-b", "two")
    for number in range(500):
        (tmp_path / f"{number:03}.csv").write_text(f"x\n-{number}\n")
    git("commit", "-am", "two")
    watching = watch(data(tmp_path / "*.csv", several=True, settle=1.0))
    git("checkout", "one")
    git("checkout", "two")
    assert watching.wait(3.0) == set()
    git("checkout", "one")
    assert len(watching.wait()) == 500
    assert watching.wait(1.5) == set()


def test_a_file_that_changes_all_the_time_counts_in_the_end(tmp_path: Path) -> None:
    from engine.service.sources.file_set import FileSet

    now = 0.0
    path = tmp_path / "spec.yaml"
    path.write_text("0")
    source = WatchedSource("spec", path)
    files = FileSet(lambda: now)
    files.look([source], lambda _: False)
    for step in range(1, 100):
        now = step * 0.1
        path.write_text(f"{step}" * step)
        files.look([source], lambda _: False)
        if files.wait_seconds() <= 0:
            break
    assert now == pytest.approx(5.1)
    assert [one.path for one in files.take()] == [path]


def test_a_folder_on_a_network_is_looked_at_and_that_is_said(tmp_path: Path) -> None:
    from engine.service.watch.network_folders import find_network_type, read_mounts

    table = tmp_path / "mountinfo"
    table.write_text(
        "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
        "40 22 0:35 / /mnt/my\\040share rw shared:9 - nfs4 server:/export rw,vers=4.2\n"
        "41 22 0:36 / /mnt/my\\040share/local rw - xfs /dev/sdb rw\n"
        "42 22 0:37 / /home/me/far rw - fuse.sshfs me@far: rw\n"
    )
    mounts = read_mounts(table)
    assert find_network_type(Path("/mnt/my share/data"), mounts) == "nfs4"
    assert find_network_type(Path("/home/me/far"), mounts) == "fuse.sshfs"
    assert find_network_type(Path("/mnt/my share/local/x"), mounts) is None
    assert find_network_type(Path("/home/me"), mounts) is None
    assert read_mounts(tmp_path / "none") == {}


def test_files_are_polled_if_no_more_watches_are_allowed(tmp_path: Path) -> None:
    """The limit of open files lets the observer fail as an exhausted limit of inotify does."""
    code = f"""
import resource, sys, time
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from engine.service.watch.watched_folders import WatchedFolders
import engine.service.watch.network_folders
resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
said = []
with WatchedFolders(said.append) as folders:
    folders.observe({{Path({str(tmp_path)!r}): False}})
    folders.wait(0.1)
    folders.wait(0.1)
    print(len(said), folders.seconds_between_looks, said[0])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("1 5.0 ")
    assert "its files are checked every 5 s" in done.stdout
