"""Kept verdicts of `engine validate`: the same as fresh ones, whatever changes between two calls, and private."""

import contextlib
import importlib
import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import user_cache
from engine.cli import kept_verdicts
from engine.cli.kept_verdicts import Question, Verdict, find_kept_verdict, keep_verdict
from engine.cli.verdicts import judge_spec
from engine.spec.variables.moment import parse_moment

SPEC = """\
version: 1
project: kept
timezone: Europe/Berlin
include: [more.yaml]
secrets:
  hook: {env: KEPT_HOOK, optional: true}
variables:
  start: 2026-01-01
  rows: 3
  place: "${env.KEPT_PLACE:-here}"
datasets:
  orders: {kind: file, path: "${place}/orders.csv"}
  young: {kind: query, sql: "SELECT a FROM orders WHERE day >= ${start} LIMIT ${rows}"}
channels:
  team: {kind: webhook, url: "${secret.hook}", fallback: {kind: file, path: outbox}}
scenarios:
  daily:
    triggers: [{name: night, kind: cron, cron: "30 2 * * *"}]
    steps: [{name: make, kind: build, target: young}]
    reporters: [{name: told, channel: team, message_file: text.md}]
"""
MORE = "datasets:\n  other: {kind: file, path: other.csv}\n"
TEXT = "Run of ${scenarioName}: ${outcome}\n"


@dataclass
class Project:
    """A project on the disk, and what it is asked with."""

    folder: Path
    variables: tuple[str, ...] = ()
    as_of: str | None = None
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, text in (("spec.yaml", SPEC), ("more.yaml", MORE), ("text.md", TEXT)):
            (self.folder / name).write_text(text)

    @property
    def question(self) -> Question:
        given = {name: value for name, _, value in (text.partition("=") for text in self.variables)}
        return Question(self.folder / "spec.yaml", given, parse_moment(self.as_of) if self.as_of else None)

    def judge(self) -> Verdict:
        """Return the verdict that the engine gives without a cache."""
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            return judge_spec(self.question)

    def ask(self) -> Verdict:
        """Return the verdict that the command gives."""
        return find_kept_verdict(self.question) or keep_verdict(self.question, self.judge)


def _replace(name: str, old: str, new: str) -> Callable[[Project], object]:
    def change(project: Project) -> None:
        path = project.folder / name
        if path.is_file():
            path.write_text(path.read_text().replace(old, new))

    return change


def _write(name: str, text: str | None) -> Callable[[Project], object]:
    def change(project: Project) -> None:
        path = project.folder / name
        path.unlink() if text is None else path.write_text(text)

    return lambda project: change(project) if text is not None or (project.folder / name).exists() else None


def _set(key: str, value: object) -> Callable[[Project], object]:
    return lambda project: setattr(project, key, value)


def _give(name: str, value: str | None) -> Callable[[Project], object]:
    return lambda project: (
        project.environment.pop(name, None) if value is None else project.environment.update({name: value})
    )


EDITS: tuple[Callable[[Project], object], ...] = (
    _replace("spec.yaml", "LIMIT", "LIMITED"),
    _replace("spec.yaml", "LIMITED", "LIMIT"),
    _replace("spec.yaml", "Berlin", "Nowhere"),
    _replace("spec.yaml", "Europe/Nowhere", "UTC"),
    _replace("spec.yaml", "start: 2026-01-01", 'start: "${as_of - 3d}"'),
    _replace("spec.yaml", "start: 2026-01-01", 'start: "${as_of_time}"'),
    _replace("spec.yaml", "rows: 3", "rows: three"),
    _replace("spec.yaml", "optional: true", "optional: false"),
    _replace("spec.yaml", "orders.csv", "orders.cvs"),
    _write("spec.yaml", SPEC),
    _write("more.yaml", None),
    _write("more.yaml", MORE),
    _write("more.yaml", MORE.replace("other", "orders")),
    _write("text.md", None),
    _write("text.md", TEXT),
    _write("text.md", "Run of ${scenaro}"),
    _set("variables", ()),
    _set("variables", ("rows=12",)),
    _set("variables", ("rows=many",)),
    _set("variables", ("nothing=1",)),
    _set("as_of", None),
    _set("as_of", "2026-03-29"),
    _set("as_of", "2026-03-29T02:30"),
    _give("KEPT_PLACE", None),
    _give("KEPT_PLACE", ""),
    _give("KEPT_PLACE", "there"),
    _give("KEPT_PLACE", "7"),
    _give("KEPT_HOOK", None),
    _give("KEPT_HOOK", "https://hooks.example/abcdefghij"),
    _give("KEPT_HOOK", "htp:/hooks.example/abcdefghij"),
)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    # as if this process had been started after the last change of a module, such as those that tests write
    monkeypatch.setattr(kept_verdicts, "STARTED_NS", time.time_ns() + 3_000_000_000)
    user_cache.find_user_cache.cache_clear()
    yield tmp_path / "cache" / "engine" / "verdicts"
    user_cache.find_user_cache.cache_clear()


