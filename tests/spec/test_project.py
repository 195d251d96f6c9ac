"""The Project: what it resolves, where it says things stand, what it prints."""

import json
import os
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from engine.errors import Position, SpecError
from engine.spec import ProjectSpec, load
from engine.spec.diagnostics import read_shown_lines, render_diagnostics
from engine.spec.project_yaml import mask_url
from engine.spec.resources.project import ProjectResource

OK = Path(__file__).parent / "ok"
BAD = Path(__file__).parent / "bad"
ENVIRONMENT = {"ENGINE_QUARTER": "Q3 2017", "ENGINE_ROWS": "250"}


def spec(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "spec.yaml"
    path.write_text("version: 1\nproject: p\n" + text, encoding="utf-8")
    return path


@pytest.fixture
def seed() -> ProjectSpec:
    return load(OK / "seed_like.yaml")


def test_variables_are_typed_by_how_they_read() -> None:
    project = load(OK / "yaml_types.yaml", environ=ENVIRONMENT)
    assert project.variables == {
        "a": 1e-3, "b": 31, "c": 15, "d": 12, "e": 0.5, "f": "12:30", "g": "no", "h": None, "i": "007",
        "j": date(2017, 10, 1), "k": "1_000", "l": "=", "m": 0, "n": date(2017, 10, 1), "o": "2017-10-01",
        "p": 250, "q": "Q3 2017", "r": date(2017, 1, 1), "s": "rows: 250 ${p}",
    }  # fmt: skip
    assert project.name == "2017"
    assert project.resources.description == "on"


def test_the_spec_of_the_tutorial_becomes_resources(seed: ProjectSpec) -> None:
    assert seed.variables["period_start"] == date(2017, 10, 1)
    assert seed.evaluation_stores["the_MES"].evaluation.labels == {"quarter": "Q4 2017"}
    assert "${period_start}" in seed.datasets["transactions_eval"].sql
    assert seed.channels["ops_mail"].url == "${secret.smtp_url}"
    assert seed.models["authorization"].features.exclude[0] == "transaction_id"
    assert seed.datasets["transactions"].kind == "python"


def test_the_project_is_frozen(seed: ProjectSpec) -> None:
    with pytest.raises(AttributeError):
        seed.path = Path("other")
    with pytest.raises(ValidationError, match="frozen"):
        seed.resources.project = "other"


def test_other_values_of_variables(seed: ProjectSpec) -> None:
    later = seed.with_variables({"quarter": "Q1 2018", "period_start": "2018-01-01"})
    assert later.evaluation_stores["the_MES"].evaluation.name == "Q1 2018"
    assert later.variables["period_start"] == date(2018, 1, 1)
    assert later.with_variables({"period_end": date(2018, 4, 1)}).variables["quarter"] == "Q1 2018"
    assert seed.variables["quarter"] == "Q4 2017"


def test_values_that_variables_have_already_are_given_all_the_same(seed: ProjectSpec) -> None:
    again = seed.with_variables({"quarter": "Q4 2017", "period_start": date(2017, 10, 1)})
    assert again.resources is seed.resources
    assert again.overrides == {"quarter": "Q4 2017", "period_start": date(2017, 10, 1)}
    assert seed.with_variables({"period_start": "2017-10-01"}).variables == seed.variables


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("quater", "x", 'a value was given for the variable "quater", but the spec does not declare it'),
        (
            "period_start",
            "soon",
            'the value given for variable "period_start": expected a date such as 2017-10-01, found "soon"',
        ),
    ],
)
def test_wrong_values_of_variables(seed: ProjectSpec, name: str, value: str, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        seed.with_variables({name: value})
    assert [d.message for d in caught.value.diagnostics if d.severity == "error"] == [message]


@pytest.mark.parametrize(
    ("declared", "given", "value"),
    [
        ("1", "2", 2),
        ("1", "2.5", 2.5),
        ("0.5", "1", 1.0),
        ("Q4", "2017", "2017"),
        ("Q4", "true", "true"),
        ("true", "false", False),
        ("2017-01-01", "2018-01-01", date(2018, 1, 1)),
        ("~", "3", 3),
        ("{type: number, value: 1}", "3", 3.0),
        ("{type: text, value: 1}", "007", "007"),
        ('"1"', "2", "2"),
    ],
)
def test_the_command_line_gives_text(tmp_path: Path, declared: str, given: str, value: object) -> None:
    project = load(spec(tmp_path, f"variables: {{v: {declared}}}\n"), {"v": given})
    assert project.variables == {"v": value}
    assert type(project.variables["v"]) is type(value)


def test_a_given_value_stands_for_what_is_not_there(tmp_path: Path) -> None:
    path = spec(tmp_path, 'variables: {a: "${env.NOT_SET}", b: {type: number, value: "${env.NOT_SET}"}, c: "${a}!"}\n')
    with pytest.raises(SpecError, match="NOT_SET is not set"):
        load(path, environ={})
    assert load(path, {"a": "x", "b": "1"}, environ={}).variables == {"a": "x", "b": 1.0, "c": "x!"}
    with pytest.raises(SpecError, match='variable "b": expected a number, found "x"'):
        load(path, {"a": "x", "b": "x"}, environ={})


def test_a_whole_reference_keeps_the_type(tmp_path: Path) -> None:
    path = spec(
        tmp_path,
        """
variables: {share: 0.3, day: 2017-10-01, rows: 5, wait: 90s}
datasets:
  t: {path: "${day}/${rows}.csv", columns: {a: {min: "${day}", max: 2018-01-01}, b: {allowed: ["${rows}", "${day}"]}}}
models:
  m: {dataset: t, task: regression, target: "${rows}", test: {share: "${share}"}, parameters: {a: "${share}"}}
scenarios:
  S: {steps: [{name: a, target: t, timeout: "${wait}", retries: {count: 1, delay: 0.5}}]}
""",
    )
    project = load(path)
    assert project.datasets["t"].path == "2017-10-01/5.csv"
    assert project.datasets["t"].columns["a"].min == date(2017, 10, 1)
    assert project.datasets["t"].columns["b"].allowed == [5, "2017-10-01"]
    assert project.models["m"].test.share == 0.3
    assert project.models["m"].target == "5"
    assert project.models["m"].parameters == {"a": 0.3}
    step = project.scenarios["S"].steps[0]
    assert (step.timeout, step.retries.delay) == (timedelta(seconds=90), timedelta(seconds=0.5))


def test_keys_and_values_know_their_positions(seed: ProjectSpec) -> None:
    file = str(OK / "seed_like.yaml")
    lines = (OK / "seed_like.yaml").read_text("utf-8").split("\n")

    def text(position: Position) -> str:
        assert position.file == file
        return lines[position.line - 1][position.column - 1 :][: position.length]

    assert text(seed.position("project")) == "project"
    assert text(seed.position("evaluation_stores", "the_MES", "checks", "auc holds")) == "auc holds"
    assert text(seed.position("run", 1)) == "Data drift monitor"
    reporter = seed.position("scenarios", "Data drift monitor", "reporters", 0)
    assert text(reporter) == "n"
    assert seed.position("evaluation_stores", "the_MES", "nowhere", 3) == seed.position("evaluation_stores", "the_MES")


def test_included_files_keep_their_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(OK)
    project = load("include.yaml")
    assert project.datasets["t"].path == "here/t.csv"
    assert project.folder_of("datasets", "t") == Path("parts")
    assert project.folder_of("evaluation_stores", "s") == Path("parts/more")
    assert project.folder == Path()
    assert project.position("datasets", "t").file == "parts/data.yaml"
    assert [str(path) for path in project.files] == ["include.yaml", "parts/data.yaml", "parts/more/stores.yaml"]


@pytest.mark.parametrize("case", sorted(p.stem for p in OK.glob("*.yaml")))
def test_what_is_rendered_is_the_same_project(case: str, tmp_path: Path) -> None:
    project = load(OK / f"{case}.yaml", environ=ENVIRONMENT)
    rendered = project.render()
    again = tmp_path / "again.yaml"
    again.write_text(rendered, encoding="utf-8")
    second = load(again, environ={})
    assert second.render() == rendered
    assert second.variables == project.variables
    left_out = {"include", "variables"}
    assert second.resources.model_dump(exclude=left_out) == project.resources.model_dump(exclude=left_out)


@pytest.mark.parametrize("case", sorted(p.stem for p in OK.glob("*.yaml")))
def test_the_models_accept_what_the_walk_accepts(case: str) -> None:
    """The walk over the tree accepts what the models accept, and makes the same of it."""
    project = load(OK / f"{case}.yaml", environ=ENVIRONMENT)
    as_data = project.resources.model_dump(by_alias=True, exclude={"variables"})
    assert ProjectResource.model_validate(as_data).model_dump(by_alias=True, exclude={"variables"}) == as_data


@pytest.mark.parametrize(
    ("written", "masked"),
    [
        ("${secret.smtp_url}", "${secret.smtp_url}"),
        ("smtp://user:${secret.password}@host:587", "smtp://user:${secret.password}@host:587"),
        ("smtp://user:hunter2@${host}:587", "smtp://***@${host}:587"),
        ("smtp://user:hunter2@host:587?tls=starttls", "smtp://***@host:587?tls=starttls"),
        ("smtp://mail.example.com:25", "smtp://mail.example.com:25"),
        ("slack://TokenA/TokenB", "slack://***"),
        ("hunter2", "***"),
    ],
)
def test_passwords_are_masked(written: str, masked: str) -> None:
    assert mask_url(written) == masked
    assert "hunter2" not in mask_url(written)


def test_diagnostics_as_json_and_as_annotations_have_their_positions() -> None:
    with pytest.raises(SpecError) as caught:
        load(BAD / "yaml_duplicate_keys.yaml")
    found = caught.value.diagnostics
    data = json.loads(render_diagnostics(found, "json"))
    assert data[0]["line"] == 4
    assert data[0]["also"]["column"] == 7
    assert data[0]["severity"] == "error"
    first = render_diagnostics(found, "github").splitlines()[0]
    assert first.startswith("::error file=")
    assert ",line=4,col=33,endColumn=37,title=duplicate-key::" in first
    assert "\x1b[" in render_diagnostics(found, colour=True)
    assert "\x1b[" not in render_diagnostics(found)


def test_no_excerpt_shows_a_secret_that_stands_in_the_spec(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(
        "version: 1\nproject: p\nsecrets: {mail: hunter2, unused: {env: A}, a: {b: 1}}\n"
        'connections: {w: {kind: postgresql, url: "postgresql://me:hunter2@host/db", tabel: t}}\n'
        "channels: {m: {kind: webhook, url: 'https://me:hunter2@host/', headers: {X-Token: hunter2}}}\n"
    )
    with pytest.raises(SpecError) as caught:
        load(path)
    found = caught.value.diagnostics
    shown = render_diagnostics(found)
    assert "hunter2" not in shown
    assert all("hunter2" not in render_diagnostics(found, form) for form in ("json", "github"))
    assert "headers: {X-Token: *******}" in shown
    assert "".join(read_shown_lines(str(path), found)).count("hunter2") == 0


MISPLACED = {
    "misspelt key": "connections:\n  w:\n    kind: postgresql\n    url: ${secret.a}\n    passwrod: hunter2, hunter2\n",
    "unknown key": "channels: {m: {kind: mail, url: '${secret.a}', from: a@b.c, login: hunter2}}\n",
    "nested": "connections:\n  w:\n    kind: postgresql\n    url: ${secret.a}\n    auth:\n      pin: hunter2\n",
    "block": "connections:\n  w:\n    kind: postgresql\n    url: ${secret.a}\n    pin: |\n      hunter2\n",
    "other section": "datasets: {d: {path: d.csv, tokne: hunter2}}\n",
    "looks": "datasets: {d: {path: d.csv, checks: {c: {metric: row_count, min: ghp_hunter2abcdefghij0123}}}}\n",
    "random": "datasets: {d: {path: d.csv, pick: a9f3hunter2m5q8z1x7}}\n",
    "beside": "channels: {m: {kind: webhook, url: 'https://a.b/', headers: {X-Token: hunter2}, x: 1}}\n",
    "source": "state: {path: s}\nsecrets:\n  w: {value: hunter2 ]\n",
    "not YAML": "connections:\n  w: {password: hunter2, x: 'a}\n",
}


@pytest.mark.parametrize("text", MISPLACED.values(), ids=MISPLACED)
def test_a_secret_that_stands_at_the_wrong_place_is_shown_nowhere(text: str, tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    declared = "" if "secrets:" in text else "secrets: {a: {env: A}}\n"
    path.write_text(f"version: 1\nproject: p\n{declared}{text}")
    with pytest.raises(SpecError) as caught:
        load(path)
    found = caught.value.diagnostics
    assert all("hunter2" not in render_diagnostics(found, form) for form in ("text", "json", "github"))
    assert all("hunter2" not in render_diagnostics([one], others=found) for one in found)
    assert "hunter2" not in "".join(read_shown_lines(str(path), found))
    assert "hunter2" not in str(caught.value)


def test_what_is_not_a_secret_is_shown_beside_the_mistake(tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(
        "version: 1\nproject: p\nsecrets: {token: {env: MY_TOKEN, x: 1}}\n"
        "datasets: {tokens: {path: tokens-2026.csv, columns: {token: {type: text, rolle: ignore}}}}\n"
    )
    with pytest.raises(SpecError) as caught:
        load(path)
    shown = render_diagnostics(caught.value.diagnostics)
    assert "secrets: {token: {env: MY_TOKEN, x: *}}" in shown
    assert "{path: tokens-2026.csv, columns: {token: {type: text, rolle: ignore}}}" in shown


def test_github_commands_cannot_be_injected(tmp_path: Path) -> None:
    path = tmp_path / "a,b:c%.yaml"
    path.write_text('version: 1\nproject: p\n"x\\n::error::y": 1\n')
    with pytest.raises(SpecError) as caught:
        load(path)
    out = render_diagnostics(caught.value.diagnostics, "github")
    assert len(out.splitlines()) == 1
    assert "a%2Cb%3Ac%25.yaml" in out
    assert "%0A::error::y" in out


def test_loading_a_spec_imports_no_data_library(tmp_path: Path) -> None:
    code = (
        "import sys; from engine.spec import load; load(sys.argv[1]);"
        "print([m for m in ('polars', 'numpy', 'numba', 'sklearn', 'scipy', 'sqlalchemy') if m in sys.modules],"
        " 'sqlglot' in sys.modules)"
    )
    environ = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    out = [
        subprocess.run(
            [sys.executable, "-c", code, str(OK / f"{name}.yaml")],
            capture_output=True,
            text=True,
            check=True,
            env=environ,
        ).stdout.strip()
        for name in ("minimal", "seed_like", "seed_like")
    ]
    assert out == ["[] False", "[] True", "[] False"]  # what the queries tell is kept
