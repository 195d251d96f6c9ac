"""Rules of variables and secrets: values set by scenarios fit a declared variable, and what is declared is used."""

import re
from collections.abc import Iterator

from engine.errors import Severity
from engine.spec.diagnostics import Findings
from engine.spec.problem import did_you_mean
from engine.spec.rules.draft import Draft
from engine.spec.shape import Path
from engine.spec.tree import MapNode, ScalarNode
from engine.spec.variables import iso_date, references


def set_by_scenarios(draft: Draft, findings: Findings) -> None:
    """Check that scenarios set only declared variables, to values of the declared type."""
    for path in _places(draft):
        for name in draft.names(*path):
            known, node = draft.names("variables"), draft.node(*path, name)
            draft.variables.used.add(name)
            if name not in known:
                help_ = did_you_mean(name, known, "the variables are") if known else "declare it under variables:"
                message = f'"{name[:60]}" is not a declared variable'
                findings.error(draft.position(*path, name), "undeclared-variable", message, help_)
            elif isinstance(node, ScalarNode) and not references(node.text):
                try:
                    draft.variables.types[name].convert(node.value)
                except ValueError as problem:
                    also = draft.position("variables", name)
                    findings.error(node.position, "variable-value", f'variable "{name}": {problem}', also=also)


def _places(draft: Draft) -> Iterator[Path]:
    """Yield the paths of the mappings in scenarios that set variables."""
    for scenario in draft.names("scenarios"):
        path = ("scenarios", scenario)
        yield (*path, "variables")
        yield from ((*path, "for_each", i) for i in range(draft.length(*path, "for_each")))
        yield from ((*path, "steps", i, "variables") for i in range(draft.length(*path, "steps")))


def unused(draft: Draft, findings: Findings) -> None:
    """Warn about variables and secrets that nothing uses: they are left over, or misspelt where they are used."""
    if any(finding.severity is Severity.ERROR for finding in findings):
        return  # the part that uses it may be the part with the error
    used = set(draft.variables.used)
    secrets = set()
    for text in draft.texts:
        found = references(text.node.text)
        used |= {reference.parts[0] for reference in found if reference.parts}
        secrets |= {r.parts[1] for r in found if r.parts[:1] == ("secret",) and len(r.parts) == 2}
        if text.reading == "condition":
            used |= set(re.findall(r"\w+", text.value))
    for section, names in (("variables", used), ("secrets", secrets)):
        for name in draft.names(section):
            if name not in names:
                at = draft.position(section, name)
                findings.warning(at, "unused", f'{section[:-1]} "{name[:60]}" is never used')


def no_references_in_keys(draft: Draft, findings: Findings) -> None:
    """Check that no key contains a reference."""
    todo: list[object] = [draft.files.root]
    while todo:
        node = todo.pop()
        if isinstance(node, MapNode):
            for entry in node.entries.values():
                if references(entry.key.text):
                    message = "a key cannot contain ${…}: variables are filled in values only"
                    findings.error(entry.key.position, "reference-in-key", message, "write the name itself")
            todo += [entry.value for entry in node.entries.values()]
        else:
            todo += getattr(node, "items", [])


def typed_values(draft: Draft, findings: Findings) -> None:
    """Warn about a text that looks like a date but is not one: 2017-02-30."""
    for name in draft.names("variables"):
        node = draft.node("variables", name)
        if isinstance(node, ScalarNode) and re.fullmatch(r"\d{4}-\d\d?-\d\d?", node.text) and not iso_date(node.text):
            help_ = "write a date such as 2017-02-28; if it is text, write {type: text, value: …}"
            findings.warning(node.position, "date", f"{node.text} is not a date, so it is read as text", help_)
