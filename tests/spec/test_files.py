"""Whatever a spec's path leads to, the answer is a Project or a diagnostic, at once."""

import json
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.errors import Diagnostic, SpecError
from engine.spec import ProjectSpec, load
from engine.spec.diagnostics import render_diagnostics

MINIMAL = "version: 1\nproject: p\n"


def diagnostics(path: Path) -> tuple[Diagnostic, ...]:
    with pytest.raises(SpecError) as caught:
        load(path, environ={})
    assert render_diagnostics(caught.value.diagnostics)
    return caught.value.diagnostics


def write(folder: Path, content: str | bytes) -> Path:
    path = folder / "spec.yaml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    (found,) = diagnostics(tmp_path / "nowhere.yaml")
    assert (found.code, found.message) == ("file", "there is no such file")


def test_a_folder_in_place_of_a_file_is_refused(tmp_path: Path) -> None:
    (found,) = diagnostics(tmp_path)
    assert (found.code, found.message) == ("file", "this is a folder, not a file")


def test_a_pipe_that_nobody_writes_to(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (found,) = diagnostics(tmp_path / "pipe")
    assert (found.code, found.message) == ("file", "this is not a regular file")


@pytest.mark.parametrize("special", ["/dev/zero", "/dev/null"])
def test_a_device_in_place_of_a_file_is_refused(special: str) -> None:
    (found,) = diagnostics(Path(special))
    assert (found.code, found.message) == ("file", "this is not a regular file")


def test_a_file_that_may_not_be_read(open_folder: Path, as_nobody: Callable[[], AbstractContextManager[None]]) -> None:
    path = write(open_folder, MINIMAL)
    path.chmod(0)
    with as_nobody():
        (found,) = diagnostics(path)
    assert (found.code, found.message) == ("file", "this file cannot be read: permission denied")


def test_a_path_that_cannot_be() -> None:
    (found,) = diagnostics(Path("x" * 5000))
    assert found.code == "file"
    (found,) = diagnostics(Path("a\0b"))
    assert found.code == "file"


def test_a_huge_file_is_refused(tmp_path: Path) -> None:
    (found,) = diagnostics(write(tmp_path, b"a: b\n" * 2_000_000))
    assert (found.code, found.message) == ("file", "this file is larger than 1 MB")


@pytest.mark.parametrize(
    "text",
    [
        "[" * 1_000_000,
        "{a: " * 200_000,
        "- " * 400_000,
        "? " * 400_000,
        '"' + "a" * 1_000_000,
        "a: b\n" * 200_000,
        "x: " + "*a " * 300_000,
        "".join(f"k{i}: 1\n" for i in range(100_000)),
        "a:\n" + "  - b\n" * 150_000,
        MINIMAL + "description: '" + "${" * 400_000 + "'\n",
        MINIMAL + "description: '" + "${a['" * 150_000 + "'\n",
        MINIMAL + "description: '" + "${a}" * 20_000 + "'\n",
        MINIMAL + "variables:\n" + "".join(f"  a{i}: '${{a{i + 1}}}'\n" for i in range(20_000)),
    ],
    ids=lambda text: repr(text[-12:]),
)
@pytest.mark.timeout(60)
def test_hostile_text_ends(tmp_path: Path, text: str) -> None:
    with pytest.raises(SpecError):
        load(write(tmp_path, text[: 1 << 20]), environ={})


@pytest.mark.parametrize(
    ("nested", "line", "column"),
    [
        ("a: " + "[" * 1500, 3, 67),
        ("a: " + "{b: " * 1500, 3, 256),
        ("a: [" + "\n[" * 1500, 66, 1),
        ("a: [" + "\n[" * 900, 66, 1),
        ("\n".join(" " * i + "a:" for i in range(1300)), 67, 65),
        ("a: !!x 1\nb:\n" + "- " * 1500, 5, 127),
    ],
)
def test_deep_nesting_is_found_at_our_limit(tmp_path: Path, nested: str, line: int, column: int) -> None:
    """libyaml 0.2.6 scans ahead and refuses 1,000 levels; until 0.2.5 it had no limit. Nobody sees the difference."""
    found = diagnostics(write(tmp_path, MINIMAL + nested))
    (deep,) = [d for d in found if d.code == "yaml-depth"]
    assert (deep.position.line, deep.position.column) == (line, column)
    assert len(found) == 1 + ("!!x" in nested), "what was found before is said once"


@pytest.mark.parametrize(
    "text",
    [
        "%YAML 1.3\n---\na: 1",
        "%ab{c",
        "%YAML x\n---\na: 1",
        "%YAML 1.x\n---\na: 1",
        'a: "\\uD800"',
        'a: "\\xZZ"',
        "{a: 1, b:}\n{",
        '{a:b, "c":d, e:}',
        "a: ? b",
        'a: "b\n--- c"',
        "a: |x\n b",
        "a: |0\n b",
        "a: !%zz 1",
        "a: !<x 1",
        "a: !x!y%zz 1",
        "a: !x{b: 1}",
    ],
)
def test_yaml_that_libyaml_refuses_is_explained_in_plain_words(tmp_path: Path, text: str) -> None:
    (found,) = diagnostics(write(tmp_path, text))
    assert (found.code, "not YAML" in found.message) == ("yaml", False), found.message


def test_a_hopeless_spec_ends_after_200_problems(tmp_path: Path) -> None:
    found = diagnostics(write(tmp_path, MINIMAL + "".join(f"unknown_{i}: 1\n" for i in range(230))))
    assert [d.code for d in found] == ["unknown-key"] * 200 + ["too-many"]
    assert found[-1].position.line == 203
    assert found[-1].message == "there are more than 200 problems; only the first ones are shown"


def test_variables_that_grow(tmp_path: Path) -> None:
    doubling = "".join(f"  a{i + 1}: '${{a{i}}}${{a{i}}}'\n" for i in range(60))
    found = diagnostics(write(tmp_path, f"{MINIMAL}variables:\n  a0: '{'x' * 1000}'\n{doubling}"))
    assert {d.code for d in found} == {"variable-value"}


@pytest.mark.parametrize("text", ["\ufeff" + MINIMAL, MINIMAL.replace("\n", "\r\n"), MINIMAL.replace("\n", "\r")])
def test_marks_and_line_ends_of_other_editors(tmp_path: Path, text: str) -> None:
    project = load(write(tmp_path, text))
    assert project.name == "p"
    assert project.position("project").line == 2
    assert project.position("project").column == 1


def load_or_spec_error(path: Path) -> None:
    try:
        found = load(path, environ={})
    except SpecError as error:
        shown(error.diagnostics)
    else:
        assert isinstance(found, ProjectSpec)
        shown(found.warnings)


def shown(found: tuple[Diagnostic, ...]) -> None:
    for form in ("text", "json", "github"):
        render_diagnostics(found, form)
    positions = [d.position for d in found]
    assert positions == sorted(positions)
    assert all(p.line >= 1 and p.column >= 1 and p.length >= 1 for p in positions)


RELAXED = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@RELAXED
@given(st.binary(max_size=200))
def test_any_bytes_give_a_project_or_diagnostics(tmp_path: Path, content: bytes) -> None:
    load_or_spec_error(write(tmp_path, content))


@RELAXED
@given(st.text(alphabet="{}[]:,-?&*!|>'\"%@`#$ \n\tab1.~", max_size=80))
def test_any_punctuation_gives_a_project_or_diagnostics(tmp_path: Path, content: str) -> None:
    load_or_spec_error(write(tmp_path, MINIMAL + content))


WHOLE = (Path(__file__).parent / "ok" / "everything.yaml").read_text("utf-8")


@RELAXED
@given(st.data())
def test_a_whole_spec_with_something_changed(tmp_path: Path, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(WHOLE)))
    end = data.draw(st.integers(start, min(len(WHOLE), start + 40)))
    inserted = data.draw(
        st.sampled_from(
            ["", "x", ":", "${", "}", "]", "'", "null", "3", "[]", "{}", "\n", "- ", "${name}", "*", ".nan"]
        )
        | st.text(max_size=5)
    )
    load_or_spec_error(write(tmp_path, (WHOLE[:start] + inserted + WHOLE[end:]).encode(errors="replace")))


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@RELAXED
@given(st.sampled_from([line.strip().split(":")[0] for line in WHOLE.splitlines() if ":" in line]), VALUES)
def test_any_value_of_any_key(tmp_path: Path, key: str, value: object) -> None:
    lines = [
        line.split(":")[0] + ": " + json.dumps(value) if line.strip().startswith(f"{key}:") else line
        for line in WHOLE.splitlines()
    ]
    load_or_spec_error(write(tmp_path, "\n".join(lines).encode(errors="replace")))