@pytest.fixture
def project(cache: Path, tmp_path: Path) -> Project:
    (tmp_path / "project").mkdir()
    return Project(tmp_path / "project")


@settings(max_examples=40)
@given(edits=st.lists(st.sampled_from(range(len(EDITS))), min_size=1, max_size=8))
def test_a_kept_verdict_is_the_fresh_one_whatever_was_edited(
    edits: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("edited")
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        patch.setattr(kept_verdicts, "STARTED_NS", time.time_ns() + 3_000_000_000)
        user_cache.find_user_cache.cache_clear()
        try:
            project = Project(folder)
            for edit in (None, *edits):
                if edit is not None:
                    EDITS[edit](project)
                for name in ("KEPT_PLACE", "KEPT_HOOK"):
                    patch.delenv(name, raising=False)
                for name, value in project.environment.items():
                    patch.setenv(name, value)
                fresh = project.judge()
                assert (project.ask(), project.ask()) == (fresh, fresh)
        finally:
            user_cache.find_user_cache.cache_clear()


def test_verdicts_are_kept_and_used(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KEPT_PLACE", raising=False)
    monkeypatch.delenv("KEPT_HOOK", raising=False)
    for edit in (
        _write("spec.yaml", SPEC),
        _replace("spec.yaml", "orders WHERE", "ordrs WHERE"),
        _set("as_of", "2026-03-29"),
    ):
        edit(project)
        assert find_kept_verdict(project.question) is None
        told = project.ask()
        assert find_kept_verdict(project.question) == told
    assert told.wrong


@pytest.mark.parametrize(
    "change",
    [
        _replace("spec.yaml", "kept", "keep"),
        _replace("more.yaml", "other.csv", "another.csv"),
        _write("more.yaml", None),
        _write("text.md", "Hello"),
        _set("variables", ("rows=4",)),
        _set("as_of", "2026-11-28"),
    ],
)
def test_whatever_it_was_made_of_ends_a_kept_verdict(change: Callable[[Project], object], project: Project) -> None:
    project.ask()
    assert find_kept_verdict(project.question) is not None
    change(project)
    assert find_kept_verdict(project.question) is None


@pytest.mark.parametrize("value", ["", "elsewhere"])
def test_a_variable_of_the_environment_ends_a_kept_verdict(
    value: str, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KEPT_PLACE", raising=False)
    project.ask()
    monkeypatch.setenv("KEPT_PLACE", value)
    assert find_kept_verdict(project.question) is None


def test_a_link_in_place_of_the_spec_ends_a_kept_verdict(project: Project) -> None:
    project.ask()
    path = project.folder / "spec.yaml"
    path.rename(project.folder / "real.yaml")
    path.symlink_to("real.yaml")
    assert find_kept_verdict(project.question) is None
    project.ask()
    assert find_kept_verdict(project.question) is None  # such a link may be that of a deployment


def test_the_day_ends_a_verdict_that_was_made_on_another(project: Project, cache: Path) -> None:
    project.ask()
    (kept,) = cache.iterdir()
    facts = {kind: what for kind, what, _ in json.loads(kept.read_bytes().partition(b"\n")[2])["facts"]}
    assert facts["day"] == "Europe/Berlin"
    assert set(facts) == {"file", "link", "variable", "day"}


def test_a_module_that_is_edited_and_a_package_that_is_installed_end_kept_verdicts(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages = tmp_path / "packages"
    packages.mkdir()
    (packages / "its_rules.py").write_text("A = 1\n")
    monkeypatch.syspath_prepend(packages)
    importlib.import_module("its_rules")
    with monkeypatch.context() as patch:
        patch.setattr(kept_verdicts, "STARTED_NS", time.time_ns())
        project.ask()
    assert find_kept_verdict(project.question) is None  # the file may have changed since it was imported
    project.ask()
    assert find_kept_verdict(project.question) is not None
    (packages / "its_rules.py").write_text("A = 22\n")
    assert find_kept_verdict(project.question) is None
    project.ask()
    assert find_kept_verdict(project.question) is not None
    (packages / "new-1.0.dist-info").mkdir()
    assert find_kept_verdict(project.question) is None
    del sys.modules["its_rules"]


def test_a_damaged_verdict_is_not_trusted(project: Project, cache: Path) -> None:
    told = project.ask()
    (kept,) = cache.iterdir()
    whole = kept.read_bytes()
    for at in range(0, len(whole), 97):
        kept.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert find_kept_verdict(project.question) is None
    for text in (b"", whole[:-1], b"{}", b"\xff\n\xff"):
        kept.write_bytes(text)
        assert project.ask() == told


def test_no_secret_and_no_value_of_others_is_kept(
    project: Project, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEPT_HOOK", "https://hooks.example/abcdefghij")
    project.ask()
    assert not any(cache.glob("*"))  # not even a digest of what a secret has told
    monkeypatch.delenv("KEPT_HOOK")
    project.variables = ("rows=hunter-22",)
    assert "hunter-22" in project.ask().found[0].message
    assert not any(cache.glob("*"))
    project.variables = ("rows=224466",)
    project.ask()
    (kept,) = cache.iterdir()
    assert b"224466" not in kept.read_bytes()
    assert find_kept_verdict(project.question) is not None


def test_what_is_kept_is_private_and_bounded(project: Project, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_verdicts, "MOST_VERDICTS", 4)
    for day in range(1, 12):
        project.as_of = f"2026-01-{day:02}"
        project.ask()
    assert 2 <= len([*cache.iterdir()]) <= 4
    assert cache.stat().st_mode & 0o777 == 0o700
    assert find_kept_verdict(project.question) is not None
    cache.chmod(0o755)  # somebody else may have written there meanwhile
    assert find_kept_verdict(project.question) is None
    project.as_of = "2026-02-01"
    project.ask()
    assert len([*cache.iterdir()]) <= 4


def test_a_spec_that_cannot_be_read_and_a_node_are_not_kept(project: Project, cache: Path) -> None:
    (project.folder / "more.yaml").unlink()
    assert project.ask().wrong
    path = project.folder / "spec.yaml"
    path.write_text("node: here\nfolder: .\nlisten: 127.0.0.1:7311\n")
    project.ask()
    path.unlink()
    assert project.ask().wrong
    path.mkdir()
    assert project.ask().wrong
    assert not any(cache.glob("*"))


PROGRAM = """
import sys
from engine.cli.main import main
try:
    main()
finally:
    print("loaded:", *sorted({"typer", "pydantic", "yaml", "sqlglot"} & sys.modules.keys()), file=sys.stderr)
"""


@pytest.mark.slow
@pytest.mark.parametrize("sql", ["LIMIT", "LIMITS"])
def test_a_process_that_asks_again_prints_the_same_and_loads_no_language(sql: str, tmp_path: Path) -> None:
    project = Project(tmp_path)
    _replace("spec.yaml", "LIMIT", sql)(project)
    environ = {key: text for key, text in os.environ.items() if not key.startswith("KEPT_")}

    def run(*arguments: str, cache: str = "cache") -> tuple[int, str, list[str]]:
        done = subprocess.run(
            [sys.executable, "-P", "-c", PROGRAM, "validate", "spec.yaml", *arguments],
            cwd=tmp_path,
            env=environ | {"XDG_CACHE_HOME": str(tmp_path / cache)},
            capture_output=True,
            text=True,
            check=False,
        )
        loaded = done.stderr.rpartition("loaded:")[2]
        return done.returncode, done.stdout, loaded.split()

    code, _, loaded = run()
    assert code == (0 if sql == "LIMIT" else 2)
    assert {"pydantic", "yaml"} <= {*loaded}
    for form in ("text", "json", "github"):
        fresh = run("--format", form, cache=f"new_{form}")
        assert fresh[2] != []
        assert run("--format", form) == (*fresh[:2], [])
    assert run("--format", "nothing")[2] != []  # a mistake is left to the verb
    assert run("--format", "json", "--format", "json")[0] == 2
