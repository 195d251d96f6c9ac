"""Secrets on the command line and from Python: whichever verb meets them, no output and no record has them."""

import json
import shutil
import subprocess
import textwrap
import traceback
from pathlib import Path

import pytest

import engine
from engine.errors import EngineError

from ..command_line import call_engine

VALUE = "planted-value-1234"
SPEC = """
    version: 1
    project: p
    variables: {team: "${env.TEAM:-nobody}"}
    secrets: {s: {env: SEC}}
    datasets:
      a: {path: a.csv, checks: {rows: {metric: row_count, min: 1}}}
      b: {kind: query, sql: "SELECT * FROM a WHERE ${team} <> 'x'"}
      boom: {kind: python, function: "my:boom"}
    evaluation_stores:
      s:
        dataset: a
        reference: {kind: dataset, dataset: b}
        evaluation: {name: "of ${team}", labels: {team: "${team}"}}
      broken: {dataset: boom, reference: {kind: dataset, dataset: a}}
    scenarios:
      good: {steps: [{name: build, kind: build, target: s}]}
      bad: {steps: [{name: build, kind: build, target: broken}]}
      loud:
        steps:
          - {name: talk, kind: python, function: "my:talk"}
          - {name: late, kind: python, function: "my:talk", timeout: 1m}
      dies: {steps: [{name: die, kind: python, function: "my:die", timeout: 1m}]}
      bug: {steps: [{name: build, kind: build, target: broken, timeout: 1m}]}
"""
CODE = """
    import os

    def boom():
        raise RuntimeError("cannot connect with " + os.environ["SEC"])

    def die():
        print("dying with", os.environ["SEC"], flush=True)
        os.abort()

    def talk():
        print("logged in with", os.environ["SEC"])
        print(os.environ["SEC"][:9], end="")
        print(os.environ["SEC"][9:])
        return "SUCCESS"
"""


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a project of which a scenario has run; not to be changed."""
    folder = tmp_path_factory.mktemp("prepared")
    (folder / "p.yaml").write_text(textwrap.dedent(SPEC))
    (folder / "my.py").write_text(textwrap.dedent(CODE))
    (folder / "a.csv").write_text("x\n" + "".join(f"{i * 37 % 61}.5\n" for i in range(60)))
    run_engine(folder, "run", "p.yaml", "good")
    return folder


@pytest.fixture
def folder(prepared: Path, tmp_path: Path) -> Path:
    return shutil.copytree(prepared, tmp_path, dirs_exist_ok=True)


def run_engine(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return call_engine(folder, *arguments, SEC=VALUE, TEAM=VALUE)


def assert_nothing_kept(folder: Path) -> None:
    kept = [path for path in (folder / ".engine").rglob("*") if path.is_file() and VALUE.encode() in path.read_bytes()]
    assert kept == []


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "p.yaml", "good"),
        ("run", "p.yaml", "good", "--format", "json"),
        ("run", "p.yaml", "bad", "--verbose"),
        ("run", "p.yaml", "loud"),
        ("run", "p.yaml", "bug"),
        ("plan", "p.yaml", "good"),
        ("plan", "p.yaml", "bad", "--format", "json"),
        ("check", "p.yaml", "boom"),
        ("check", "p.yaml", "a"),
        ("compare", "p.yaml", "s", "--reference", "dataset:boom"),
        ("show", "p.yaml"),
        ("show", "p.yaml", "s"),
        ("show", "p.yaml", "--format", "json"),
        ("show", "p.yaml", "--runs"),
        ("show", "p.yaml", "nothing-of-" + VALUE),
        ("render", "p.yaml"),
        ("validate", "p.yaml"),
        ("validate", "p.yaml", "--var", "team="),
        ("validate", "p.yaml", "--var", "undeclared=" + VALUE),
        ("check", "p.yaml", "s", "--replay", "--set", "rows.max=${secret.s}"),
        ("check", "p.yaml", "a", "--replay", "--set", "rows.max=" + VALUE),
        ("run", "p.yaml", "dies"),
    ],
    ids=" ".join,
)
def test_no_verb_prints_or_keeps_a_secret(folder: Path, arguments: tuple[str, ...]) -> None:
    done = run_engine(folder, *arguments)
    assert VALUE not in done.stdout + done.stderr
    assert "internal error" not in done.stderr
    if "json" in arguments:
        json.loads(done.stdout)
    assert_nothing_kept(folder)


def test_an_exception_from_python_and_its_traceback_have_no_secret(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEC", VALUE)
    project = engine.load(folder / "p.yaml")
    project.run("good")
    for call in (lambda: project.check("boom"), lambda: project.store("s").compare(reference="dataset:boom")):
        with pytest.raises(EngineError, match=r"cannot connect with \*\*\*") as caught:
            call()
        assert VALUE not in "".join(traceback.format_exception(caught.value))
