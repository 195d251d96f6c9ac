"""Files and folders that may not be read for a while: `engine watch` says so, goes on, and runs when they are back."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ...permissions import close_path, find_powerless
from .watcher import Watcher, rows_of, write_rows


@pytest.mark.parametrize("pattern", ["in/d.csv", "in", "in/*/*.csv"])
def test_a_folder_that_is_closed_for_a_while(watch: Callable[..., Watcher], project: Path, pattern: str) -> None:
    text = (project / "w.yaml").read_text()
    (project / "w.yaml").write_text(text.replace("path: d.csv", f'path: "{pattern}"'))
    place = project / "in" / ("x" if "*" in pattern else "")
    place.mkdir(parents=True)
    write_rows(place, 3)
    watcher = watch(before=find_powerless())
    assert rows_of(watcher.next_result()) == "3"
    watcher.wait_until_said("watching 2 files")
    with close_path(project / "in"):
        watcher.wait_until_said("cannot be opened: Permission denied")
    write_rows(place, 4)
    assert rows_of(watcher.next_result()) == "4"
    assert "internal error" not in watcher.said
    assert watcher.end() == 130


def test_a_project_whose_folder_is_closed_for_a_while(watch: Callable[..., Watcher], project: Path) -> None:
    watcher = watch(str(project / "w.yaml"), before=find_powerless())
    assert rows_of(watcher.next_result()) == "3"
    watcher.wait_until_said("watching 2 files")
    with close_path(project):
        watcher.wait_until_said("this file cannot be read: permission denied")
        watcher.wait_until_said("is invalid: it is run when it is valid again")
    watcher.wait_until_said("w.yaml is valid again")
    write_rows(project, 4)
    assert rows_of(watcher.next_result()) == "4"
    assert watcher.end() == 130
