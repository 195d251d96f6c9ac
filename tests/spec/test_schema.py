"""The JSON Schema: what is valid is not red, what is plainly wrong is; the committed files are the generated ones."""

from pathlib import Path
from typing import Any

import jsonschema
import pytest

from engine.spec.diagnostics import Findings
from engine.spec.reference.json_schema import build_schema, write_schema_files
from engine.spec.yaml.yaml_tree import ListNode, MapNode, Source, YamlNode, parse_yaml

ROOT = Path(__file__).parents[2]
VALIDATOR = jsonschema.Draft202012Validator(build_schema())


def plain(node: YamlNode) -> Any:
    """Return what the loader has read, as the plain data that an editor checks."""
    if isinstance(node, MapNode):
        return {key: plain(entry.value) for key, entry in node.entries.items()}
    return [plain(item) for item in node.items] if isinstance(node, ListNode) else node.value


def read_plain(text: str) -> Any:
    """Return what an editor checks of a text that is right YAML."""
    findings = Findings()
    tree = parse_yaml(Source("spec.yaml", text), findings)
    assert tree is not None
    assert not findings
    return plain(tree)


def problems(text: str) -> list[str]:
    return [error.message for error in VALIDATOR.iter_errors(read_plain(text))]


def project(section: str) -> str:
    return f"version: 1\nproject: p\n{section}"


def test_the_committed_files_are_what_the_code_generates(tmp_path: Path) -> None:
    for path in write_schema_files(tmp_path):
        committed = ROOT / "schemas" / path.name
        assert committed.read_text(encoding="utf-8") == path.read_text(encoding="utf-8"), "run: engine schema"


def test_the_schema_is_a_valid_json_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(build_schema())


@pytest.mark.parametrize("path", [*ROOT.glob("specs/*.yaml"), *ROOT.glob("tests/spec/ok/*.yaml")], ids=lambda p: p.name)
def test_a_spec_that_the_loader_accepts_is_not_marked_in_an_editor(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    if "\nversion:" in f"\n{text}":
        assert problems(text) == []


@pytest.mark.parametrize(
    "section",
    [
        "datasets: {a: {path: a.csv}}",
        "datasets: {a: {kind: query, sql: SELECT 1}}",
        "datasets:",
        "models: {m: {dataset: a, task: regression, target: y, test: {share: '${share}'}}}",
        "evaluation_stores: {s: {dataset: a, drift: {confidence: '${c}', max_rows: '${rows}'}}}",
        "evaluation_stores: {s: {dataset: a, checks: {c: {metric: drift.*, max: 1, except: {drift.a: {max: 2}}}}}}",
        "channels: {c: {url: '${secret.s}', from: a@b.c}}",
        "scenarios: {s: {steps: [{name: x, target: t}], reporters: [{name: r, channel: c, active: '${a}'}]}}",
        "variables: {a: 1, b: text, c: true, d: 2017-10-01, e: {type: date, value: 2017-10-01}}",
        "run: [a, b]",
        "project: 2026",
    ],
)
def test_short_forms_and_references_are_not_red(section: str) -> None:
    text = section if section.startswith("project") else project(section)
    assert problems(text if text.startswith("version") else f"version: 1\n{text}") == []


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ("datasetz: {}", "'datasetz' was unexpected"),
        ("datasets: {a: {paht: a.csv}}", "'paht' was unexpected"),
        ("datasets: {a: {}}", "'path' is a required property"),
        ("datasets: {a: {kind: query, path: a.csv}}", "'sql' is a required property"),
        ("datasets: {a: {kind: qery, sql: SELECT 1}}", "'qery' is not one of ['file', 'query', 'python', 'stored']"),
        ("models: {m: {kind: scored, task: clustering, target: y}}", "'clustering' is not valid"),
        ("evaluation_stores: {s: {dataset: a, drift: {confidence: 2}}}", "2 is not valid under any"),
        ("scenarios: {s: {steps: []}}", "[] should be non-empty"),
    ],
)
def test_a_plain_mistake_is_marked_in_an_editor(section: str, message: str) -> None:
    assert any(message in problem for problem in problems(project(section)))


def test_version_and_project_are_required() -> None:
    assert problems("{}") == ["'version' is a required property", "'project' is a required property"]
    assert problems("{version: 2, project: p}") == ["1 was expected"]


def objects(node: Any) -> list[dict[str, Any]]:
    if isinstance(node, list):
        return [found for item in node for found in objects(item)]
    if isinstance(node, dict):
        return [node, *(found for item in node.values() for found in objects(item))]
    return []


def test_every_key_is_described() -> None:
    for node in objects(build_schema()):
        if node.get("additionalProperties") is False:
            assert all(key["description"] for key in node["properties"].values())
