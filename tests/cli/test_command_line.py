"""The command line as a process: what it prints where, and how it exits."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from functools import partial
from pathlib import Path

import pytest

from ..command_line import ENGINE, Engine, call_engine

QUICK = """
    version: 1
    project: quick
    variables: {ends: SUCCESS}
    scenarios:
      one: {steps: [{name: say, kind: python, function: "mine:answer", arguments: {outcome: "${ends}"}}]}
      two: {steps: [{name: say, kind: python, function: "mine:answer", arguments: {outcome: WARNING}}]}
"""
CHECKED = """
    version: 1
    project: checked
    variables: {least: 1, soft: 1}
    datasets:
      people:
        path: people.csv
        checks:
          enough: {metric: row_count, soft_min: "${soft}", min: "${least}"}
"""


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return partial(call_engine, tmp_path, NO_COLOR="1")


@pytest.fixture(autouse=True)
def _files(tmp_path: Path) -> None:
    (tmp_path / "quick.yaml").write_text(textwrap.dedent(QUICK))
    (tmp_path / "checked.yaml").write_text(textwrap.dedent(CHECKED))
    (tmp_path / "people.csv").write_text("name,age\nann,30\nbob,40\n")
    (tmp_path / "mine.py").write_text(
        "import time\n"
        "def answer(outcome):\n"
        "    return outcome, 'as told'\n"
        "def sleep(seconds):\n"
        "    print('asleep', flush=True)\n"
        "    time.sleep(seconds)\n"
    )


def test_help_lists_the_verbs_and_version_prints_one(engine: Engine) -> None:
    told = engine("--help")
    assert told.returncode == 0
    for verb in ("validate", "render", "schema", "run"):
        assert verb in told.stdout
    assert "..." not in told.stdout.partition("Commands:")[2]  # whole sentences
    shown = engine("show", "--help").stdout
    assert not any(word in shown for word in ("list[", "<str>", "<path>"))  # types of Python
    assert engine("--version").stdout.startswith("engine 0.")


@pytest.mark.parametrize(
    "arguments",
    [
        ("fly",),
        ("run",),
        ("run", "quick.yaml", "--var", "ends"),
        ("run", "quick.yaml", "--fail-on", "sometimes"),
        ("run", "quick.yaml"),
        ("run", "quick.yaml", "three"),
        ("run", "quick.yaml", "--var", "end=FAILED", "one"),
        ("run", "missing.yaml"),
        ("validate", "missing.yaml"),
    ],
)
def test_a_wrong_command_line_is_exit_2_and_nothing_runs(
    arguments: tuple[str, ...], engine: Engine, tmp_path: Path
) -> None:
    told = engine(*arguments)
    assert told.returncode == 2, told.stdout
    assert "error: " in told.stderr + told.stdout  # `validate` answers on standard output
    assert "Traceback" not in told.stderr
    assert not (tmp_path / ".engine").exists()


def test_what_to_run_must_be_said_and_a_near_miss_gets_its_name(engine: Engine) -> None:
    assert "give a scenario: one, two; or set `run:` in the spec" in engine("run", "quick.yaml").stderr
    assert "did you mean 'one'?" in engine("run", "quick.yaml", "onee").stderr


def test_validate_many_files_shows_every_problem(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("version: 1\nproject: bad\nscenaros: {}\ndatasets: {a: {pth: x.csv}}\n")
    told = engine("validate", "quick.yaml", "bad.yaml")
    assert told.returncode == 2
    assert "bad.yaml:3:1: error:" in told.stdout
    assert 'did you mean "scenarios"?' in told.stdout
    assert "bad.yaml:4:" in told.stdout
    found = json.loads(engine("validate", "bad.yaml", "--format", "json").stdout)
    assert {(problem["line"], problem["severity"]) for problem in found} >= {(3, "error"), (4, "error")}
    annotated = engine("validate", "bad.yaml", "--format", "github").stdout
    assert annotated.startswith("::error file=bad.yaml,line=3,col=1,")
    fine = engine("validate", "quick.yaml", "checked.yaml")
    assert (fine.returncode, fine.stdout) == (0, "quick.yaml, checked.yaml: valid\n")


def test_validate_loads_nothing_heavy_and_imports_no_user_code(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("raise SystemExit('imported')\n")
    told = engine("validate", "quick.yaml", PYTHONPROFILEIMPORTTIME="1")
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in told.stderr.splitlines()}
    assert told.returncode == 0
    assert "engine" in loaded
    assert not loaded & {"polars", "numba", "sklearn", "scipy", "sqlalchemy", "numpy", "apprise", "alembic"}


def test_render_masks_secrets_and_fills_variables(engine: Engine, tmp_path: Path) -> None:
    spec = tmp_path / "secret.yaml"
    spec.write_text(
        "version: 1\nproject: p\nvariables: {who: ann}\nsecrets: {url: {env: PLANTED}}\n"
        'channels: {mail: {kind: mail, url: "${secret.url}", from: "${who}@example.com"}}\n'
    )
    told = engine("render", "secret.yaml", PLANTED="smtp://u:hunter22@localhost")
    assert told.returncode == 0, told.stderr
    assert "ann@example.com" in told.stdout
    assert "hunter22" not in told.stdout


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("quick.yaml", "one"), 0),
        (("quick.yaml", "one", "two"), 0),
        (("quick.yaml", "one", "--var", "ends=FAILED"), 3),
        (("checked.yaml",), 0),
        (("checked.yaml", "--var", "soft=9"), 0),
        (("checked.yaml", "--var", "soft=9", "--fail-on", "warning"), 1),
        (("checked.yaml", "--var", "least=9", "--var", "soft=9"), 1),
        (("checked.yaml", "--var", "least=9", "--var", "soft=9", "--fail-on", "never"), 0),
    ],
)
def test_the_exit_code_tells_how_runs_ended(arguments: tuple[str, ...], code: int, engine: Engine) -> None:
    told = engine("run", *arguments)
    assert told.returncode == code, told.stdout + told.stderr


def test_the_answer_is_on_stdout_and_json_is_all_of_it(engine: Engine, tmp_path: Path) -> None:
    told = engine("run", "checked.yaml", "--format", "json", "--var", "soft=9")
    answer = json.loads(told.stdout)
    (run,) = answer["runs"]
    (check,) = run["steps"][0]["checks"]
    assert (check["outcome"], check["reason"]) == ("WARNING", "2 is below soft_min 9")
    assert check["position"]["line"] == 9
    kept = json.loads((tmp_path / ".engine" / "checked" / "runs" / run["id"] / "run.json").read_text())
    assert kept == run
    annotated = engine("run", "checked.yaml", "--format", "github", "--var", "soft=9").stdout
    assert annotated.startswith("::warning file=checked.yaml,line=9,")
    log = tmp_path / ".engine" / "checked" / run["log"]
    lines = [json.loads(line) for line in log.with_suffix(".jsonl").read_text().splitlines()]
    text = log.read_text()
    assert all(line["text"] in text for line in lines)


@pytest.mark.parametrize(
    ("arguments", "outcome", "code"),
    [
        (("quick.yaml", "one"), "SUCCESS", 0),
        (("quick.yaml", "two", "one"), "WARNING", 0),
        (("quick.yaml", "one", "two", "--var", "ends=FAILED"), "FAILED", 3),
        (("checked.yaml", "--var", "least=9", "--var", "soft=9"), "FAILED", 1),
    ],
)
def test_json_says_the_worst_outcome_of_all_runs(
    arguments: tuple[str, ...], outcome: str, code: int, engine: Engine
) -> None:
    answer = json.loads(engine("run", *arguments, "--format", "json").stdout)
    assert (answer["outcome"], answer["exit_code"]) == (outcome, code)


def test_python_m_engine_is_engine(tmp_path: Path) -> None:
    def module(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "engine", *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)

    assert module("--help").stdout.startswith("Usage: python -m engine [OPTIONS] COMMAND")
    assert module("--version").stdout.startswith("engine 0.")
    assert module("run", "quick.yaml", "one", "--var", "ends=FAILED").returncode == 3
    wrong = module("run", "missing.yaml")
    assert (wrong.returncode, "there is no such file" in wrong.stderr) == (2, True)


def test_a_pipe_gets_no_control_characters(engine: Engine) -> None:
    told = engine("run", "quick.yaml", "one")
    assert "\x1b" not in told.stdout + told.stderr
    assert "\r" not in told.stdout + told.stderr


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_is_aborted_and_exits_130(how: signal.Signals, tmp_path: Path, engine: Engine) -> None:
    (tmp_path / "slow.yaml").write_text(
        "version: 1\nproject: slow\n"
        'scenarios: {s: {steps: [{name: nap, kind: python, function: "mine:sleep", arguments: {seconds: 60}}]}}\n'
    )
    with subprocess.Popen(
        [ENGINE, "run", "slow.yaml"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "asleep\n"
        time.sleep(0.2)
        process.send_signal(how)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said == "engine: interrupted\n"
    runs = list((tmp_path / ".engine" / "slow" / "runs").glob("*/run.json"))
    assert [json.loads(path.read_text())["outcome"] for path in runs] == ["ABORTED"]


def test_the_answer_names_the_log_as_one_would_open_it_and_wraps_nothing(tmp_path: Path, engine: Engine) -> None:
    columns = ", ".join(f"a_rather_long_name_of_a_column_{number}: {{type: text}}" for number in range(9))
    (tmp_path / "one.csv").write_text("a\n1\n")
    (tmp_path / "long.yaml").write_text(
        f"version: 1\nproject: long\ndatasets:\n  one: {{path: one.csv, columns: {{{columns}}}}}\n"
    )
    told = engine("run", "long.yaml").stdout
    (line,) = [line for line in told.splitlines() if line.strip().startswith("log: ")]
    assert (tmp_path / line.strip().removeprefix("log: ")).is_file()
    (first,) = [line for line in told.splitlines() if "build one  FAILED" in line]
    assert "the columns are not as the spec declares them" in first


def test_a_bug_of_the_engine_is_reported_as_a_bug(tmp_path: Path, engine: Engine) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.modules['engine.scenarios.session'] = object()\n")
    told = engine("run", "quick.yaml", "one", PYTHONPATH=str(tmp_path), TMPDIR=str(tmp_path))
    assert told.returncode == 3
    assert "This is a bug; the details are in" in told.stderr
    assert "Traceback" not in told.stderr
    (report,) = tmp_path.glob("engine-bug-*.txt")
    assert "Traceback" in report.read_text()


def test_schema_writes_what_editors_read(tmp_path: Path, engine: Engine) -> None:
    assert engine("schema", "out").returncode == 0
    assert json.loads((tmp_path / "out" / "project.v1.json").read_text())["$schema"].startswith(
        "https://json-schema.org"
    )
    assert (tmp_path / "out" / "reference.md").exists()


NOISY = """
import ctypes, os, warnings
import numpy as np
import polars as pl

