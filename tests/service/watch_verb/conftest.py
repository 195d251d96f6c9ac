"""A folder that is watched by a process."""

import textwrap
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from .watcher import Watcher, write_rows

SPEC = """
    version: 1
    project: w
    datasets:
      d: {path: d.csv, settle: 300ms, checks: {rows: {metric: row_count, max: 0}}}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with a spec of one dataset, whose check is always ERROR and so tells the number of its rows."""
    (tmp_path / "w.yaml").write_text(textwrap.dedent(SPEC))
    write_rows(tmp_path, 3)
    return tmp_path


@pytest.fixture
def watch(project: Path) -> Iterator[Callable[..., Watcher]]:
    begun: list[Watcher] = []

    def begin(*arguments: str, before: Sequence[str] = ()) -> Watcher:
        begun.append(Watcher(project, *(arguments or ["w.yaml"]), before=before))
        return begun[-1]

    yield begin
    for one in begun:
        if one.process.poll() is None:
            one.process.kill()
            one.join()
