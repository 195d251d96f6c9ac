"""node.yaml: golden pairs of right and wrong files; what the schema takes, and what is refused by both."""

from pathlib import Path

import jsonschema
import pytest

from engine.errors import SpecError
from engine.spec.diagnostics import render_diagnostics
from engine.spec.reading.node_file import load_node
from engine.spec.reading.node_text import names_node
from engine.spec.reference.json_schema import build_node_schema
from engine.spec.resources.node import NodeResource
from engine.spec.validation.value_types import ValueType, list_keys

from .test_golden import HERE, expected, resources
from .test_schema import read_plain

OK, BAD = HERE / "node_ok", HERE / "node_bad"
VALIDATOR = jsonschema.Draft202012Validator(build_node_schema())
BEYOND_THE_SCHEMA = {
    "state",
    "twice",
    "reached_from_outside",
    "files",
    "sources",
    "references",
    "given",
    "yaml",
    "empty",
}
"""What is wrong there is in how keys fit together, in texts with a syntax, in files, or is not YAML."""


def problems(path: Path) -> list[str]:
    return [error.message for error in VALIDATOR.iter_errors(read_plain(path.read_text(encoding="utf-8")))]


@pytest.mark.parametrize("path", sorted(OK.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_right_file_loads_and_is_not_red(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(OK)
    warnings = render_diagnostics(load_node(path.name).warnings)
    assert warnings == expected(path.with_suffix(".out"), warnings)
    assert problems(path) == []


@pytest.mark.parametrize("path", sorted(BAD.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_wrong_file_says_what_is_wrong(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(BAD)
    with pytest.raises(SpecError) as caught:
        load_node(path.name)
    found = render_diagnostics(caught.value.diagnostics)
    assert found == expected(path.with_suffix(".out"), found)
    assert path.stem in BEYOND_THE_SCHEMA or problems(path)


def test_the_schema_is_one_and_every_key_was_misspelt_once() -> None:
    jsonschema.Draft202012Validator.check_schema(build_node_schema())
    known = {one for one in resources(ValueType(resources=(NodeResource,))) if one.__module__.endswith(".node")}
    keys = {key for one in known for key in list_keys(one)} - {"version", "node"}
    outs = "\n".join(out.read_text("utf-8") for out in BAD.glob("misspelt*.out"))
    assert {key for key in keys if f'did you mean "{key}"' not in outs} == set()


def test_a_node_has_paths_beside_its_file_and_gives_more_to_one_deployment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(OK)
    node = load_node("everything.yaml")
    assert (node.folder, node.node_folder, node.resolve_path("/x")) == (OK, OK / "data", Path("/x"))
    everyone, staging = node.list_given("staging")
    assert node.list_given("production") == (everyone,)
    assert (everyone.variables["rows"], staging.variables["rows"]) == (5, 6)
    assert node.written_data("variables", "literal") == "$${x}"
    assert node.position("deployments", "staging").line == 26


@pytest.mark.parametrize(
    ("text", "of_node"),
    [
        ("version: 1\nnode: a\n", True),
        ("'node' : a\n", True),
        ("version: 1\nproject: a\n", False),
        ("project: a\nnode: b\n", False),
        ("channels:\n  node: {}\n", False),
    ],
)
def test_a_file_of_a_node_is_distinguished_from_a_spec_by_its_key(text: str, of_node: bool, tmp_path: Path) -> None:
    path = tmp_path / "file.yaml"
    path.write_text(text)
    assert names_node(path) is of_node
    assert names_node(tmp_path / "none") is False
