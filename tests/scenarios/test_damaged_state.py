"""What happens when files of the state are damaged: computed again and told, or an error with a remedy that helps."""

import shutil
import sqlite3
import textwrap
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import polars as pl
import pytest

import engine
from engine.api import Project
from engine.outcome import Outcome
from engine.scenarios.session import plan_scenarios

from ..command_line import call_engine

SPEC = """
    version: 1
    project: p
    datasets: {now: {path: now.csv}, before: {path: before.csv}}
    evaluation_stores:
      s: {dataset: now, reference: {kind: dataset, dataset: before}, evaluation: {name: last}}
      r: {dataset: now, reference: {kind: rolling, last: 1}, evaluation: {name: last}}
    scenarios:
      one: {steps: [{name: b, kind: build, target: s}]}
      rolling: {steps: [{name: b, kind: build, target: r}]}
"""


def change_byte(content: bytes) -> bytes:
    return content[:-30] + (b"8" if content[-30:-29] == b"7" else b"7") + content[-29:]


WAYS: dict[str, Callable[[Path], object]] = {
    "emptied": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:40]),
    "one byte other": lambda path: path.write_bytes(change_byte(path.read_bytes())),
    "gone": lambda path: path.unlink(),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
}
FILES = ("columns.profile", "sample.parquet", "snapshot.json")


def write_rows(folder: Path, name: str, first: int) -> None:
    pl.DataFrame({"x": [float(value * 37 % 61) for value in range(first, first + 80)]}).write_csv(folder / name)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built")
    (folder / "p.yaml").write_text(textwrap.dedent(SPEC))
    write_rows(folder, "before.csv", 0)
    write_rows(folder, "now.csv", 5)
    for scenario in ("one", "rolling"):
        assert load(folder).run(scenario).outcome is Outcome.SUCCESS
    write_rows(folder, "now.csv", 9)
    return folder


@pytest.fixture
def project(built: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built, tmp_path / "project"))


def load(folder: Path) -> Project:
    return engine.load(folder / "p.yaml")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("file", FILES)
def test_damaged_statistics_of_a_reference_are_computed_again_and_reported(file: str, way: str, project: Path) -> None:
    undamaged = load(Path(shutil.copytree(project, project.parent / "twin")))
    for path in sorted((project / ".engine/p/snapshots").glob(f"*/{file}")):
        WAYS[way](path)
    (step,) = plan_scenarios(load(project).spec, ["one"]).all_steps()
    assert any(action.kind == "profile" and "damaged" in action.reason for action in step.actions)
    run = load(project).run("one")
    assert run.outcome is Outcome.SUCCESS
    told = load(project).log(run.id).filter(pl.col("level") == "warning")["text"].to_list()
    assert [text for text in told if "statistics of the reference before are damaged" in text]
    assert undamaged.run("one").outcome is Outcome.SUCCESS
    assert load(project).store("s").metrics().equals(undamaged.store("s").metrics())


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("file", FILES)
def test_a_damaged_earlier_evaluation_is_an_error_whose_remedy_helps(file: str, way: str, project: Path) -> None:
    id_ = load(project).store("r").evaluation().id
    WAYS[way](project / ".engine/p/evaluations" / id_ / file)
    (step,) = load(project).run("rolling").steps
    assert step.outcome is Outcome.FAILED
    assert "internal error" not in step.reason
    assert f"`engine remove {project / 'p.yaml'} r last`" in step.reason
    load(project).store("r").remove("last")
    assert load(project).run("rolling").outcome is Outcome.SUCCESS


def test_a_database_that_was_emptied_is_reported_and_the_run_goes_on(project: Path) -> None:
    (project / ".engine/p/state.db").write_bytes(b"")
    for rest in ("state.db-wal", "state.db-shm"):
        (project / ".engine/p" / rest).unlink(missing_ok=True)
    lines: list[str] = []
    listening = Project(load(project).spec, {}, (lambda line: lines.append(line.text),))
    assert listening.run("one").outcome is Outcome.SUCCESS
    assert [text for text in lines if "the history of evaluations, checks and runs is lost" in text]


@pytest.mark.parametrize(
    "command", ["plan one", "show", "show s", "report s", "compare s", "remove s --all", "outbox retry"]
)
def test_a_database_that_was_emptied_is_reported_once_by_every_command(command: str, project: Path) -> None:
    for rest in (project / ".engine/p").glob("state.db-*"):
        rest.unlink()
    (project / ".engine/p/state.db").write_bytes(b"")
    verb, *others = command.split()
    action = [others.pop()] if verb == "outbox" else []
    said = call_engine(project, verb, *action, "p.yaml", *others)
    assert said.stderr.count("the history of evaluations, checks and runs is lost") == 1


def make_dangling_link(path: Path) -> None:
    path.symlink_to("nowhere/state.db")


@pytest.mark.parametrize(
    ("replace", "cause"),
    [
        (Path.mkdir, "a folder is where a file"),
        (make_dangling_link, "state.db is a link to a file that does not exist"),
    ],
)
@pytest.mark.parametrize("command", [("plan", "one"), ("show",), ("run", "one")])
def test_what_stands_in_place_of_the_database_is_reported(
    command: tuple[str, ...], replace: Callable[[Path], None], cause: str, project: Path
) -> None:
    for part in (project / ".engine/p").glob("state.db*"):
        part.unlink()
    replace(project / ".engine/p/state.db")
    said = call_engine(project, command[0], "p.yaml", *command[1:])
    assert said.returncode == 3
    assert f"state folder {project / '.engine/p'}: {cause}" in said.stderr


@pytest.mark.parametrize("damage", ["UPDATE alembic_version SET version_num = '9999'", "DROP TABLE alembic_version"])
def test_a_plan_names_the_folder_of_the_state_and_not_that_of_its_copy(damage: str, project: Path) -> None:
    with closing(sqlite3.connect(project / ".engine/p/state.db")) as rows, rows:
        rows.execute(damage)
    said = call_engine(project, "plan", "p.yaml", "one")
    assert said.returncode == 3
    assert f"state folder {project / '.engine/p'}: " in said.stderr


def test_damaged_lines_of_a_log_are_left_out_and_reported(project: Path) -> None:
    run = load(project).run("one")
    path = project / ".engine/p/runs" / run.id / "log.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:-1], b'{"at": "2026\xff\n']))
    texts = load(project).log(run.id)["text"].to_list()
    assert len(texts) == len(lines)
    assert any("1 damaged entries are left out" in text for text in texts)
