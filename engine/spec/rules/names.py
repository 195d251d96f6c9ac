"""Rules of names: valid characters, and uniqueness."""

import re
from collections.abc import Iterator

from engine.spec.conditions import ALWAYS, RESERVED_NAMES, STEP_PREFIX, name_step_variable
from engine.spec.diagnostics import Findings
from engine.spec.metrics.catalogue import list_statistics as metric_names
from engine.spec.rules.draft import Draft
from engine.spec.rules.messages import MESSAGE_NAMES
from engine.spec.spec_files import SECTIONS
from engine.spec.variables.moment import FIRE_NAMES, MOMENT_NAMES
from engine.spec.variables.references import is_identifier
from engine.spec.yaml.yaml_tree import ScalarNode

IDENTIFIER_SECTIONS = ("variables", "secrets")
TARGET_SECTIONS = ("datasets", "models", "evaluation_stores")
RESERVED_VARIABLES = frozenset(
    {*RESERVED_NAMES, *MESSAGE_NAMES, ALWAYS, "secret", "env", "in", "true", "false", "null"}
)

_ILLEGAL_CHARACTERS = re.compile(r"""["'/\x00-\x1f\x7f-\x9f]""")
_MAX_NAME_LENGTH = 200


def check_names(draft: Draft, findings: Findings) -> None:
    """Check the characters of names.

    Names appear in messages, pages, files and conditions: they contain no quotes, slashes or control characters.
    """
    for section in SECTIONS:
        for name in draft.declared_names(section):
            at = draft.key_position(section, name)
            if section in IDENTIFIER_SECTIONS:
                if not is_identifier(name):
                    help_ = "use A-Z a-z 0-9 and _, and do not start with a digit, so that ${…} can contain it"
                    findings.error(at, "name", f'"{name[:60]}" cannot be the name of a {section[:-1]}', help_)
                continue
            _check_name(draft, findings, section, name)
            for part in ("checks", "metrics"):
                for inner in draft.declared_names(section, name, part):
                    _check_name(draft, findings, section, name, part, inner)
    for scenario in draft.declared_names("scenarios"):
        for part in ("steps", "reporters", "triggers"):
            for i in range(draft.list_length("scenarios", scenario, part)):
                node = draft.find_node("scenarios", scenario, part, i, "name")
                if isinstance(node, ScalarNode) and (why := explain_illegal_name(node.text)):
                    findings.error(node.position, "name", f"this cannot be a name: {why}")


def _check_name(draft: Draft, findings: Findings, *path: str) -> None:
    if why := explain_illegal_name(path[-1]):
        findings.error(draft.key_position(*path), "name", f"this cannot be a name: {why}")


def explain_illegal_name(name: str) -> str | None:
    """Return why a text cannot be a name; None if it can."""
    if not name.strip():
        return "it is empty"
    if name != name.strip():
        return "it starts or ends with a space"
    if len(name) > _MAX_NAME_LENGTH:
        return f"it is longer than {_MAX_NAME_LENGTH} characters"
    bad = _ILLEGAL_CHARACTERS.search(name)
    if bad is None:
        return None
    return f"it contains {bad[0]}" if bad[0].isprintable() else f"it contains the control character U+{ord(bad[0]):04X}"


def check_reserved_variables(draft: Draft, findings: Findings) -> None:
    """Check that no variable has a name that conditions and messages use for something else."""
    for name in draft.declared_names("variables"):
        at = draft.key_position("variables", name)
        if name in MOMENT_NAMES:
            message = f'"{name}" is a built-in variable for the moment of a run'
            findings.error(
                at, "reserved-name", message, f"use ${{{name}}} without declaring it, or rename the variable"
            )
        elif name in FIRE_NAMES:
            message = f'"{name}" is a built-in variable of triggers'
            findings.error(at, "reserved-name", message, "rename the variable")
        elif name in RESERVED_VARIABLES or name.startswith(STEP_PREFIX):
            message = f'"{name}" is a reserved name of conditions and messages'
            findings.error(at, "reserved-name", message, "rename the variable")


def check_target_names(draft: Draft, findings: Findings) -> None:
    """Check that datasets, models and evaluation stores have different names: `target: name` may be any of them."""
    first: dict[str, str] = {}
    for section in TARGET_SECTIONS:
        for name in draft.declared_names(section):
            if name in first:
                other = draft.key_position(first[name], name)
                what = f'"{name}" is already the name of a {first[name][:-1].replace("_", " ")} (line {other.line})'
                at = draft.key_position(section, name)
                findings.error(
                    at,
                    "duplicate-name",
                    what,
                    "rename one of the two: steps and commands find both by name",
                    also=other,
                )
            first.setdefault(name, section)


def check_custom_metrics(draft: Draft, findings: Findings) -> None:
    """Check that no custom metric has the name of a built-in metric."""
    for section, taken in (("datasets", metric_names("dataset")), ("evaluation_stores", metric_names("store"))):
        for owner in draft.declared_names(section):
            for name in draft.declared_names(section, owner, "metrics"):
                if name.partition(".")[0] in taken:
                    at = draft.key_position(section, owner, "metrics", name)
                    findings.error(at, "reserved-name", f'"{name}" is a built-in metric', "rename your metric")


def check_names_in_scenarios(draft: Draft, findings: Findings) -> None:
    """Check that the steps of a scenario have different names, also as conditions write them; reporters; triggers."""
    for scenario in draft.declared_names("scenarios"):
        for part, what in (("steps", "step"), ("reporters", "reporter"), ("triggers", "trigger")):
            seen: dict[str, ScalarNode] = {}
            for node in _find_name_nodes(draft, scenario, part):
                key = name_step_variable(node.text) if part == "steps" else node.text
                first = seen.setdefault(key, node)
                if first is node:
                    continue
                if first.text == node.text:
                    message = f'"{node.text}" is already the name of a {what} (line {first.position.line})'
                else:
                    message = f'"{node.text}" and "{first.text}" have the same name in conditions: {key}'
                findings.error(node.position, "duplicate-name", message, "rename one of the two", also=first.position)


def _find_name_nodes(draft: Draft, scenario: str, part: str) -> Iterator[ScalarNode]:
    for i in range(draft.list_length("scenarios", scenario, part)):
        node = draft.find_node("scenarios", scenario, part, i, "name")
        if isinstance(node, ScalarNode):
            yield node
