"""The reference page: every key, kind, metric, code and option is in it, and its examples are valid."""

import re
from pathlib import Path

import pytest
import typer.main

from engine import spec
from engine.cli.command_line import app
from engine.errors import SpecError
from engine.outcome import CheckOutcome, ExitCode, Outcome
from engine.spec import diagnostics
from engine.spec.metrics.catalogue import METRICS
from engine.spec.reading.node_file import load_node
from engine.spec.reference.codes import DIAGNOSTIC_CODES
from engine.spec.reference.page import KINDS_BY_SECTION, list_resources, render_reference_page
from engine.spec.rules.messages import MESSAGE_NAMES
from engine.spec.validation.value_types import list_keys

PAGE = render_reference_page()
EXAMPLES = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
NODES = [text for text in EXAMPLES if "\nnode: " in text]
PROJECTS = [text for text in EXAMPLES if "\nversion: 1\n" in f"\n{text}" and text not in NODES]
FRAGMENTS = [text for text in EXAMPLES if text not in [*PROJECTS, *NODES]]


def load(path: Path) -> spec.ProjectSpec:
    try:
        return spec.load(path, environ={})
    except SpecError as error:
        pytest.fail(diagnostics.render_diagnostics(error.diagnostics))


@pytest.mark.parametrize("text", PROJECTS)
def test_a_whole_example_is_a_valid_project(text: str, tmp_path: Path) -> None:
    path = tmp_path / "project.yaml"
    path.write_text(text, encoding="utf-8")
    assert load(path).warnings == ()


@pytest.mark.parametrize("text", NODES)
def test_the_example_of_a_node_is_valid(text: str, tmp_path: Path) -> None:
    path = tmp_path / "node.yaml"
    path.write_text(text, encoding="utf-8")
    assert load_node(path).warnings == ()


def test_the_other_examples_are_valid_together_and_show_every_kind(tmp_path: Path) -> None:
    for number, text in enumerate(FRAGMENTS):
        (tmp_path / f"{number}.yaml").write_text(text, encoding="utf-8")
    included = ", ".join(f"{number}.yaml" for number in range(len(FRAGMENTS)))
    path = tmp_path / "project.yaml"
    path.write_text(f"version: 1\nproject: all\nserver: {{url: 'http://x'}}\ninclude: [{included}]\n", encoding="utf-8")
    project = load(path)
    shown = {
        "connections": project.connections.values(),
        "datasets": project.datasets.values(),
        "models": project.models.values(),
        "references": [store.reference for store in project.evaluation_stores.values() if store.reference],
        "checks": [check for store in project.evaluation_stores.values() for check in store.checks.values()],
        "channels": project.channels.values(),
        "steps": [step for scenario in project.scenarios.values() for step in scenario.steps],
        "infrastructures": project.resources.infrastructures.values(),
        "triggers": [trigger for scenario in project.scenarios.values() for trigger in scenario.triggers],
    }
    for section, kinds in KINDS_BY_SECTION.items():
        assert {type(resource) for resource in shown[section]} == set(kinds.values()), section


def test_the_conditions_of_the_page_are_legal() -> None:
    from engine.spec.conditions import ConditionScope, find_condition_problems
    from engine.spec.metrics.owner import MetricOwner

    block = re.search(r"```\n(stepOutcome.*?)```", PAGE, re.DOTALL)
    assert block is not None
    scope = ConditionScope(["MES_Warn"], [], ["auc holds"], [MetricOwner("store")], {"quarter": "Q4 2017"})
    for line in block[1].splitlines():
        assert find_condition_problems(line, scope) == []


def test_every_key_of_every_resource_is_in_the_page() -> None:
    for resource in list_resources().values():
        for key, field in list_keys(resource).items():
            if key != "kind":
                parts = field.description.split("`")  # each second one is code
                said = re.escape("`".join(one if at % 2 else one.replace("<", "&lt;") for at, one in enumerate(parts)))
                assert re.search(rf"^\| `{key}` \| .*\| {said} \|$", PAGE, re.MULTILINE), key
            assert field.description or key == "kind"


def test_every_name_of_the_language_is_in_the_page() -> None:
    for metric in METRICS:
        assert re.search(rf"^\| `{metric.name}(\.<\w+>)?` \| .*{re.escape(metric.description)} \|$", PAGE, re.MULTILINE)
    for code, text in DIAGNOSTIC_CODES.items():
        escaped = text.replace("<", "&lt;")
        assert f"| `{code}` | {escaped} |" in PAGE
    for name in MESSAGE_NAMES:
        assert f"| `${{{name}}}` |" in PAGE
    for code in ExitCode:
        assert f"| {int(code)} |" in PAGE
    for outcome in (*Outcome, *CheckOutcome):
        assert f"`{outcome}`" in PAGE


def test_every_verb_and_option_of_the_command_line_is_in_the_page() -> None:
    command = typer.main.get_command(app)
    verbs = getattr(command, "commands", {})
    assert set(re.findall(r"^\| `engine (\w+)", PAGE, re.MULTILINE)) == set(verbs)
    waiting = dict(verbs)
    while waiting:
        name, verb = waiting.popitem()
        if inner := getattr(verb, "commands", {}):
            assert set(re.findall(rf"`engine {name} (\w+)", PAGE)) == set(inner)
            waiting |= {f"{name} {each}": found for each, found in inner.items()}
        for parameter in verb.params:
            long = [option for option in parameter.opts if option.startswith("--")]
            assert all(f"`{option}" in PAGE for option in long), long


def test_links_inside_the_page_lead_somewhere() -> None:
    headings = re.findall(r"^#+ (.*)$", PAGE, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\]\(#([^)]*)\)", PAGE)) <= anchors
    assert "<!--" not in PAGE
