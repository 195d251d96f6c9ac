"""Rules of variables and secrets: values set by scenarios fit declared variables, and declared ones are used."""

import re
from collections.abc import Iterator

from engine.errors import Severity
from engine.formatting.hints import did_you_mean
from engine.spec.diagnostics import Findings
from engine.spec.rules.draft import Draft
from engine.spec.validation.validator import SpecPath
from engine.spec.variables.references import find_references, parse_iso_date
from engine.spec.yaml.yaml_tree import MapNode, ScalarNode


def check_scenario_variables(draft: Draft, findings: Findings) -> None:
    """Check that scenarios set only declared variables, to values of the declared type."""
    for path in _find_variable_mappings(draft):
        for name in draft.declared_names(*path):
            known, node = draft.declared_names("variables"), draft.find_node(*path, name)
            draft.variables.used_names.add(name)
            if name not in known:
                help_ = did_you_mean(name, known, "the variables are") if known else "declare it under variables:"
                message = f'"{name[:60]}" is not a declared variable'
                findings.error(draft.key_position(*path, name), "undeclared-variable", message, help_)
            elif isinstance(node, ScalarNode) and not find_references(node.text):
                try:
                    draft.variables.types[name].convert(node.value)
                except ValueError as problem:
                    also = draft.key_position("variables", name)
                    findings.error(node.position, "variable-value", f'variable "{name}": {problem}', also=also)


def _find_variable_mappings(draft: Draft) -> Iterator[SpecPath]:
    """Yield the paths of the mappings in scenarios that set variables."""
    for scenario in draft.declared_names("scenarios"):
        path = ("scenarios", scenario)
        yield (*path, "variables")
        yield from ((*path, "for_each", i) for i in range(draft.list_length(*path, "for_each")))
        for part in ("steps", "triggers"):
            yield from ((*path, part, i, "variables") for i in range(draft.list_length(*path, part)))


def warn_about_unused(draft: Draft, findings: Findings) -> None:
    """Warn about unused variables and secrets: they are obsolete, or misspelt where they are used."""
    if any(finding.severity is Severity.ERROR for finding in findings):
        return  # the part that uses it may be the part with the error
    used = set(draft.variables.used_names)
    secrets = set()
    for text in draft.texts:
        found = find_references(text.node.text)
        used |= {reference.parts[0] for reference in found if reference.parts}
        secrets |= {r.parts[1] for r in found if r.parts[:1] == ("secret",) and len(r.parts) == 2}
        if text.reading == "condition":
            used |= set(re.findall(r"\w+", text.value))
    for section, names in (("variables", used), ("secrets", secrets)):
        for name in draft.declared_names(section):
            if name not in names:
                at = draft.key_position(section, name)
                findings.warning(at, "unused", f'{section[:-1]} "{name[:60]}" is never used')


def check_keys(draft: Draft, findings: Findings) -> None:
    """Check that no key contains a reference."""
    todo: list[object] = [draft.files.root]
    while todo:
        node = todo.pop()
        if isinstance(node, MapNode):
            for entry in node.entries.values():
                if find_references(entry.key.text):
                    message = "a key cannot contain ${…}: only values can"
                    findings.error(entry.key.position, "reference-in-key", message, "write the name itself")
            todo += [entry.value for entry in node.entries.values()]
        else:
            todo += getattr(node, "items", [])


def warn_about_dates(draft: Draft, findings: Findings) -> None:
    """Warn about a text that looks like a date but is not one: 2017-02-30."""
    for name in draft.declared_names("variables"):
        node = draft.find_node("variables", name)
        if (
            isinstance(node, ScalarNode)
            and re.fullmatch(r"\d{4}-\d\d?-\d\d?", node.text)
            and not parse_iso_date(node.text)
        ):
            help_ = "write a date such as 2017-02-28; if it is text, write {type: text, value: …}"
            findings.warning(node.position, "date", f"{node.text} is not a date, so it is read as text", help_)