def rows():
    print("printed")
    os.system("echo from a child")
    os.write(1, b"written\\n")
    ctypes.CDLL(None).puts(b"from a library")
    os.chdir("/")
    os.umask(0o777)
    np.seterr(all="raise")
    warnings.simplefilter("error")
    return pl.DataFrame({"x": [float(n * 37 % 61) for n in range(60)]})
"""


@pytest.mark.parametrize("verb", [["run"], ["plan"], ["check", "made"]])
def test_standard_output_is_the_answer_alone_whatever_a_function_writes(
    verb: list[str], engine: Engine, tmp_path: Path
) -> None:
    (tmp_path / "noisy.py").write_text(NOISY)
    (tmp_path / "noisy.yaml").write_text(
        "version: 1\nproject: noisy\ndatasets:\n"
        '  made: {kind: python, function: "noisy:rows", checks: {any: {metric: row_count, min: 1}}}\n'
        "  people: {path: people.csv, checks: {any: {metric: row_count, min: 1}}}\n"
    )
    done = engine(verb[0], "noisy.yaml", *verb[1:], "--format", "json")
    assert done.returncode == 0
    json.loads(done.stdout)
    for text in ("printed", "from a child", "written", "from a library"):
        assert text in done.stderr


@pytest.mark.parametrize("verb", ["run", "plan"])
def test_a_spec_that_declares_nothing_to_run_is_reported(verb: str, engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "empty.yaml").write_text("version: 1\nproject: p\n")
    done = engine(verb, "empty.yaml")
    assert done.returncode == 2
    assert "declares nothing to run: add datasets" in done.stderr


def test_a_terminal_without_unicode_gets_escapes(engine: Engine) -> None:
    done = engine("plan", "checked.yaml", PYTHONIOENCODING="ascii")
    assert done.returncode == 0
    assert done.stdout.isascii()


def test_a_closed_standard_output_stops_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        ["sh", "-c", f"{ENGINE} run checked.yaml >&-"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    assert "internal error" not in done.stderr


AS_A_NUMBER = """
import os, sys
from engine.acting_user import describe_acting_user
for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
    os.environ.pop(name, None)
if os.getuid() == 0:
    os.setuid(54321)
    print(describe_acting_user())
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become a user without a name")
def test_a_user_without_a_name_is_a_number() -> None:
    done = subprocess.run([sys.executable, "-c", AS_A_NUMBER], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("uid 54321@")


@pytest.mark.slow
@pytest.mark.skipif(os.getuid() != 0 or not Path("/usr/bin/setpriv").exists(), reason="needs root and setpriv")
def test_a_state_that_cannot_be_written_can_be_read(engine: Engine, tmp_path: Path) -> None:
    assert engine("run", "checked.yaml").returncode == 0
    for parent in (*tmp_path.parents,):
        if parent.name.startswith("pytest"):
            parent.chmod(0o755)
    for path in (tmp_path, *tmp_path.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    as_other = ["/usr/bin/setpriv", "--reuid=54321", "--regid=54321", "--clear-groups"]
    as_other += ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search", str(ENGINE)]

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*as_other, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False)

    shown = run("show", "checked.yaml", "people", "--checks", "--format", "json")
    assert shown.returncode == 0
    assert json.loads(shown.stdout)
    assert run("plan", "checked.yaml").returncode == 0
    for refused in (run("run", "checked.yaml"), run("check", "checked.yaml", "people")):
        assert refused.returncode == 3
        assert f"state folder {tmp_path}" in refused.stderr
        assert "cannot be written" in refused.stderr
